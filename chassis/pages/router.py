"""The routes of pages: a form is carried out as a command of the API is; what is refused is shown on a page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from chassis import errors
from chassis.access import OPEN
from chassis.dapr.tokens import is_same
from chassis.errors import Rejected, UnsupportedMediaType
from chassis.http.app import ApiRoute, Handler, Router
from chassis.http.body import read_limited
from chassis.http.models import AS_TEXT
from chassis.http.units import Read, Unit
from chassis.http.unread import drop_if_unread
from chassis.pages import session as sessions
from chassis.pages.page import page, root_of, see_other

M = TypeVar("M", bound=BaseModel)
KEY, TOKEN = "idempotencyKey", "formToken"
"""The hidden fields of a form: carried out once, however often it is sent, and for this session alone."""
FORM = "application/x-www-form-urlencoded"
ANSWERED = (
    Rejected,
    RequestValidationError,
    HTTPException,
    *errors.OF_THE_DATABASE,
)


class MalformedForm(Rejected):
    """The form cannot be read."""


class FormOfAnother(Rejected):
    """This form is not of your session: you signed in again since. Load its page again, and send it from there."""

    status = 403


class NotAllowed(Rejected):
    """You may not open this page, or send its forms."""

    status = 403


class NotSignedIn(Rejected):
    """You are not signed in, or no longer; sign in, and send it again."""

    status = 401

    @property
    def headers(self) -> Mapping[str, str]:
        """The challenge of the API: a page takes a token too."""
        return {"WWW-Authenticate": "Bearer"}


class Form(Unit):
    """The request of a page's form: it changes something, as a Unit, with fields for a body."""

    async def json(self) -> dict[str, str]:
        """Return the fields; raises BodyTooLarge, FormOfAnother, MalformedForm, UnsupportedMediaType."""
        if not hasattr(self, "_json"):
            self._body = await read_limited(self)
            self._json = _parse(self)
            _check_token(self, self._json.pop(TOKEN, ""))
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
            return model.model_validate_strings(dict(self.fields), context=AS_TEXT), {}
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


def _check_token(form: Form, token: str) -> None:
    signed_in = sessions.of(form)
    if signed_in and not is_same(token, signed_in.form_token):
        raise FormOfAnother


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
            except NotSignedIn as error:
                return await _signing_in(form, error)
            except ANSWERED as error:
                return _refusal(form, await errors.answer(form, error))

        return handle

    async def admit(self, request: Read) -> None:
        """Admit whoever is signed in, or sends a token as to the API; raises NotSignedIn, and as the API does."""
        if request.parts.access is None or "authorization" in request.headers:
            await super().admit(request)
            return
        found = await sessions.find(request)
        if found is not None:
            sessions.remember(request, found)
            request.caller = found.caller
        if self.needs == OPEN:
            return
        if found is None:
            raise NotSignedIn
        if not found.caller.may(self.needs):
            raise NotAllowed(f"It needs the scope {self.needs}.", scope=self.needs)


async def _signing_in(form: Form, error: NotSignedIn) -> Response:
    """Lead a browser that asked for a page to the issuer; say to any other request why it is refused."""
    is_stream = "text/event-stream" in form.headers.get("accept", "")
    if form.parts.sign_in and form.method == "GET" and not is_stream:
        query = form.url.query
        asked = form.scope["path"].lstrip("/") + (f"?{query}" if query else "")
        return see_other(f"{root_of(form)}sign-in?{urlencode({'next': asked})}")
    answer = _refusal(form, await errors.answer(form, error))
    # A part of a page (htmx): the page itself is to be loaded again, and leads to the issuer.
    answer.headers["HX-Refresh"] = "true"
    return answer


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
