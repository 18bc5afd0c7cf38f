"""A service's process: an app with a life of its own, which can end at any point at once, as by SIGKILL."""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO, Any, TypeVar

from fastapi import FastAPI
from starlette.types import Message, Scope

from chassis.runtime import clock
from verification.simulation.chance import Chance
from verification.simulation.virtual_loop import owner

EPOCH = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
T = TypeVar("T")


class Died(Exception):
    """The process that was asked has died meanwhile."""


@dataclass(frozen=True)
class Answer:
    """What an app has answered, complete."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(eq=False)
class Process:
    """One life of a service: `on_point` is asked at each crash point whether it ends here.

    `trouble` is asked at each BEGIN and COMMIT what SQLite says instead of doing it, if anything.
    """

    name: str
    chance: Chance
    skew: Callable[[], float]
    on_point: Callable[["Process", str], bool]
    trouble: Callable[["Process", str], str]
    app: FastAPI | None = None
    dead: bool = False
    is_held: bool = False
    is_serving: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _connections: list[sqlite3.Connection] = field(default_factory=list)
    _locks: list[IO[bytes]] = field(default_factory=list)
    _waiting: dict[asyncio.Future[Any], None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the surroundings in which all of its tasks run."""
        self.context = copy_context()
        self.context.run(owner.set, self)
        surroundings = clock.Ambient(self._now, self.chance.bits)
        self.context.run(clock.current.set, surroundings)

    def _now(self) -> datetime:
        seconds = asyncio.get_running_loop().time() + self.skew()
        return EPOCH + timedelta(seconds=seconds)

    def start(self, make: Callable[[], FastAPI]) -> None:
        """Make the app and serve, until it is asked to stop."""
        self.app = self.context.run(make)
        self._begin(self._live(self.app))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, context=self.context))

    async def _live(self, app: FastAPI) -> None:
        async with app.router.lifespan_context(app):
            self.is_serving = True
            self.ready.set()
            await self.stopping.wait()
            self.is_serving = False
        self.crash()

    async def asked(self, scope: Scope, body: bytes = b"") -> Answer:
        """Hand a request in from outside; raises Died where the process ends before it has answered."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = None
        self._begin(self._answer(scope, body, answer))
        return await answer

    async def _answer(
        self, scope: Scope, body: bytes, answer: asyncio.Future[Answer]
    ) -> None:
        said = await _run(self.app, scope, body)
        await self.point(f"before an answer to {scope['path']}")
        self._waiting.pop(answer, None)
        if not answer.done():
            answer.set_result(said)
        await self.point(f"after an answer to {scope['path']}")

    async def outside(self, call: Coroutine[Any, Any, T]) -> T:
        """Let something happen outside, which goes on when this process dies."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        async def happen() -> None:
            try:
                done = await call
            except Exception as error:  # noqa: BLE001 - it is handed on
                if not result.done():
                    result.set_exception(error)
            else:
                if not result.done():
                    result.set_result(done)

        self._tasks.append(loop.create_task(happen(), context=Context()))
        return await result

    async def point(self, where: str) -> None:
        """Pass a point at which this process may die; nothing comes after it then."""
        if not self.dead and self.on_point(self, where):
            self.crash()
            await _never()

    async def pause(self) -> None:
        """Let others come between, for as long as a disk takes."""
        if not self.dead:
            await asyncio.sleep(self.chance.between(0, 0.002))

    def crash(self) -> None:
        """End at once: what was not committed is gone, locks are free, callers hear of it."""
        if self.dead:
            return
        self.dead, self.is_serving = True, False
        for connection in self._connections:
            connection.close()
        for file in self._locks:
            _let_go(file)
        for waiting in self._waiting:
            _fail(waiting)
        self.ended.set()

    def holds(self, file: IO[bytes]) -> None:
        """Let go of this lock when the process dies."""
        self._locks.append(file)

    def opened(self, connection: sqlite3.Connection) -> None:
        """Close this connection when the process dies."""
        self._connections.append(connection)


def here() -> Process:
    """Give the process that runs at the moment."""
    process = owner.get()
    assert isinstance(process, Process), "this happens outside of all processes"
    return process


def _let_go(file: IO[bytes]) -> None:
    if not file.closed:
        fcntl.flock(file, fcntl.LOCK_UN)


def _fail(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(Died())


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


async def _run(app: FastAPI | None, scope: Scope, body: bytes) -> Answer:
    assert app
    said: list[Message] = []
    heard: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return heard.pop() if heard else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        said.append(message)

    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 - the app has answered 500, and says why
        if not said:
            return Answer(500, [], b"")
    content = b"".join(each.get("body", b"") for each in said[1:])
    return Answer(said[0]["status"], list(said[0].get("headers", [])), content)
