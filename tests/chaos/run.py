"""One run: the load and the faults at the same time, then quiet, then the ledger."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from tests.chaos import ledger, stage
from tests.chaos.faults import Journal, inflict
from tests.chaos.ledger import Ledger
from tests.chaos.load import Load
from tests.chaos.plan import Fault, Setting
from tests.chaos.stage import Stage
from tests.support.eventually import eventually

SETTLES_WITHIN, RECOVERS_WITHIN = 240.0, 90.0
"""Seconds; a mail that nobody knows of is sent again two minutes later."""
EACH_TAKES = 5.0
"""Seconds that a fault takes with its recovery, about: over so long the orders are spread."""


@dataclass(frozen=True)
class Report:
    """What a run has shown."""

    ledger: Ledger
    journal: Journal
    retried: int
    seconds: float


async def run(
    faults: Sequence[Fault], orders: int, setting: Setting, mail_every: int = 20
) -> Report:
    """Run the system under these faults and this load, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        async with stage.running(Path(folder), setting) as on:
            begun = time.monotonic()
            url = on.real.system.invoke_url("order")
            load = Load(url, orders, EACH_TAKES * len(faults), mail_every)
            journal = Journal()
            placing = asyncio.create_task(load.place())
            try:
                for fault in faults:
                    await _one(on, load, journal, fault)
                await placing
            finally:
                placing.cancel()
            await _settle(on, len(load.accepted))
            books = await ledger.read(
                on.urls, on.real.apps["notification"].said(), on.mails
            )
            books.deduplicated = setting.mail == "api"
            return Report(
                ledger.judge(load.accepted, books),
                journal,
                load.retried,
                time.monotonic() - begun,
            )


async def _one(on: Stage, load: Load, journal: Journal, fault: Fault) -> None:
    await asyncio.sleep(fault.pause)
    started = time.monotonic()
    await inflict(on, fault)
    ended = time.monotonic()
    recovered = await _recovers(on, load, fault)
    took = replace(fault, seconds=round(ended - started, 2))
    journal.write(took, started, recovered)
    sys.stderr.write(f"{journal.entries[-1]}\n")


async def _recovers(on: Stage, load: Load, fault: Fault) -> float:
    """Place an order and wait until it is notified; give the seconds, or -1 where it takes too long."""
    begun = time.monotonic()
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        try:
            async with asyncio.timeout(RECOVERS_WITHIN):
                identity = await load.order(http, f"After {fault.kind} {fault.part}")
                await eventually(
                    lambda: _is_notified(on, identity), "notified", RECOVERS_WITHIN
                )
        except (TimeoutError, AssertionError):
            return -1.0
    return time.monotonic() - begun


async def _is_notified(on: Stage, identity: str) -> bool:
    statement = "SELECT order_id FROM notification WHERE state = 'SENT' ORDER BY id DESC LIMIT 2000"
    found = await ledger.rows(on.urls["notification"], statement)
    return any(ledger.plain(each) == ledger.plain(identity) for (each,) in found)


async def _settle(on: Stage, accepted: int) -> None:
    counting = "SELECT count(*) FROM notification WHERE state IN ('SENT', 'FAILED')"
    end = time.monotonic() + SETTLES_WITHIN
    while time.monotonic() < end:
        done = int(str((await ledger.rows(on.urls["notification"], counting))[0][0]))
        if done >= accepted and not await ledger.open_rows(on.urls):
            return
        await asyncio.sleep(0.5)
