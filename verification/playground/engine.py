"""The playground's engine: both programs, the orders that come in, the switches, and the log of what was done."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from verification.playground import words
from verification.playground.mutants import INBOX, OUTBOX, PULL, SAFEGUARDS
from verification.playground.scenarios import BY_NAME, Scenario
from verification.playground.side import PARTS, Side, State
from verification.playground.tally import Counts

MOST_RATE = 50
"""Orders a second, at most."""
MOST_ORDERS = 20_000
"""Orders of one playground; then no more are placed."""
MOST_ENTRIES = 200
LOOKS_EVERY = 0.5
QUIET = 5.0
"""Seconds without a new line after which no second one is expected any more."""
SETTLES_WITHIN = 180.0
SERVICE_OF = {OUTBOX: "order", INBOX: "notification", PULL: "notification"}
"""Which service starts again where a safeguard is taken out or put back."""


class Refused(Exception):
    """The switch cannot be used now."""


@dataclass(frozen=True)
class Entry:
    """One line of the log."""

    at: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What remained when all had settled: a sentence, and the figures of each program."""

    text: str
    is_good: bool
    counts: dict[str, Counts]


@dataclass
class Playground:
    """Both programs, ours first; every switch acts on both, but for the safeguards, which only ours has."""

    sides: Sequence[Side]
    rate: int = 0
    placed: int = 0
    messages: set[str] = field(default_factory=set)
    without: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    scenario: str = ""
    verdict: Verdict | None = None
    touched: float = field(default_factory=time.monotonic)
    log: deque[Entry] = field(default_factory=lambda: deque(maxlen=MOST_ENTRIES))
    doing: dict[str, str] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _acting: set[asyncio.Task[None]] = field(default_factory=set)

    # What people ask for.

    def do(self, verb: str, target: str = "") -> None:
        """Do what a button says; raises Refused where it cannot be done now, KeyError where there is no such."""
        self.touched = time.monotonic()
        if (verb, target) in SWITCHES:
            part = SERVICE_OF.get(target, target)
            self._check_is_free(part)
            if target in self.down and verb != "up":
                raise Refused(f"{words.PARTS[target].title} is down: start it first.")
            self._begin(part, f"{verb} {target}", self._work(verb, target))
        elif verb == "play":
            self.play(target)
        elif verb == "orders":
            self.order(target)
        else:
            {"settle": self.settle, "stop": self.stop, "anew": self.begin_anew}[verb]()

    def play(self, name: str) -> None:
        """Begin a scenario; raises Refused while another runs, KeyError where there is none of this name."""
        scenario = BY_NAME[name]
        self._check_is_free("scenario")
        self._begin("scenario", scenario.title, self._play(scenario))

    async def play_to_its_end(self, name: str) -> str:
        """Play a scenario once every part works, and return what remained."""
        await self._until(self._all_work)
        self.play(name)
        await self._tasks["scenario"]
        return self.verdict.text if self.verdict else "There is no verdict."

    def settle(self) -> None:
        """End every fault and the orders, and judge what remains; raises Refused while a scenario runs."""
        self._check_is_free("scenario")
        self._begin("scenario", "Let it settle", self._settle())

    def stop(self) -> None:
        """Break off the scenario, or the settling."""
        if task := self._tasks.get("scenario"):
            self.write("stopped")
            self.rate = 0
            task.cancel()

    def order(self, rate: str) -> None:
        """Place so many orders a second from now on; raises Refused where that is no such number."""
        self._check_is_free("orders")
        if not rate.isdecimal() or int(rate[:4]) > MOST_RATE:
            raise Refused(f"Orders a second are a whole number from 0 to {MOST_RATE}.")
        self._set_rate(int(rate))

    def begin_anew(self) -> None:
        """Begin all counters at nothing; raises Refused while a scenario runs."""
        self._check_is_free("counters")
        self._forget()
        self.write("counters begin anew")

    def _check_is_free(self, target: str) -> None:
        if "scenario" in self.doing:
            raise Refused(f"“{self.doing['scenario']}” is under way: stop it first.")
        if busy := self.doing.get(target):
            raise Refused(f"“{busy}” is not done yet: try again in some seconds.")

    def _begin(self, key: str, what: str, work: Coroutine[Any, Any, None]) -> None:
        self.doing[key] = what

        async def carry_out() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - it is written into the log, and the playground goes on
                self.write(f"{what} failed: {error}")
            finally:
                # What was begun with a part is finished, also where the scenario is broken off.
                await asyncio.gather(*self._acting, return_exceptions=True)
                self.doing.pop(key, None)
                self._tasks.pop(key, None)

        self._tasks[key] = asyncio.create_task(carry_out())

    # The switches.

    def _work(self, verb: str, target: str) -> Coroutine[Any, Any, None]:
        if target in PARTS:
            return self._on_part(verb, target)
        if target in words.MESSAGES:
            return self._on_messages(verb, target)
        return self._on_safeguard(verb, target)

    async def _on_part(self, verb: str, part: str) -> None:
        done, act, among = _ON_PARTS[verb]
        self.write(f"{words.PARTS[part].title}: {done}")
        self.down.discard(part)
        self.frozen.discard(part)
        if among:
            getattr(self, among).add(part)
        await self._act(*(act(side, part) for side in self.sides))

    async def _on_messages(self, verb: str, kind: str) -> None:
        is_on = {"on": True, "off": False}[verb]
        (self.messages.add if is_on else self.messages.discard)(kind)
        for side in self.sides:
            setattr(side.courier, f"{kind}s", is_on)
        self.write(f"{words.MESSAGES[kind].title}: {verb}")

    async def _on_safeguard(self, verb: str, name: str) -> None:
        is_out = {"out": True, "in": False}[verb]
        wanted = self.without | {name} if is_out else self.without - {name}
        await self._compose(wanted)

    async def _compose(self, without: set[str]) -> None:
        changed = self.without ^ without
        if not changed:
            return
        self.without = set(without)
        for name in sorted(changed):
            state = "taken out of" if name in without else "back in"
            self.write(f"{words.SAFEGUARDS[name].title}: {state} ours")
        ours = self.sides[0]
        services = sorted({SERVICE_OF[each] for each in changed})
        await self._act(*(ours.recompose(each, sorted(without)) for each in services))

    async def _act(self, *works: Coroutine[Any, Any, None]) -> None:
        """Do something with parts, to its end even where this is cancelled."""
        tasks = {asyncio.create_task(each) for each in works}
        self._acting |= tasks
        for each in tasks:
            each.add_done_callback(self._acting.discard)
        await asyncio.shield(asyncio.gather(*tasks))

    def _set_rate(self, rate: int) -> None:
        self.rate = rate if self.placed < MOST_ORDERS else 0
        self.write(f"{self.rate} orders a second" if self.rate else "no more orders")

    def _forget(self) -> None:
        self.verdict = None
        for side in self.sides:
            side.begin_anew()

    # Scenarios, and the end of one.

    async def _play(self, scenario: Scenario) -> None:
        self.scenario = scenario.name
        try:
            self.write(f"“{scenario.title}” begins")
            await self._end_faults()
            await self._compose(set(scenario.without))
            await self._until(self._all_work)
            self._forget()
            self._set_rate(scenario.rate)
            for seconds, verb, target in scenario.steps:
                await asyncio.sleep(seconds)
                if target:
                    await self._work(verb, target)
            await self._settle()
            await self._compose(set())
        finally:
            self.scenario = ""

    async def _settle(self) -> None:
        self._set_rate(0)
        await self._end_faults()
        self.write("all faults are over; now it settles")
        is_settled = await self._until(self._is_settled)
        counts = {side.name: side.counts() for side in self.sides}
        text = _verdict(counts, is_settled=is_settled)
        is_good = is_settled and not _wrong(counts[self.sides[0].name])
        self.verdict = Verdict(text, is_good, counts)
        self.write(self.verdict.text)

    async def _end_faults(self) -> None:
        others = [each for key, each in self._tasks.items() if key != "scenario"]
        if others:
            await asyncio.wait(others)
        for kind in sorted(self.messages):
            await self._on_messages("off", kind)
        for part in [each for each in PARTS if each in self.down | self.frozen]:
            await self._on_part("up", part)

    async def _until(self, condition: Callable[[], bool]) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLES_WITHIN):
                while not condition():  # noqa: ASYNC110 - it is time that passes
                    await asyncio.sleep(LOOKS_EVERY / 2)
        return condition()

    def _all_work(self) -> bool:
        return all(side.is_calm for side in self.sides)

    def _is_settled(self) -> bool:
        latest = time.monotonic() - QUIET
        return self._all_work() and all(
            not side.asking
            and not side.counts().stuck
            and side.tally.printed_at < latest
            and (side.tally.calm_since is not None)
            and side.tally.calm_since < latest
            for side in self.sides
        )

    # What runs all the time.

    async def place_orders(self) -> None:
        """Place the same orders with both programs, as many a second as is set."""
        due = 0.0
        while True:
            pause = 1 / self.rate if self.rate else LOOKS_EVERY / 2
            # Not one after the other what a pause, or a busy machine, has held up.
            due = max(due + pause, time.monotonic() - LOOKS_EVERY)
            await asyncio.sleep(due - time.monotonic())
            if self.rate:
                self._place_one()

    def _place_one(self) -> None:
        self.placed += 1
        for side in self.sides:
            side.order(f"Customer {self.placed}")
        if self.placed == MOST_ORDERS:
            self.write(f"{MOST_ORDERS:,} orders are enough: start the playground again")
            self._set_rate(0)

    async def look(self) -> None:
        """Look at both programs again and again, and write what has come back."""
        while True:
            for side in self.sides:
                before = dict(side.states)
                await side.look()
                self._write_returns(side, before)
            await asyncio.sleep(LOOKS_EVERY)

    def _write_returns(self, side: Side, before: dict[str, State]) -> None:
        for part, state in side.states.items():
            was = before.get(part, State.WORKS)
            if state is State.WORKS and was is not State.WORKS:
                self.write(f"{words.PARTS[part].title} of {side.name} works again")

    def write(self, text: str) -> None:
        """Write a line into the log."""
        self.log.appendleft(Entry(f"{datetime.now():%H:%M:%S}", text))  # noqa: DTZ005 - a clock on the wall

    # What people see.

    def view(self) -> dict[str, Any]:
        """Return all that is to be seen, as JSON has it."""
        return {
            "rate": self.rate,
            "messages": sorted(self.messages),
            "without": sorted(self.without),
            "down": sorted(self.down),
            "frozen": sorted(self.frozen),
            "scenario": self.scenario,
            "doing": dict(self.doing),
            "verdict": asdict(self.verdict) if self.verdict else None,
            "sides": {side.name: _seen(side) for side in self.sides},
            "log": [asdict(each) for each in self.log],
        }


Act = Callable[[Side, str], Coroutine[Any, Any, None]]
_ON_PARTS: dict[str, tuple[str, Act, str]] = {
    "kill": ("killed", lambda side, part: side.kill(part), ""),
    "down": ("taken down", lambda side, part: side.take_down(part), "down"),
    "up": ("started again", lambda side, part: side.bring_up(part), ""),
    "freeze": ("frozen", lambda side, part: side.freeze(part), "frozen"),
}

SWITCHES = {
    *((verb, part) for verb in _ON_PARTS for part in PARTS),
    *((verb, kind) for verb in ("on", "off") for kind in words.MESSAGES),
    *((verb, name) for verb in ("out", "in") for name in SAFEGUARDS),
}
"""Each switch by its verb, and what it is about."""


def _seen(side: Side) -> dict[str, Any]:
    return {
        "counts": asdict(side.counts()),
        "states": {part: str(side.states.get(part, State.SILENT)) for part in PARTS},
        "asking": len(side.asking),
        "pulled": side.pulled - side.pulled_before,
        "trouble": sum(side.load.trouble.values()),
    }


def _verdict(counts: dict[str, Counts], *, is_settled: bool) -> str:
    end = "" if is_settled else f" Not settled after {SETTLES_WITHIN:.0f} s."
    each = (f"{name.title()}: {_remains(of)}." for name, of in counts.items())
    return f"{' '.join(each)}{end}"


def _remains(counts: Counts) -> str:
    named = [f"{number:,} {what}" for what, number in _wrong(counts).items()]
    what = ", ".join(named) or "none lost, none twice"
    return f"{what} of {counts.accepted:,} orders"


def _wrong(counts: Counts) -> dict[str, int]:
    wrong = {
        "lost": counts.lost,
        "stuck": counts.stuck,
        "notified twice": counts.twice,
        "placed twice": counts.surplus,
    }
    return {what: number for what, number in wrong.items() if number}


@asynccontextmanager
async def working(playground: Playground) -> AsyncIterator[Playground]:
    """Place orders and look at both programs; at the end, whatever is under way is broken off."""
    tasks = [
        asyncio.create_task(playground.place_orders()),
        asyncio.create_task(playground.look()),
    ]
    try:
        yield playground
    finally:
        tasks += playground._tasks.values()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
