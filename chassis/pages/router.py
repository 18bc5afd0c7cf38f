"""The routes of pages: a form is carried out as a command of the API is; what is refused is shown on a page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from chassis import errors
from chassis.errors import Rejected, UnsupportedMediaType
from chassis.http.app import ApiRoute, Handler, Router
from chassis.http.body import read_limited
from chassis.http.units import Unit
from chassis.http.unread import drop_if_unread
from chassis.pages.page import page

M = TypeVar("M", bound=BaseModel)
KEY = "idempotencyKey"
"""The hidden field of a form that is carried out once, however often it is sent."""
FORM = "application/x-www-form-urlencoded"
ANSWERED = (
    Rejected,
    RequestValidationError,
    HTTPException,
    *errors.OF_THE_DATABASE,
)


class MalformedForm(Rejected):
    """The form cannot be read."""


class Form(Unit):
    """The request of a page's form: it changes something, as a Unit, with fields for a body."""

    async def json(self) -> dict[str, str]:
        """Return the fields; raises BodyTooLarge, MalformedForm, UnsupportedMediaType."""
        if not hasattr(self, "_json"):
            self._body = await read_limited(self)
            self._json = _parse(self)
        fields: dict[str, str] = self._json
        return fields

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields that were filled in, without the hidden key."""
        return {name: value for name, value in self._json.items() if name != KEY}

    @property
    def sent_keys(self) -> list[str]:
        """The Idempotency-Key, which a form sends as a hidden field."""
        return [self._json[KEY]] if KEY in self._json else []

    def parse(self, model: type[M]) -> tuple[M | None, dict[str, str]]:
        """Return the command that the fields make, or what is wrong, by field; as the API would say it."""
        try:
            return model.model_validate_strings(dict(self.fields)), {}
        except ValidationError as error:
            return None, faults(error)


def faults(error: ValidationError) -> dict[str, str]:
    """Return what is wrong, by field, as the API would say it."""
    return {
        ".".join(map(str, fault["loc"])): errors.message(fault)
        for fault in error.errors()
    }


def filled(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields with text in them: a browser sends the others too, as empty ones."""
    return {name: value for name, value in fields.items() if value.strip()}


def _parse(request: Form) -> dict[str, str]:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != FORM:
        raise UnsupportedMediaType(f"The form came as {sent}; send it as {FORM}.")
    body: bytes = request._body
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=100,
        )
    except ValueError as error:
        raise MalformedForm(f"The form cannot be read: {error}.") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise MalformedForm("The form has a field twice.")
    return filled(fields)


class PageRoute(ApiRoute):
    """A route of a page: it takes `read: Read` or `form: Form`."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler, with our request; what it refuses is shown on a page."""
        answer = super(ApiRoute, self).get_route_handler()
        route = self.path

        async def handle(request: Request) -> Response:
            form = Form(request.scope, request.receive)
            try:
                await self.admit(form)
                if form.method == "GET":
                    drop_if_unread(form)
                    return await answer(form)
                return await form.answered(answer, route)
            except ANSWERED as error:
                return _refusal(form, await errors.answer(form, error))

        return handle


def _refusal(request: Request, answer: Response) -> Response:
    problem = json.loads(bytes(answer.body))
    shown = page(request, "refused.html", answer.status_code, problem=problem)
    for name in ("retry-after", "www-authenticate"):
        if value := answer.headers.get(name):
            shown.headers[name] = value
    return shown


class PageRouter(Router):
    """The pages of a service, with the folder of their templates; the API's description does not show them."""

    def __init__(
        self, templates: Path | None = None, *, scope: str | None = None
    ) -> None:
        super().__init__(["Pages"], PageRoute, scope=scope, in_schema=False)
        self.templates = templates
