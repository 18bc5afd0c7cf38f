"""Who pulls from a feed: a reconciler that takes a step when a test says so, on the test's clock."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from sqlalchemy import Engine, delete, event, insert, select, text
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.database.unit_of_work import Database
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import inbox
from chassis.reconciler.cursor import feed_cursor
from chassis.reconciler.grace_period import SETTLE
from chassis.reconciler.reconciler import Reconciler
from services.notification.model import Notification
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.database import migrated
from tests.support.feeds import SECRET, Feed
from tests.support.simulated_dapr import SimulatedDapr

Hook = tuple[Engine, str, Callable[..., None]]

ENOUGH = 100
"""Steps that take in whatever a test says."""


class Pull:
    """The notification service's pull of OrderCreated, and the feed that it is pulled from."""

    def __init__(self, feed: Feed, database: Database, dapr: SimulatedDapr) -> None:
        self.feed = feed
        self.database = database
        self.dapr = dapr
        self.now = 1000.0
        self.asked: list[dict[str, str]] = []
        self.answer: ASGIApp | None = None
        # By the form that is asked for, or "by ids": what is answered instead.
        self.answers: dict[str, object] = {}
        self.before_it_is_heard: list[Callable[[], Awaitable[object]]] = []
        self.reconciler = self.another()
        dapr.apps["order"] = self._serve

    def another(self) -> Reconciler:
        """Make another one that pulls the same, as a second process would."""
        database = Database(self.database.url, "notification")
        sidecar = self.dapr.sidecar()
        made = Reconciler(database, sidecar, reaction, SECRET, lambda: self.now)
        self._databases = [*getattr(self, "_databases", []), database]
        return made

    async def step(self) -> bool:
        """Take one step."""
        return await self.reconciler.step()

    async def catches_up(self) -> None:
        """Take in all that there is, whatever was pushed having had its time."""
        await self.step()
        self.now += SETTLE
        for _ in range(ENOUGH):
            if not await self.step():
                return
        raise AssertionError(f"there is more after {ENOUGH} steps")

    async def taken(self) -> list[str]:
        """Give the ids of the events that made notifications, in the order in which they were taken in."""
        its_key = inbox.c.event_id == Notification.caused_by
        made = select(Notification.caused_by).outerjoin(inbox, its_key)
        rows = await self._select(made.order_by(inbox.c.taken_at, Notification.id))
        return [row.caused_by for row in rows]

    async def inbox(self) -> list[str]:
        """Give the ids of the events that the inbox has."""
        rows = select(inbox.c.event_id).order_by(inbox.c.taken_at)
        return [row.event_id for row in await self._select(rows)]

    async def arrivals(self) -> list[str]:
        """Give how each event came in."""
        rows = select(inbox.c.arrival).order_by(inbox.c.taken_at)
        return [row.arrival for row in await self._select(rows)]

    async def dead(self) -> list[Any]:
        """Give the dead letters."""
        return await self._select(select(dead_letter).order_by(dead_letter.c.id))

    async def cursor(self) -> str | None:
        """Give the place up to which all is taken in."""
        rows = await self._select(select(feed_cursor.c.cursor))
        return rows[0].cursor if rows else None

    async def begins_at(self, cursor: str) -> None:
        """Let it have read so far."""
        row = {"reaction": reaction.name, "cursor": cursor}
        async with self.database.write() as session:
            await session.execute(insert(feed_cursor).values(row))

    async def forgets_its_place(self) -> None:
        """Let it begin with the oldest event again."""
        async with self.database.write() as session:
            await session.execute(delete(feed_cursor))

    async def renames(self, table: str, name: str) -> None:
        """Give a table another name."""
        async with self.database.write() as session:
            await session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))

    @contextmanager
    def failing_to_commit(self) -> Iterator[None]:
        """Let no transaction of the reconciler end well."""

        def fail(_connection: object) -> None:
            raise OSError("no space left on device")

        hook = (self.reconciler.database.engine.sync_engine, "commit", fail)
        event.listen(*hook)
        try:
            yield
        finally:
            event.remove(*hook)

    @contextmanager
    def counting(self) -> Iterator[dict[str, list[str]]]:
        """Write down the first word of each statement, of the pull and of the feed."""
        words: dict[str, list[str]] = {"notification": [], "order": []}

        def listen(database: Database, into: list[str]) -> Hook:
            def note(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six
                into.append(arguments[2].split()[0])

            return database.engine.sync_engine, "before_cursor_execute", note

        hooks = [
            listen(self.reconciler.database, words["notification"]),
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
        async with self.database.read() as session:
            return list((await session.execute(statement)).all())

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
    """Make a feed and who pulls from it, on databases in this folder; all is closed at the end."""
    feed = Feed(migrated("order", folder))
    pull = Pull(feed, migrated("notification", folder), dapr)
    yield pull
    await pull.close()
