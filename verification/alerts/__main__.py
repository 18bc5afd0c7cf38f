"""Measures the alerts: none fires in calm, each fault fires its own in time: python -m verification.alerts."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from toolchain import runfile
from toolchain.machine import this_machine
from toolchain.servers import prometheus as servers
from toolchain.supervise import server
from verification.alerts import prometheus
from verification.alerts.faults import FAULTS, Fault
from verification.chaos import stage
from verification.chaos.books import Books
from verification.chaos.load import Load
from verification.chaos.plan import Setting
from verification.chaos.stage import Stage

PACE = "4s"
"""Between two scrapes and two evaluations, for 15 s in production; no rule is changed."""
RATE = 4
"""Orders a second; every fifth one with a mail."""
LONGER = 1.5
"""How many times its stated time a rule is waited for, before it counts as missed."""
CLEARS_WITHIN = 120.0
"""Seconds after a fault in which its alerts may still fire; those of the service level stay for an hour."""


@dataclass
class Measured:
    """When each rule fired after a fault began, in seconds, and which others did."""

    fault: Fault
    fired: dict[str, float] = field(default_factory=dict)

    def is_in_time(self, rule: str) -> bool:
        """Return whether a rule fired within its stated time."""
        return self.fired.get(rule, float("inf")) <= _stated(rule)


def _stated(rule: str) -> float:
    return prometheus.seconds(prometheus.alerts()[rule]["annotations"]["fires_within"])


async def measure(
    calm: float, faults: Sequence[Fault]
) -> tuple[set[str], list[Measured]]:
    """Run a system without a fault for `calm` seconds, then under one fault after the other."""
    folder, port = Path(tempfile.mkdtemp(prefix="alerts-")), runfile.free_port()
    setting = Setting(database="postgresql")
    with closing(Books(folder / "books.db")) as books:
        async with stage.running(folder, setting, [], 0) as on:
            own = servers.server_in(this_machine(), on.real.system, port, PACE)
            observer = await asyncio.to_thread(server.start, own)
            load = Load(
                [on.real.invoke_url("order", "order")], books, RATE * 36000, 36000, 5
            )
            placing = asyncio.create_task(load.place())
            try:
                in_calm = await _watch_calm(port, calm)
                measured = [await _measure(on, each, port) for each in faults]
            finally:
                placing.cancel()
                await asyncio.gather(placing, return_exceptions=True)
                await asyncio.to_thread(server.kill, observer)
    shutil.rmtree(folder, ignore_errors=True)
    return in_calm, measured


async def _watch_calm(port: int, seconds: float) -> set[str]:
    found, until = set[str](), time.monotonic() + seconds
    while time.monotonic() < until:
        found |= await asyncio.to_thread(prometheus.firing, port)
        await asyncio.sleep(1)
    sys.stderr.write(
        f"  calm: {', '.join(sorted(found)) or 'none'} in {seconds:.0f} s\n"
    )
    return found


async def _measure(on: Stage, fault: Fault, port: int) -> Measured:
    before = await _cleared(port)
    measured, began = Measured(fault), time.monotonic()
    longest = LONGER * max(map(_stated, fault.fires))
    async with fault.act(on):
        while (
            set(fault.fires) - measured.fired.keys()
            and time.monotonic() - began < longest
        ):
            for each in await asyncio.to_thread(prometheus.firing, port) - before:
                measured.fired.setdefault(each, time.monotonic() - began)
            await asyncio.sleep(0.5)
    fired = ", ".join(f"{name} {at:.0f} s" for name, at in measured.fired.items())
    sys.stderr.write(f"  {fault.what}: {fired or 'nothing fired'}\n")
    return measured


async def _cleared(port: int) -> set[str]:
    """Wait until what fired before fires no more; return what still does."""
    until = time.monotonic() + CLEARS_WITHIN
    while True:
        left = await asyncio.to_thread(prometheus.firing, port)
        if time.monotonic() > until or all(
            each.startswith("OrdersNotifiedLate") for each in left
        ):
            return left
        await asyncio.sleep(1)


def table(measured: Sequence[Measured]) -> str:
    """Return the table of docs/runbooks.md, and what fired that is another fault's."""
    lines = ["| rule | fault | stated | measured |", "| --- | --- | --- | --- |"]
    for each in measured:
        for rule in each.fault.fires:
            at = f"{each.fired[rule]:.0f} s" if rule in each.fired else "not fired"
            lines.append(
                f"| {rule} | {each.fault.what} | {_stated(rule):.0f} s | {at} |"
            )
    also = [
        f"- {each.fault.what}: {', '.join(sorted(each.fired.keys() - {*each.fault.fires}))}"
        for each in measured
        if each.fired.keys() - {*each.fault.fires}
    ]
    return "\n".join([*lines, "", "Beside them fired:", "", *(also or ["- none"])])


def main() -> int:
    """Print the table; return 1 where a rule fired in calm, or did not in its time."""
    parser = argparse.ArgumentParser(prog="verification.alerts", description=__doc__)
    parser.add_argument(
        "--calm", type=float, default=300, help="seconds without a fault"
    )
    parser.add_argument("--only", default="", help="faults with these words in them")
    options = parser.parse_args()
    faults = [each for each in FAULTS if options.only in each.what]
    in_calm, measured = asyncio.run(measure(options.calm, faults))
    print(
        f"\nIn {options.calm:.0f} s without a fault: {', '.join(sorted(in_calm)) or 'no alert'}.\n"
    )
    print(table(measured))
    in_time = all(
        each.is_in_time(rule) for each in measured for rule in each.fault.fires
    )
    return 0 if in_time and not in_calm else 1


if __name__ == "__main__":
    sys.exit(main())
