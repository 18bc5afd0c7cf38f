"""Feeds and those who pull from them, without a service around them: tests take each step themselves."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy import delete, event, insert, select, update
from sqlalchemy.util import await_only

from chassis import errors
from chassis.cloud_event import Cause, CloudEvent, envelop
from chassis.database.unit_of_work import Database
from chassis.event import Event
from chassis.feed import api as feed_api
from chassis.feed.consumers import Readers
from chassis.outbox.outbox import State, outbox, put, transaction_id
from chassis.outbox.outbox import feed as feed_table
from contracts.notification_sent import NotificationSent
from contracts.order_created import OrderCreated

SECRET = "the secret of the feeds"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
AT = "2026-01-31T08:15:30.123Z"

Letter = tuple[Event, CloudEvent]


def order_created(name: str = "Jane Doe", order_id: UUID | None = None) -> Letter:
    """Make an OrderCreated as the order service says it."""
    order_id = order_id or uuid4()
    data = {"orderId": order_id, "customerName": name, "createdAt": AT}
    said = OrderCreated.model_validate(data)
    return said, envelop(said, service="order", subject=order_id, cause=Cause(TRACE))


def another(order_id: UUID | None = None) -> Letter:
    """Make an event of another topic."""
    order_id = order_id or uuid4()
    said = NotificationSent.model_validate(
        {"orderId": order_id, "channel": "console", "sentAt": AT}
    )
    return said, envelop(said, service="order", subject=order_id, cause=Cause(TRACE))


def ids(page: dict[str, Any]) -> list[str]:
    """Give the ids of a page's events."""
    return [each["id"] for each in page["events"]]


class Feed:
    """The feed of a service's database, and an app that serves it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.app = FastAPI()
        self.app.state.database, self.app.state.secret = database, SECRET
        self.app.state.readers = Readers(database)
        errors.install(self.app)
        self.app.include_router(feed_api.router)

    async def says(self, *letters: Letter) -> list[str]:
        """Let these events leave in one transaction; give their ids."""
        async with self.database.write() as session:
            await put(session, letters)
        return [envelope.id for _, envelope in letters]

    async def says_orders(self, number: int) -> list[str]:
        """Let so many OrderCreated leave; give their ids."""
        return await self.says(*(order_created() for _ in range(number)))

    async def says_raw(
        self, *events: str, topic: str = "OrderCreated", event_id: str = ""
    ) -> None:
        """Put what is no event into the outbox, or one in a row of another."""
        rows = [
            {"event_id": event_id or _id_of(each), "topic": topic, "event": each}
            for each in events
        ]
        statement = insert(outbox).values(
            transaction=transaction_id(), state=State.PULLED
        )
        async with self.database.write() as session:
            await session.execute(statement, rows)

    async def becomes_another(self) -> None:
        """Become the feed of another database, with the same events in it."""
        async with self.database.write() as session:
            await session.execute(update(feed_table).values(id=uuid4()))

    async def forgets(self, position: int) -> None:
        """Forget an event, as a backup does that is older."""
        async with self.database.write() as session:
            await session.execute(delete(outbox).where(outbox.c.position == position))

    async def stored(self) -> Sequence[Any]:
        """Give the outbox's rows, oldest first."""
        async with self.database.read() as session:
            rows = select(outbox).order_by(outbox.c.position)
            return (await session.execute(rows)).all()

    async def change(self, at: int, **values: object) -> None:
        """Change the row at this position."""
        async with self.database.write() as session:
            mine = outbox.c.position == at
            await session.execute(update(outbox).where(mine).values(**values))

    async def asked(self, **query: str | int) -> httpx.Response:
        """Ask for a page as another service does; give the answer as it is."""
        return await self.asked_with(f"Bearer {SECRET}", query)

    async def asked_with_ids(self, ids: Sequence[str]) -> httpx.Response:
        """Ask for events by their ids."""
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
        """Ask for a page that there is."""
        answer = await self.asked(**query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def _id_of(raw: str) -> str:
    try:
        return CloudEvent.model_validate_json(raw).id
    except ValidationError:
        return str(uuid4())


@contextmanager
def meanwhile(
    feed: Feed, part: str, do: Callable[[int], Awaitable[object]]
) -> Iterator[None]:
    """Do something once, between two statements of another: before the one that contains `part`."""
    waiting = [do]

    def before(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six
        if waiting and part in arguments[2]:
            await_only(waiting.pop()(1))

    hook = (feed.database.engine.sync_engine, "before_cursor_execute", before)
    event.listen(*hook)
    try:
        yield
    finally:
        event.remove(*hook)
    assert not waiting, f"no statement contained {part}"
