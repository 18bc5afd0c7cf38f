"""What an order costs, counted through both services as they are: statements, commits, calls and bytes, no time.

Each step of an order's way is taken by hand, in virtual time and on one thread, so that every run counts the same.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
    redirect_stdout,
)
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from unittest.mock import patch

import yaml
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.outbox.outbox import outbox
from chassis.reconciler.grace_period import SHORTEST
from chassis.runtime import Loop
from tests.support import postgresql
from tests.support.database import on_postgresql
from tests.support.services import Service, notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from verification.simulation.virtual_loop import VirtualLoop

T = TypeVar("T")

BASELINE = Path(__file__).with_name("counters.yaml")
SIZES = (1, 50)
"""Orders that are placed at once."""
PUSHED = "reconciler notify_customer_on_order_created"
PULLED = "reconciler show_notification_on_notification_sent"

Counted = dict[str, dict[str, int]]
"""By step of the way, what each counter says of it."""


@dataclass
class Course:
    """Both services, whose loops take a step when they are told to, and what has been counted."""

    dapr: SimulatedDapr
    services: dict[str, Service] = field(default_factory=dict)
    loops: dict[str, dict[str, Loop]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    async def places(self, orders: int) -> None:
        """Place so many orders at once."""
        post, body = self.services["order"].http.post, {"customerName": "Jane Doe"}
        posts = (post("/api/order", json=body) for _ in range(orders))
        answers = await asyncio.gather(*posts)
        assert [each.status_code for each in answers] == [201] * orders

    async def steps(self, service: str, loop: str) -> None:
        """Step a loop until it finds nothing to do."""
        while await self.loops[service][loop].step():
            pass

    async def delivers(self) -> None:
        """Deliver to the notification service what was published, in bulk."""
        app = self.services["notification"].app
        verdicts = await self.dapr.deliver_to(app)
        assert set(verdicts) == {"SUCCESS"}

    async def compares(self) -> None:
        """Compare what was published with the order service's feed, when it has had its time to arrive."""
        await self.steps("notification", PUSHED)
        await asyncio.sleep(SHORTEST)
        await self.steps("notification", PUSHED)

    async def looks(self, *, retention: bool) -> None:
        """Step retention, or every other loop, once with nothing to do."""
        for loops in self.loops.values():
            for name, loop in loops.items():
                if (name == "retention") is retention:
                    await loop.step()

    async def counted(self, act: Awaitable[None]) -> dict[str, int]:
        """Return what an act costs; what it does not need at all is left out."""
        self.counts.clear()
        await act
        return {name: number for name, number in self.counts.items() if number}

    async def are_shown(self, orders: int) -> None:
        """Check that the customers of all orders were notified, and that their orders show it."""
        http = self.services["order"].http
        listed = (await http.get("/api/order", params={"limit": 100})).json()["items"]
        states = [each["notification"]["state"] for each in listed]
        assert states == ["SENT"] * orders

    async def event_bytes(self) -> int:
        """Return the bytes of all events that both services have stored."""
        sizes = select(func.sum(func.length(outbox.c.event)))

        def work(session: Session) -> int:
            return session.scalar(sizes) or 0

        return sum([await each.database.read(work) for each in self.services.values()])


@asynccontextmanager
async def open_course(folder: Path) -> AsyncIterator[Course]:
    """Start both services on databases in this folder; no loop runs by itself."""
    course, started = Course(SimulatedDapr()), list[Loop]()
    course.dapr.app = _Calls(course.dapr.app, course.counts)  # type: ignore[assignment]

    async def note(loop: Loop) -> None:
        started.append(loop)
        await asyncio.Event().wait()

    async with AsyncExitStack() as stack:
        stack.enter_context(patch.object(Loop, "run", note))
        # By the time that a group takes it would be cut: a busy machine would count more commits.
        stack.enter_context(patch("chassis.database.group_commit.perf_counter", int))
        stack.enter_context(patch("anyio.to_thread.run_sync", _in_this_thread))
        for name, run in (
            ("order", order_service),
            ("notification", notification_service),
        ):
            service = await stack.enter_async_context(run(folder, course.dapr))
            await asyncio.sleep(0)
            course.services[name] = service
            course.loops[name] = {each.name: each for each in started}
            started.clear()
            _count_statements(service, course.counts)
        yield course


async def _in_this_thread(
    call: Callable[..., object], *arguments: object, **_: object
) -> object:
    return call(*arguments)


def _count_statements(service: Service, counts: Counter[str]) -> None:
    def executed(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six
        counts["statements"] += not arguments[2].startswith("BEGIN")

    def committed(_: object) -> None:
        counts["commits"] += 1

    event.listen(service.database.engine, "before_cursor_execute", executed)
    event.listen(service.database.engine, "commit", committed)


@dataclass
class _Calls:
    """Counts what reaches the sidecar."""

    app: ASGIApp
    counts: Counter[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.counts["calls"] += 1
        is_publish = "/publish/" in scope["path"]

        async def received() -> Message:
            message = await receive()
            body = message.get("body", b"")
            self.counts["bytes sent"] += len(body)
            if is_publish and body:
                self.counts["published"] += len(json.loads(body))
            return message

        await self.app(scope, received, send)


async def _count(folder: Path, orders: int) -> Counted:
    async with open_course(folder) as course:
        way: dict[str, Callable[[int], Awaitable[None]]] = {
            "accept": course.places,
            "publish": lambda _: course.steps("order", "relay"),
            "deliver": lambda _: course.delivers(),
            "show": lambda _: course.steps("order", PULLED),
            "compare": lambda _: course.compares(),
            "idle": lambda _: course.looks(retention=False),
            "housekeeping": lambda _: course.looks(retention=True),
        }
        for step in way.values():  # once before, for what only the first order costs
            await step(1)
        before = await course.event_bytes()
        counted = {
            name: await course.counted(step(orders)) for name, step in way.items()
        }
        await course.are_shown(orders + 1)
        stored = await course.event_bytes() - before
        return {**counted, "all": {"event bytes": stored}}


def count(folder: Path, orders: int) -> Counted:
    """Place so many orders at once, and return what each step of their way costs."""
    folder.mkdir()
    return in_virtual_time(_count(folder, orders))


def in_virtual_time(act: Coroutine[Any, Any, T]) -> T:
    """Return what this returns, on one thread and without waiting for the time to pass."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(act)


def on_each_database() -> Iterator[tuple[str, Path]]:
    """Yield each kind of database, made in an empty folder; what the services print meanwhile goes nowhere."""
    with postgresql.databases() as databases:
        for name, on in (
            ("sqlite", nullcontext()),
            ("postgresql", on_postgresql(databases)),
        ):
            with TemporaryDirectory() as folder, on, redirect_stdout(StringIO()):
                yield name, Path(folder)


def count_all(folder: Path) -> dict[str, Counted]:
    """Return what is counted for each number of orders."""
    return {f"{size} at once": count(folder / str(size), size) for size in SIZES}


def differences(
    expected: dict[str, Counted], found: dict[str, Counted]
) -> Iterator[str]:
    """Yield each counter that is not as expected: what it was, and what it is."""
    before, after = _flat(expected), _flat(found)
    for name in before | after:
        if before.get(name) != after.get(name):
            yield f"{name}: {before.get(name, 0)} -> {after.get(name, 0)}"


def _flat(counted: dict[str, Counted]) -> dict[str, int]:
    return {
        f"{size}, {step}, {counter}": value
        for size, steps in counted.items()
        for step, counters in steps.items()
        for counter, value in counters.items()
    }


def read_baseline() -> dict[str, dict[str, Counted]]:
    """Return what the last renewal counted, by database."""
    found: dict[str, dict[str, Counted]] = yaml.safe_load(BASELINE.read_text())
    return found
