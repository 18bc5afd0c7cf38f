"""One of the two programs that run side by side, ours or the ordinary one: its parts, its orders, its switches."""

import asyncio
import re
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from signal import SIGKILL

import httpx

from verification.chaos import stage as chaos_stage
from verification.chaos.load import Load
from verification.chaos.plan import Setting
from verification.chaos.run import UNAVAILABLE
from verification.chaos.stage import Stage
from verification.playground.courier import Courier, open_courier
from verification.playground.mutants import WITHOUT
from verification.playground.tally import Counts, Tail, Tally

PARTS = ("broker", "order sidecar", "order", "notification sidecar", "notification")
MOST_ASKING = 50
"""Customers of one program who wait for an answer at once; while there are so many, nobody else orders."""
ASKED_AT_ONCE = 500
"""Orders that one query asks the database for."""
HOLD = 'kill -STOP "$@"; read -r _; kill -CONT "$@" 2>&-'
"""A shell that holds processes still until its input ends: also where the playground itself is killed."""


class State(StrEnum):
    """What a part does."""

    WORKS = "works"
    SILENT = "does not answer"
    DOWN = "down"
    FROZEN = "frozen"


@dataclass
class Side:
    """A program that runs; `without` are the safeguards that are taken out of it."""

    stage: Stage
    courier: Courier
    tally: Tally
    load: Load
    http: httpx.AsyncClient
    states: dict[str, State] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)
    pulled: int = 0
    pulled_before: int = 0
    asking: set[asyncio.Task[str]] = field(default_factory=set)
    # Which parts are held still, each by a process of its own; and which are down.
    _frozen: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _down: set[str] = field(default_factory=set)
    _tail: Tail | None = None

    @property
    def name(self) -> str:
        """What its column is called."""
        return "ordinary" if self.stage.setting.ordinary else "ours"

    @property
    def is_calm(self) -> bool:
        """Whether every part of it works."""
        return all(self.states.get(part) is State.WORKS for part in PARTS)

    async def kill(self, part: str) -> None:
        """Kill a part; its supervisor starts an app or a sidecar again, and this a broker."""
        self.states[part] = State.SILENT
        if self.stage.part(part):
            with suppress(AssertionError):
                await self.stage.ends(part, SIGKILL)
            self._release(part)
        else:
            self._release(part)
            await self.stage.down(part)
            await self.stage.up(part)

    async def take_down(self, part: str) -> None:
        """Kill a part for good."""
        self._release(part)
        self._down.add(part)
        self.states[part] = State.DOWN
        await self.stage.down(part)

    async def bring_up(self, part: str) -> None:
        """Start a part that is down, and let one that is frozen go on."""
        self._release(part)
        if part in self._down:
            await self.stage.up(part)
            self._down.discard(part)
            self.states[part] = State.SILENT

    async def freeze(self, part: str) -> None:
        """Stop every process of a part with SIGSTOP."""
        if part not in self._down and part not in self._frozen:
            self._frozen[part] = _hold(self.stage.pids(part))
            self.states[part] = State.FROZEN

    def _release(self, part: str) -> None:
        if holding := self._frozen.pop(part, None):
            holding.communicate()
            self.states[part] = State.SILENT

    async def recompose(self, service: str, without: Iterable[str]) -> None:
        """Start a service again as its mutant: without these safeguards."""
        app = self.stage.real.apps[service]
        self._release(service)
        self._down.add(service)
        self.states[service] = State.DOWN
        await asyncio.to_thread(app.stop)
        app.environment[WITHOUT] = ",".join(without)
        usual = rf"(services\.{service}\.app:create_app|{MUTANTS}:{service})"
        app.command = [
            re.sub(usual, f"{MUTANTS}:{service}", each) for each in app.command
        ]
        await self.bring_up(service)

    def order(self, name: str) -> None:
        """Place an order, beside those that are not answered yet; with too many of them, none."""
        if len(self.asking) < MOST_ASKING:
            task = asyncio.create_task(self.load.order(self.http, name))
            self.asking.add(task)
            task.add_done_callback(self.asking.discard)

    async def look(self) -> None:
        """Find out which parts work, and what became of the orders."""
        was_calm = self.is_calm
        await asyncio.gather(*(self._look_at(part) for part in PARTS))
        if self.is_calm != was_calm or self.tally.calm_since is None:
            self.tally.calm_since = time.monotonic() if self.is_calm else None
        await self._count()

    async def _look_at(self, part: str) -> None:
        if part in self._down or part in self._frozen:
            return
        works = await self._works(part)
        if part not in self._down and part not in self._frozen:
            self.states[part] = State.WORKS if works else State.SILENT

    async def _works(self, part: str) -> bool:
        if part == "broker":
            return await asyncio.to_thread(self.stage.servers[part].server.serves)
        service = part.removesuffix(" sidecar")
        instance = self.stage.real.instances[service]
        is_app = part == service
        port = instance["appPort" if is_app else "daprHTTPPort"]
        path = "healthz" if is_app else "v1.0/healthz/outbound"
        try:
            answer = await self.http.get(f"http://127.0.0.1:{port}/{path}", timeout=2)
        except httpx.HTTPError:
            return False
        return answer.status_code < 300

    async def _count(self) -> None:
        if self._tail is None:
            self._tail = Tail(self.stage.real.apps["notification"].log)
        self.tally.print_lines(await asyncio.to_thread(self._tail.new))
        if not self.stage.setting.ordinary:
            with suppress(*UNAVAILABLE):
                await self._read_records()
        self.tally.judge()

    async def _read_records(self) -> None:
        reader = self.stage.readers["notification"]
        # A line follows its commit: what was accepted just now is asked for later.
        before = time.monotonic() - 3
        asked = [each for each, at in self.tally.waiting.items() if at < before]
        ids = ", ".join(
            f"'{each}'" for each in asked[:ASKED_AT_ONCE] if HEX.match(each)
        )
        if ids:
            sent = f"SELECT order_id FROM notification WHERE state = 'SENT' AND order_id IN ({ids})"
            found = await reader.all(sent)
            self.tally.print_lines(await asyncio.to_thread(self._tail.new))  # type: ignore[union-attr]
            self.tally.mark_sent(str(each) for (each,) in found)
        pulled = "SELECT count(*) FROM inbox WHERE arrival <> 'PUSHED'"
        self.pulled = await reader.number(pulled)

    def counts(self) -> Counts:
        """Return the figures of its orders."""
        return self.tally.counts(asking=bool(self.asking))

    def begin_anew(self) -> None:
        """Begin every counter at nothing."""
        self.tally.begin_anew()
        self.load.trouble.clear()
        self.pulled_before = self.pulled

    def let_go(self) -> None:
        """Unfreeze everything, and send the customers home."""
        for part in [*self._frozen]:
            self._release(part)
        for task in self.asking:
            task.cancel()


def _hold(pids: Iterable[int]) -> subprocess.Popen[bytes]:
    command = ["sh", "-c", HOLD, "sh", *map(str, pids)]
    # In a session of its own: Ctrl-C in the terminal would end it alone, and leave the part frozen.
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


HEX = re.compile(r"^[0-9a-f]{32}$")
MUTANTS = "verification.playground.mutants"
PREFIX = "playground-"


@asynccontextmanager
async def running(setting: Setting) -> AsyncIterator[Side]:
    """Run a program with its broker, on ports and in a folder of its own; nothing is left of it at the end."""
    async with AsyncExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        folder = stack.enter_context(made)
        courier = await stack.enter_async_context(open_courier())
        running_stage = chaos_stage.running(
            Path(folder), setting, prepare=lambda stage: _pass_by(stage, courier)
        )
        on = await stack.enter_async_context(running_stage)
        tally = Tally()
        urls = [on.real.invoke_url("order", "order")]
        load = Load(urls, tally, 0, 0.0, clients=MOST_ASKING + len(PARTS))
        http = await stack.enter_async_context(load.customers())
        side = Side(on, courier, tally, load, http)
        stack.callback(side.let_go)
        yield side


def _pass_by(stage: Stage, courier: Courier) -> None:
    """Make the notification service's sidecar deliver through the courier."""
    courier.target = stage.real.instances["notification"]["appPort"]
    sidecar = stage.real.sidecars["notification"]
    at = sidecar.command.index("--app-port") + 1
    sidecar.command[at] = str(courier.port)
