"""A service's process: an app with a life of its own, which can end at any point at once, as by SIGKILL."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO, Any, TypeVar

from fastapi import FastAPI
from starlette.types import Message, Scope

from chassis.runtime import Loop, clock
from verification.simulation.chance import Chance
from verification.simulation.virtual_loop import Crashed, owner

EPOCH = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
INTERVALS = [1.0, 4.0, 16.0]
"""How often a loop may look for work without a signal, in seconds; a process draws one for each of its loops."""
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

    `trouble` is asked at each BEGIN and COMMIT which error SQLite raises instead, if any. No loop looks for
    work more often than once in `calm` seconds, signals apart.
    """

    name: str
    chance: Chance
    skew: Callable[[], float]
    on_point: Callable[["Process", str], bool]
    trouble: Callable[["Process", str], str]
    calm: float = 1.0
    app: FastAPI | None = None
    dead: bool = False
    is_paused: bool = False
    is_serving: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _worked: float = 0.0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _loops: list[Loop] = field(default_factory=list)
    _connections: list[sqlite3.Connection] = field(default_factory=list)
    _locks: list[IO[bytes]] = field(default_factory=list)
    _waiting: dict[asyncio.Future[Any], None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the context in which all of its tasks run."""
        self.context = copy_context()
        self.context.run(owner.set, self)
        surroundings = clock.Surroundings(self._now, self.chance.bits)
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

    async def ask(self, scope: Scope, body: bytes = b"") -> Answer:
        """Return the answer to a request from outside; raises Died where the process ends before it."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = None
        self._begin(self._answer(scope, body, answer))
        return await answer

    async def _answer(
        self, scope: Scope, body: bytes, answer: asyncio.Future[Answer]
    ) -> None:
        answered = await _run(self.app, scope, body)
        await self.point(f"before an answer to {scope['path']}")
        self._waiting.pop(answer, None)
        if not answer.done():
            answer.set_result(answered)
        await self.point(f"after an answer to {scope['path']}")

    async def outside(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call outside returns; it goes on when this process dies."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        async def happen() -> None:
            try:
                done = await call
            except Exception as error:  # noqa: BLE001 - the caller gets it
                if not result.done():
                    result.set_exception(error)
            else:
                if not result.done():
                    result.set_result(done)

        self._tasks.append(loop.create_task(happen(), context=Context()))
        return await result

    async def point(self, where: str) -> None:
        """Pass a point at which this process may die; nothing comes after it then."""
        try:
            self.crash_point(where)
        except Crashed:
            await _never()

    def crash_point(self, where: str) -> None:
        """Pass such a point in synchronous code; raises Crashed where the process dies."""
        if not self.dead and self.on_point(self, where):
            self.crash()
            raise Crashed

    def work_clock(self) -> float:
        """Return a time in seconds that goes on while synchronous code works, as real time does."""
        self._worked += self.chance.between(0, 0.01)
        return self._worked

    async def pause(self) -> None:
        """Wait for as long as a disk, or another thread, takes: others may come between."""
        if not self.dead:
            await asyncio.sleep(self.chance.between(0, 0.002))

    def crash(self) -> None:
        """End at once: what was not committed is gone, locks are free, callers get Died."""
        if self.dead:
            return
        self.dead, self.is_serving = True, False
        for connection in self._connections:
            connection.close()
        for file in self._locks:
            file.close()
        for waiting in self._waiting:
            _fail(waiting)
        self.ended.set()

    def begins(self, loop: Loop) -> None:
        """Note a loop that begins, and draw how often it looks for work."""
        self._loops.append(loop)
        drawn = self.chance.one_of(INTERVALS)
        loop.interval = max(loop.interval, self.calm, drawn)

    def grow_calm(self, seconds: float) -> None:
        """Raise the least interval of every loop, present and future."""
        self.calm = seconds
        for loop in self._loops:
            loop.interval = max(loop.interval, seconds)

    def holds(self, file: IO[bytes]) -> None:
        """Note a lock that is released when the process dies."""
        self._locks.append(file)

    def opened(self, connection: sqlite3.Connection) -> None:
        """Note a connection that is closed when the process dies."""
        self._connections.append(connection)


def here() -> Process:
    """Return the process that runs at the moment."""
    process = owner.get()
    assert isinstance(process, Process), "this happens outside of all processes"
    return process


def _fail(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(Died())


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


async def _run(app: FastAPI | None, scope: Scope, body: bytes) -> Answer:
    assert app
    sent: list[Message] = []
    request: list[Message] = [
        {"type": "http.request", "body": body, "more_body": False}
    ]

    async def receive() -> Message:
        return request.pop() if request else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 - the app has answered 500, and logged why
        if not sent:
            return Answer(500, [], b"")
    content = b"".join(each.get("body", b"") for each in sent[1:])
    return Answer(sent[0]["status"], list(sent[0].get("headers", [])), content)
