"""Dead letters of a small service whose one reaction greets a customer, and may fail."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from chassis import dead_letters
from chassis.cloud_event import CloudEvent
from chassis.dapr import Sidecar
from chassis.database import Database, wake
from chassis.http import create_api
from chassis.inbox import Inbox, Reaction, Status
from chassis.inbox.dead_letter import count_in_group, dead_letter
from chassis.inbox.reaction import inbox
from chassis.runtime import clock
from contracts.order_created import OrderCreated
from tests.chassis.http.thing_api import parts_on
from tests.support.carried import Carried
from tests.support.database import KEYS, execute, migrated
from tests.support.delivering import order_created, received

REACTION = "greet_customer"
GREETINGS = text("SELECT caused_by FROM greeting ORDER BY caused_by")
WHY = {"reason": "A test of the broker", "by": "jane"}
WHO = {"by": "jane"}


def greet(event: OrderCreated, envelope: CloudEvent, session: Session) -> None:
    """Store a greeting: one for each order."""
    row = {"order": str(event.order_id), "event": envelope.id}
    session.execute(text("INSERT INTO greeting VALUES (:order, :event)"), row)
    wake(session, "greetings")


@dataclass
class Letters:
    """The service: its database, its API, and what its reaction does."""

    database: Database
    http: httpx.AsyncClient
    sidecar: Sidecar
    act: Any = field(default=greet)
    store: dead_letters.Letters = field(init=False)

    async def receive(self, *events: dict[str, Any] | bytes) -> list[Status]:
        """Deliver events to the reaction, one after the other."""
        arrived = Inbox(self.database, KEYS)
        return [
            await arrived.handle(reaction_of(self), received(each)) for each in events
        ]

    async def kept(
        self, body: bytes, reaction: str = REACTION, *, authentic: bool = True
    ) -> int:
        """Store a dead letter that holds no key; return its id."""
        row = {
            "reaction": reaction,
            "reason": "it was too early",
            "body": body,
            "authentic": authentic,
            "received_at": clock.now(),
        }
        statement = insert(dead_letter).returning(dead_letter.c.id)

        def work(session: Session) -> int:
            row["fingerprint"] = count_in_group(session, row)
            return int(session.execute(statement.values(row)).scalar_one())

        return await self.database.write(work)

    async def kept_event(
        self, reaction: str = REACTION, *, authentic: bool = True
    ) -> tuple[int, str]:
        """Store a dead letter of an event that can be handled; return its id and the event's."""
        event = order_created()
        body = json.dumps(event).encode()
        return await self.kept(body, reaction, authentic=authentic), event["id"]

    async def replay(self, letter: object, query: str = "") -> httpx.Response:
        """Replay a dead letter."""
        url = f"/api/dead-letter/{letter}/replay{query}"
        return await self.http.post(url, json=WHO)

    async def discard(self, letter: object, **given: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        """Discard a dead letter."""
        url = f"/api/dead-letter/{letter}/discard"
        return await self.http.post(url, **{"json": WHY, **given})

    async def shown(self, letter: int) -> dict[str, Any]:
        """Return one dead letter as it is shown."""
        answer = await self.http.get(f"/api/dead-letter/{letter}")
        assert answer.status_code == 200
        return dict(answer.json())

    async def listed(self, query: str = "") -> dict[str, Any]:
        """Return a page of dead letters."""
        answer = await self.http.get(f"/api/dead-letter{query}")
        assert answer.status_code == 200
        return dict(answer.json())

    async def greeted(self) -> list[str]:
        """Return the ids of the events that greetings came from."""
        return await self.database.read(lambda session: [*session.scalars(GREETINGS)])

    async def rows(self, *columns: Any) -> list[Any]:  # noqa: ANN401 - any columns
        """Return these columns of every row."""
        return await self.database.read(
            lambda session: [*session.execute(select(*columns))]
        )

    async def everything(self) -> list[list[Any]]:
        """Return all that a replay could change."""
        tables = [await self.rows(each) for each in (dead_letter, inbox)]
        return [*tables, await self.greeted()]


class Invoking(httpx.AsyncBaseTransport):
    """What a sidecar does with an invocation of the service."""

    def __init__(self, app: httpx.AsyncBaseTransport) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on to the app."""
        path = request.url.raw_path.removeprefix(b"/v1.0/invoke/greetings/method")
        request.url = request.url.copy_with(raw_path=path)
        return await self._app.handle_async_request(request)


def reaction_of(letters: Letters) -> Reaction[OrderCreated]:
    """Return the reaction, which does what the test says."""

    def act(event: OrderCreated, envelope: CloudEvent, session: Session) -> None:
        letters.act(event, envelope, session)

    return Reaction(OrderCreated, act, known_as=REACTION)


@asynccontextmanager
async def letters_in(folder: Path) -> AsyncIterator[Letters]:
    """Run the service with its database in this folder."""
    database = migrated("notification", folder)
    table = "CREATE TABLE greeting (order_id text PRIMARY KEY, caused_by text)"
    await execute(database, table)
    app = create_api("greetings")
    app.state.parts = parts_on(database, folder)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    sidecar = Sidecar("http://sidecar", wire=Carried(Invoking(transport)))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        letters = Letters(database, http, sidecar)
        reactions, keys = {REACTION: reaction_of(letters)}, Inbox(database, KEYS)
        letters.store = dead_letters.Letters(database, keys, reactions)
        for each in dead_letters.routers(app, letters.store):
            app.include_router(each)
        yield letters
    await database.close()


def is_refused(answer: httpx.Response, status: int, problem: str) -> str:
    """Check that a request is refused with this problem; return its detail."""
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    expected = (status, f"urn:problem-type:{problem}")
    assert (answer.status_code, found["type"]) == expected
    return str(found["detail"])
