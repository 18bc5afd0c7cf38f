"""The playground's page: every switch is a form, and all of it is there without script too."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from chassis.pages import static
from chassis.pages.page import HEADERS
from verification.playground import words
from verification.playground.engine import MOST_RATE, SERVICE_OF, Playground, Refused
from verification.playground.scenarios import SCENARIOS
from verification.playground.side import PARTS

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
HOSTS = ["127.0.0.1", "localhost"]
"""Whoever else's name leads to this machine (DNS rebinding) is refused."""
MOST_STREAMS = 20
REFRESHED_EVERY = 0.5
MOST_BYTES = 1000
"""Of a form."""


def create_app(
    playground: Playground, is_ending: Callable[[], bool] = lambda: False
) -> FastAPI:
    """Return the page's app; its streams end when the server ends."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)
    app.include_router(static.router)
    app.add_exception_handler(HTTPException, _refuse)
    _add_pages(app, playground)
    _add_stream(app, playground, is_ending)
    _add_switches(app, playground)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"detail": error.detail}, error.status_code, HEADERS)
    html = request.app.state.templates.get_template("refused.html")
    text = html.render(detail=error.detail, status=error.status_code)
    return Response(text, error.status_code, HEADERS, "text/html")


def _add_pages(app: FastAPI, playground: Playground) -> None:
    templates = app.state.templates = _templates()

    def render(template: str) -> str:
        return templates.get_template(template).render(playground.view())

    @app.get("/")
    async def get_page() -> Response:
        html = render("playground.html")
        return Response(html, headers=HEADERS, media_type="text/html")

    @app.get("/playground.css")
    async def get_style() -> Response:
        style = (STATIC / "playground.css").read_bytes()
        return Response(style, headers=HEADERS, media_type="text/css")

    @app.get("/playground.js")
    async def get_script() -> Response:
        script = (STATIC / "playground.js").read_bytes()
        return Response(script, headers=HEADERS, media_type="text/javascript")

    @app.get("/api")
    async def get_view() -> JSONResponse:
        return JSONResponse(playground.view(), headers=HEADERS)

    app.state.render = render


def _add_stream(
    app: FastAPI, playground: Playground, is_ending: Callable[[], bool]
) -> None:
    streams = 0

    @app.get("/live", response_class=EventSourceResponse)
    async def get_live() -> AsyncIterator[ServerSentEvent]:
        nonlocal streams
        if streams >= MOST_STREAMS:
            why = f"{MOST_STREAMS} pages are live already. Reload this one to see what is new."
            yield ServerSentEvent(event="not-live", raw_data=why, retry=30_000)
            return
        streams += 1
        try:
            sent = ""
            while not is_ending():
                html = app.state.render("live.html")
                if html != sent:
                    sent = html
                    yield ServerSentEvent(raw_data=html)
                await asyncio.sleep(REFRESHED_EVERY)
        finally:
            streams -= 1


def _add_switches(app: FastAPI, playground: Playground) -> None:
    @app.post("/do/{verb}")
    @app.post("/do/{verb}/{target}")
    async def do(request: Request, verb: str, target: str = "") -> Response:
        _check_site(request)
        try:
            playground.do(verb, target or await _rate(request))
        except KeyError as error:
            raise HTTPException(404, "There is no such switch.") from error
        except Refused as error:
            playground.write(f"refused: {error}")
            raise HTTPException(409, str(error)) from error
        return _done(request, playground)


def _check_site(request: Request) -> None:
    # A browser says where a form comes from; a program says nothing, and may.
    site, origin = (request.headers.get(each) for each in ("sec-fetch-site", "origin"))
    if site is None and origin is not None:
        is_own = urlsplit(origin).netloc == request.headers.get("host")
        site = "same-origin" if is_own else "cross-site"
    if site not in {None, "same-origin", "none"}:
        raise HTTPException(403, "This form was sent by a page of another site.")


async def _rate(request: Request) -> str:
    if int(request.headers.get("content-length") or MOST_BYTES) >= MOST_BYTES:
        return ""
    fields = parse_qs((await request.body()).decode(errors="replace"))
    return fields.get("rate", [""])[0]


def _done(request: Request, playground: Playground) -> Response:
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(playground.view(), 202, HEADERS)
    if "hx-request" in request.headers:
        return Response(status_code=204, headers=HEADERS)
    return Response(status_code=303, headers={**HEADERS, "Location": "/"})


def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(
        asset=static.asset,
        parts=PARTS,
        service_of=SERVICE_OF,
        words=words,
        scenarios=SCENARIOS,
        most_rate=MOST_RATE,
    )
    return made
