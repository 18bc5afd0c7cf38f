"""A small API on the chassis' http room alone, with a database of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import FastAPI, Query, Response
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.dapr import Sidecar
from chassis.database import Database
from chassis.errors import Rejected
from chassis.http import (
    Body,
    Created,
    PageQuery,
    Read,
    Unit,
    View,
    create_api,
    refuses,
)
from chassis.outbox import Backlog
from chassis.parts import Parts
from chassis.runtime import ServiceSettings
from tests.support.database import KEYS, execute, migrated, migrations

ADD = text("INSERT INTO thing (name) VALUES (:name)")
COUNT = text("SELECT count(*) FROM thing")


class CreateThing(Body):
    """What a thing is made of."""

    thing_name: Annotated[str, Field(min_length=1)]


class Thing(View):
    """A thing."""

    thing_name: str


class NoSuchThing(Rejected):
    """There is no such thing."""

    status = 404


class ThingQuery(PageQuery):
    """Which things to list."""

    named_like: str | None = None


@dataclass
class Api:
    """A running API: its app, its database, and a client for it."""

    app: FastAPI
    database: Database
    http: httpx.AsyncClient

    async def count(self) -> int:
        """Return how many things there are."""
        return await self.database.read(lambda session: session.scalar(COUNT)) or 0

    def limit_backlog(self, limit: int) -> None:
        """Limit what may wait for the broker."""
        backlog = Backlog(self.database, limit)
        self.app.state.parts = replace(self.app.state.parts, backlog=backlog)


def create_thing(command: CreateThing, session: Session) -> Created:
    """Store a thing."""
    session.execute(ADD, {"name": command.thing_name})
    return Created(Thing(thing_name=command.thing_name), f"thing/{command.thing_name}")


def app_on(parts: Parts) -> FastAPI:
    """Return an app that creates and shows things."""
    app = create_api(parts.name)
    app.state.parts = parts

    @app.post("/api/thing", status_code=201, response_model=Thing)
    async def post_thing(command: CreateThing, unit: Unit) -> Response:
        """Create a thing."""
        return await unit.run(lambda session: create_thing(command, session))

    @app.post("/api/touch", response_model=Thing)
    async def post_touch(unit: Unit) -> Response:
        """Change nothing, whatever the body."""
        return await unit.run(lambda _session: Thing(thing_name="touched"))

    @app.get("/api/thing")
    async def get_things(
        query: Annotated[ThingQuery, Query()], read: Read
    ) -> dict[str, int]:
        """Count things."""
        found = await read(lambda session: session.scalar(COUNT))
        return {"count": found or 0, "limit": query.limit}

    @app.get("/api/thing/{name}")
    @refuses(NoSuchThing)
    async def get_thing(name: str, read: Read) -> Thing:
        """Show a thing."""
        mine = text("SELECT name FROM thing WHERE name = :name")
        found = await read(lambda session: session.scalar(mine, {"name": name}))
        if found is None:
            raise NoSuchThing
        return Thing(thing_name=found)

    return app


def parts_on(database: Database, folder: Path) -> Parts:
    """Return parts with this database; their sidecar is not there."""
    settings = ServiceSettings(database_url=database.url, secrets_folder=folder)
    return Parts(
        name="things",
        settings=settings,
        migrations=migrations("order"),
        database=database,
        sidecar=Sidecar("http://127.0.0.1:1"),
        keys=KEYS,
        secret="a-secret-of-the-feeds",
        backlog=Backlog(database, 100),
    )


@asynccontextmanager
async def api_in(folder: Path) -> AsyncIterator[Api]:
    """Run the API with its database in this folder."""
    database = migrated("order", folder)
    await execute(database, "CREATE TABLE IF NOT EXISTS thing (name text)")
    async with running(database, folder) as api:
        yield api
    await database.close()


@asynccontextmanager
async def running(database: Database, folder: Path) -> AsyncIterator[Api]:
    """Run the API on a database."""
    app = app_on(parts_on(database, folder))
    # An unexpected error is answered like any other; the test sees the answer, not the exception.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        yield Api(app, database, http)
