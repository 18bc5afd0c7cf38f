"""A reconciler that takes a step when a test wants it to, on the test's clock."""

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from sqlalchemy import Engine, delete, event, insert, select, text
from sqlalchemy.exc import OperationalError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.database import Database
from chassis.inbox import Inbox
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.reaction import inbox
from chassis.reconciler import Reconciler
from chassis.reconciler.cursor import feed_cursor
from chassis.reconciler.grace_period import SHORTEST
from services.notification.model import Notification
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.database import KEYS, migrated
from tests.support.delivering import received
from tests.support.feeds import Feed, Letter, parts_of
from tests.support.simulated_dapr import SimulatedDapr

Hook = tuple[Engine, str, Callable[..., None]]

ENOUGH = 100
"""Steps in which whatever a test publishes is handled."""


class Pull:
    """The notification service's pull of OrderCreated, and the feed that it pulls from."""

    def __init__(self, feed: Feed, database: Database, dapr: SimulatedDapr) -> None:
        self.feed = feed
        self.database = database
        self.dapr = dapr
        self.now = 1000.0
        self.reaction = reaction
        self.asked: list[dict[str, str]] = []
        self.answer: ASGIApp | None = None
        # By the form that is asked for, or "by ids": what is answered instead.
        self.answers: dict[str, object] = {}
        self.before_it_is_heard: list[Callable[[], Awaitable[object]]] = []
        self.reconciler = self.another()
        dapr.apps["order"] = self._serve

    def another(self, name: str = "notification") -> Reconciler:
        """Return another reconciler of the same reaction, as a second process has it, or another service."""
        database = Database(self.database.url, name, keys=KEYS)
        self._databases = [*getattr(self, "_databases", []), database]
        parts = parts_of(name, database, self.dapr.sidecar())
        own = Inbox(database, KEYS)
        return Reconciler(parts, own, self.reaction, clock=lambda: self.now)

    async def step(self) -> bool:
        """Take one step."""
        return await self.reconciler.step()

    async def catches_up(self) -> None:
        """Handle everything there is, whatever is pushed having had its time to arrive."""
        await self.step()
        self.now += SHORTEST
        for _ in range(ENOUGH):
            if not await self.step():
                return
        raise AssertionError(f"there is more after {ENOUGH} steps")

    async def is_pushed(self, *letters: Letter) -> None:
        """Deliver these events as the broker does."""
        for _, envelope in letters:
            event = received(json.dumps(envelope, ensure_ascii=False).encode())
            assert await Inbox(self.database, KEYS).handle(reaction, event) == "SUCCESS"

    async def taken(self) -> list[str]:
        """Return the ids of the events that made notifications, in the order of the feed."""
        rows = await self._select(select(Notification.caused_by))
        return await self._in_order({row.caused_by: row.caused_by for row in rows})

    async def inbox(self) -> list[str]:
        """Return the ids of the events that the inbox has, in the order of the feed."""
        rows = await self._select(select(inbox.c.event_id))
        return await self._in_order({row.event_id: row.event_id for row in rows})

    async def arrivals(self) -> list[str]:
        """Return how each event arrived, in the order of the feed."""
        rows = await self._select(select(inbox.c.event_id, inbox.c.arrival))
        return await self._in_order({row.event_id: row.arrival for row in rows})

    async def _in_order(self, found: dict[str, str]) -> list[str]:
        places = {row.event_id: row.position for row in await self.feed.stored()}
        ids = sorted(found, key=lambda each: places.get(each, 0))
        return [found[each] for each in ids]

    async def dead(self) -> list[Any]:
        """Return the dead letters."""
        return await self._select(select(dead_letter).order_by(dead_letter.c.id))

    async def cursor(self) -> str | None:
        """Return the cursor up to which everything is handled."""
        rows = await self._select(select(feed_cursor.c.cursor))
        return rows[0].cursor if rows else None

    async def begins_at(self, cursor: str) -> None:
        """Set the cursor of a reaction that has none."""
        row = {"reaction": reaction.name, "cursor": cursor}
        await self.execute(insert(feed_cursor).values(row))

    async def forgets_its_place(self) -> None:
        """Delete the cursor."""
        await self.execute(delete(feed_cursor))

    async def is_wiped(self) -> None:
        """Lose everything, as a database does that is created again."""
        for table in (feed_cursor, inbox, Notification):
            await self.execute(delete(table))

    async def renames(self, table: str, name: str) -> None:
        """Rename a table."""
        await self.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))

    async def execute(self, statement: Any) -> None:  # noqa: ANN401 - any statement
        """Execute a statement in this service's database."""
        await self.database.write(lambda session: session.execute(statement))

    @contextmanager
    def failing_to_commit(self) -> Iterator[None]:
        """Make every commit of the reconciler fail as on a full disk."""

        def fail(_connection: object) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise OperationalError("COMMIT", None, error)

        hook = (self.reconciler.parts.database.engine, "commit", fail)
        event.listen(*hook)
        try:
            yield
        finally:
            event.remove(*hook)

    @contextmanager
    def counting(self) -> Iterator[dict[str, list[str]]]:
        """Note the first word of each statement, of the pull and of the feed."""
        words: dict[str, list[str]] = {"notification": [], "order": []}

        def listen(database: Database, into: list[str]) -> Hook:
            def note(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six
                into.append(arguments[2].split()[0])

            return database.engine, "before_cursor_execute", note

        hooks = [
            listen(self.reconciler.parts.database, words["notification"]),
            listen(self.feed.database, words["order"]),
        ]
        for hook in hooks:
            event.listen(*hook)
        try:
            yield words
        finally:
            for hook in hooks:
                event.remove(*hook)

    async def close(self) -> None:
        """Close every database."""
        for database in (*self._databases, self.database, self.feed.database):
            await database.close()

    async def _select(self, statement: Any) -> list[Any]:  # noqa: ANN401 - any columns
        return await self.database.read(
            lambda session: list(session.execute(statement).all())
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode())
        self.asked.append({name: values[0] for name, values in query.items()})
        form = "by ids" if "id" in query else self.asked[-1].get("form", "")
        said = self.answers.get(form)
        answer = self.answer or (JSONResponse(said) if said else self.feed.app)
        await answer(scope, receive, send)
        while self.before_it_is_heard:
            await self.before_it_is_heard.pop()()


@asynccontextmanager
async def pulling(folder: Path, dapr: SimulatedDapr) -> AsyncIterator[Pull]:
    """Make a feed and its consumer, on databases in this folder; all is closed at the end."""
    feed = Feed(migrated("order", folder))
    pull = Pull(feed, migrated("notification", folder), dapr)
    yield pull
    await pull.close()
