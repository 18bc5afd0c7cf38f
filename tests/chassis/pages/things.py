"""A small service with a page of its own, for the tests of what all pages have; `create_app` serves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.dapr import Sidecar
from chassis.errors import Rejected
from chassis.http import OPERATE, Body, Line, Read, View
from chassis.pages import Form, PageRouter, fragment, page, see_other, watch
from chassis.runtime import ServiceSettings, load
from chassis.service import create, make_parts
from services.order.app import MIGRATIONS, Settings
from tests.support.database import execute, secrets_in, url_in
from tests.support.services import Service, running
from tests.support.simulated_dapr import SimulatedDapr

router = PageRouter(Path(__file__).parent / "templates", scope=OPERATE)
NAMES = text("SELECT name FROM thing ORDER BY name")
ADD = text("INSERT INTO thing (name) VALUES (:name)")


class CreateThing(Body):
    """What a thing is made of."""

    thing_name: Annotated[Line, Field(min_length=1, max_length=20)]
    number: Annotated[int | None, Field(ge=1)] = None


class Thing(View):
    """A thing."""

    thing_name: str


class TooManyThings(Rejected):
    """There are too many things."""

    status = 409
    retry_after = 7


def create_thing(command: CreateThing, session: Session) -> Thing:
    """Store a thing."""
    if command.number == 1000:
        raise TooManyThings
    session.execute(ADD, {"name": command.thing_name})
    return Thing(thing_name=command.thing_name)


def names(session: Session) -> list[str]:
    """Return the names of all things."""
    return [*session.scalars(NAMES)]


async def list_of_things(read: Read, word: str) -> str:
    """Return the live part of the page."""
    return fragment(read, "list.html", things=[word, *await read(names)])


@router.get("/things/{word}")
async def get_things(word: str, read: Read) -> Response:
    """Show the things."""
    return page(read, "things.html", things=[word, *await read(names)], errors={})


@router.post("/things/{word}")
async def post_things(word: str, form: Form) -> Response:
    """Create a thing."""
    command, errors = form.parse(CreateThing)
    if command is None:
        return page(form, "things.html", 422, things=[word], errors=errors)
    answer = await form.run(lambda session: create_thing(command, session))
    assert answer.status_code == 200
    return see_other(word)


@router.get("/live/{word}", response_class=EventSourceResponse)
async def get_live(word: str, read: Read) -> AsyncIterator[ServerSentEvent]:
    """Stream the things."""
    async for each in watch(read, list_of_things, word):
        yield each


def create_app(
    settings: ServiceSettings | None = None, sidecar: Sidecar | None = None
) -> FastAPI:
    """Return the service's app."""
    parts = make_parts("order", settings or load(Settings), MIGRATIONS, sidecar)
    return create(parts, routers=[router])


@asynccontextmanager
async def small_service(
    folder: Path, dapr: SimulatedDapr, given: dict[str, str]
) -> AsyncIterator[Service]:
    """Run the service with these settings."""
    url, secrets = url_in(folder, "order"), secrets_in(folder)
    made = {"database_url": url, "secrets_folder": secrets, **given}
    app = create_app(Settings.model_validate(made), dapr.sidecar())
    async with running(app) as service:
        await execute(service.database, "CREATE TABLE thing (name text)")
        yield service
