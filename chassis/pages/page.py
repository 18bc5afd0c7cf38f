"""A page: a template, rendered with what every page needs, and headers that let a browser do nothing else."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from chassis.event import rfc3339
from chassis.pages import session as sessions
from chassis.pages.static import asset
from chassis.runtime.ids import uuid7

TEMPLATES = Path(__file__).parent / "templates"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` a browser says `Origin: null` of our own forms (chassis/pages/router.py asks for it).
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def install(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Make the app render templates: those in the folders of its routers, then the shared ones."""
    own = [folder for each in routers if (folder := getattr(each, "templates", None))]
    made = Environment(
        loader=FileSystemLoader([*own, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["moment"] = moment
    made.filters["rfc3339"] = rfc3339
    made.globals.update(asset=asset, hidden_fields=hidden_fields)
    app.state.templates = made


def page(
    request: Request, template: str, status: int = 200, **context: object
) -> Response:
    """Return a page, never kept by a browser or a cache."""
    return HTMLResponse(fragment(request, template, **context), status, HEADERS)


def fragment(request: Request, template: str, **context: object) -> str:
    """Return a rendered template: a page, or a part of one.

    `root` leads from the request's address to the service's first page: all links begin with it, because through
    Dapr they stand below `/v1.0/invoke/<app-id>/method/`. A part that is sent later (chassis/pages/live.py) comes
    from an address as deep as its page's.
    """
    environment: Environment = request.app.state.templates
    path, parts = request.scope["path"], request.app.state.parts
    known = {"root": root_of(request), "path": path, "service": parts.name}
    # Through the public door the API's description is not served (gateway/routes.conf).
    known["has_docs"] = not sessions.is_private(parts)
    here = {**known, "signed_in": sessions.of(request), **context}
    return environment.get_template(template).render(here)


def root_of(request: Request) -> str:
    """Return what leads from a request's address to the service's first page."""
    return "../" * (request.scope["path"].count("/") - 1) or "./"


@pass_context
def hidden_fields(context: Context) -> Markup:
    """Return what each form has: a key, so that it is carried out once, and the token of its session."""
    fields = {"idempotencyKey": str(uuid7())}
    if signed_in := context.get("signed_in"):
        fields["formToken"] = signed_in.form_token
    field = Markup('<input type="hidden" name="{}" value="{}">')
    return Markup("\n").join(field.format(*each) for each in fields.items())


def see_other(location: str) -> Response:
    """Return the answer to a form that was carried out: the browser goes on to this address, relative to it."""
    return Response(status_code=303, headers={**HEADERS, "Location": location})


def moment(time: datetime) -> str:
    """Return a time as people read it."""
    return f"{time:%Y-%m-%d %H:%M:%S}"
