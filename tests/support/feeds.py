"""Feeds and the services around them, in this process: tests take each step themselves."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy import delete, event, insert, select, update
from sqlalchemy.orm import Session

from chassis import errors
from chassis import feed as feed_room
from chassis.cloud_event import Cause, CloudEvent, create_cloud_event
from chassis.dapr import Sidecar
from chassis.database import Database, add
from chassis.event import Event
from chassis.outbox import Backlog
from chassis.outbox.outbox import State, outbox, row, transaction_id
from chassis.outbox.outbox import feed as feed_table
from chassis.parts import Parts
from chassis.runtime import ServiceSettings
from contracts.notification_sent import NotificationSent
from contracts.order_created import OrderCreated
from tests.support.database import KEYS, migrations

SECRET = "the-secret-of-the-feeds"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
AT = "2026-01-31T08:15:30.123Z"

Letter = tuple[Event, dict[str, Any]]
"""An event, and the envelope that it is in."""


def parts_of(name: str, database: Database, sidecar: Sidecar | None = None) -> Parts:
    """Return the parts of a service on this database."""
    settings = ServiceSettings(database_url=database.url)
    return Parts(
        name=name,
        settings=settings,
        migrations=migrations(name) if name in {"order", "notification"} else Path(),
        database=database,
        sidecar=sidecar or Sidecar(settings.sidecar_url),
        keys=KEYS,
        secret=SECRET,
        backlog=Backlog(database, settings.backlog_limit),
    )


def order_created(name: str = "Jane Doe", order_id: UUID | None = None) -> Letter:
    """Return an OrderCreated as the order service publishes it, signed."""
    order_id = order_id or uuid4()
    data = {"orderId": order_id, "customerName": name, "createdAt": AT}
    return _signed(OrderCreated.model_validate(data), order_id)


def another(order_id: UUID | None = None) -> Letter:
    """Return an event of another topic."""
    order_id = order_id or uuid4()
    data = {"orderId": order_id, "channel": "console", "sentAt": AT}
    return _signed(NotificationSent.model_validate(data), order_id)


def _signed(event: Event, subject: UUID) -> Letter:
    cause = Cause(TRACE)
    return event, create_cloud_event(
        event, service="order", subject=subject, cause=cause, keys=KEYS
    )


def append_letters(session: Session, *letters: Letter) -> None:
    """Append events to the outbox in the envelopes that they are in already."""
    for letter in letters:
        add(session, outbox, row(*letter))


def ids(page: dict[str, Any]) -> list[str]:
    """Return the ids of a page's events."""
    return [each["id"] for each in page["events"]]


class Feed:
    """The feed of a service's database, and an app that serves it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.app = FastAPI()
        errors.install(self.app)
        self.app.state.parts = parts = parts_of("order", database)
        self.app.include_router(feed_room.router(parts))

    async def says(self, *letters: Letter) -> list[str]:
        """Append these events in one transaction; return their ids."""
        await self.database.write(lambda session: append_letters(session, *letters))
        return [envelope["id"] for _, envelope in letters]

    async def says_orders(self, number: int) -> list[str]:
        """Append so many OrderCreated; return their ids."""
        return await self.says(*(order_created() for _ in range(number)))

    async def says_raw(
        self, *events: str, topic: str = "OrderCreated", event_id: str = ""
    ) -> None:
        """Insert what is no event into the outbox, or one under the id of another."""
        rows = [
            {
                "event_id": event_id or _id_of(each),
                "topic": topic,
                "event": each,
                "size": len(each.encode()),
                "state": State.PULL_ONLY,
            }
            for each in events
        ]
        statement = insert(outbox).values(transaction=transaction_id())
        await self.database.write(lambda session: session.execute(statement, rows))

    async def becomes_another(self) -> None:
        """Become the feed of another database, with the same events in it."""
        await self.execute(update(feed_table).values(id=uuid4()))

    async def forgets(self, position: int) -> None:
        """Lose an event, as an older backup does."""
        await self.execute(delete(outbox).where(outbox.c.position == position))

    async def removes_until(self, position: int) -> None:
        """Remove events as retention does."""
        last = select(outbox.c.transaction).where(outbox.c.position == position)
        mark = {"removed_transaction": last.scalar_subquery()}
        await self.execute(
            update(feed_table).values(**mark, removed_position=position),
            delete(outbox).where(outbox.c.position <= position),
        )

    async def change(self, at: int, **values: object) -> None:
        """Change the row at this position."""
        mine = outbox.c.position == at
        await self.execute(update(outbox).where(mine).values(**values))

    async def execute(self, *statements: Any) -> None:  # noqa: ANN401 - any statements
        """Execute statements in one transaction."""

        def work(session: Session) -> None:
            for each in statements:
                session.execute(each)

        await self.database.write(work)

    async def stored(self) -> Sequence[Any]:
        """Return the outbox's rows, oldest first."""
        rows = select(outbox).order_by(outbox.c.position)
        return await self.database.read(lambda session: session.execute(rows).all())

    async def asked(self, **query: str | int) -> httpx.Response:
        """Return what another service is answered that asks for a page."""
        return await self.asked_with(f"Bearer {SECRET}", query)

    async def asked_with_ids(self, ids: Sequence[str]) -> httpx.Response:
        """Return what another service is answered that asks for events by their ids."""
        return await self.asked_with(f"Bearer {SECRET}", {"id": list(ids)})

    async def asked_with(
        self, authorization: str, query: Mapping[str, str | int | Sequence[str]]
    ) -> httpx.Response:
        """Ask with this authorization."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        params = {"topic": "OrderCreated", **query}
        headers = [(b"authorization", authorization.encode("latin-1"))]
        async with httpx.AsyncClient(
            transport=transport, base_url="http://app"
        ) as http:
            return await http.get("/events", params=params, headers=headers)

    async def page(self, **query: str | int) -> dict[str, Any]:
        """Return a page that exists."""
        answer = await self.asked(**query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def _id_of(raw: str) -> str:
    try:
        return CloudEvent.model_validate_json(raw).id
    except ValidationError:
        return str(uuid4())


@asynccontextmanager
async def open_transaction(database: Database) -> AsyncIterator[Session]:
    """Hold a unit of work open beside the others; it is committed at the end, or rolled back on an error."""
    loop, leaves = asyncio.get_running_loop(), Future[None]()
    opened: asyncio.Future[Session] = loop.create_future()

    def work(session: Session) -> None:
        loop.call_soon_threadsafe(opened.set_result, session)
        leaves.result(60)

    unit = asyncio.create_task(database.write(work))
    try:
        yield await opened
    except Exception as error:  # noqa: BLE001 - the unit of work raises it
        leaves.set_exception(error)
    else:
        leaves.set_result(None)
    await unit


@contextmanager
def meanwhile(
    feed: Feed, part: str, do: Callable[[int], Awaitable[object]]
) -> Iterator[None]:
    """Do something once, between two statements of another: before the one that contains `part`."""
    waiting = [do]
    loop = asyncio.get_running_loop()

    async def act(what: Callable[[int], Awaitable[object]]) -> None:
        await what(1)

    def before(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six
        # On a reader's thread: the event loop is free.
        if waiting and part in arguments[2]:
            asyncio.run_coroutine_threadsafe(act(waiting.pop()), loop).result(30)

    hook = (feed.database.engine, "before_cursor_execute", before)
    event.listen(*hook)
    try:
        yield
    finally:
        event.remove(*hook)
    assert not waiting, f"no statement contained {part}"
