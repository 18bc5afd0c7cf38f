"""One run: the load and the faults at the same time, then quiet, then the ledger."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
)
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
from sqlalchemy.exc import DBAPIError

from tests.support.eventually import eventually
from verification.chaos import faults as on_stage
from verification.chaos import ledger, reading, report, stage
from verification.chaos.books import Books
from verification.chaos.faults import NEEDS_RECORDS, Journal
from verification.chaos.ledger import Ledger
from verification.chaos.load import Load
from verification.chaos.plan import Fault, Setting, lasts
from verification.chaos.reading import Reader
from verification.chaos.report import Report

PLACED_WITHIN, SETTLES_WITHIN, RECOVERS_WITHIN = 900.0, 420.0, 90.0
"""Seconds; a mail of unknown outcome is sent again two minutes later, one that failed five at most."""
AN_ORDER_MAY_BE_LOST = 30.0
"""Seconds that a program which may lose the order itself has, instead of RECOVERS_WITHIN."""
QUIET = 45.0
"""Seconds without output after which a program that keeps no records counts as settled."""
NEWEST = 2**18
"""Bytes of a log in which a line of these seconds is."""
UNAVAILABLE = (DBAPIError, OSError)
"""What an unavailable database raises."""


@dataclass(frozen=True)
class UnderTest:
    """A system that runs, on processes or in containers: where it is asked, what it keeps, how it is broken.

    `urls` lead to the order service; `printed` returns the files of what each process of the notification service
    has printed so far; `keep` copies what would be gone with the system.
    """

    setting: Setting
    urls: Sequence[str]
    readers: Mapping[str, Reader]
    mails: Path
    printed: Callable[[], Sequence[Path]]
    inject: Callable[[Fault], Awaitable[Sequence[int]]]
    keep: Callable[[], None]
    tokens: Callable[[], Mapping[str, str]] = dict


@dataclass
class Run:
    """What belongs to one run; `placing` are the orders that are still being placed."""

    on: UnderTest
    books: Books
    load: Load
    journal: Journal = field(default_factory=Journal)
    placing: set[asyncio.Task[object]] = field(default_factory=set)


Opens = Callable[
    [Path, Setting, Sequence[Fault], int], AbstractAsyncContextManager[UnderTest]
]


@asynccontextmanager
async def on_processes(
    folder: Path, setting: Setting, faults: Sequence[Fault], orders: int
) -> AsyncIterator[UnderTest]:
    """Run the system on processes of this machine."""
    async with stage.running(folder, setting, faults, orders) as on:
        yield UnderTest(
            setting,
            [on.real.invoke_url(each, "order") for each in setting.order_apps],
            on.readers,
            on.mails,
            lambda: [each.log for each in on.notification_apps],
            partial(on_stage.inject, on),
            on.keep_disks,
            on.tokens,
        )


async def run(  # noqa: PLR0913 - each part of a run can be chosen
    faults: Sequence[Fault],
    orders: int,
    setting: Setting,
    mail_every: int = 20,
    clients: int = 8,
    *,
    opens: Opens = on_processes,
) -> Report:
    """Run the system under these faults and this load; where all is well, nothing is left of it."""
    with _folder() as folder, closing(Books(folder / "books.db")) as books:
        async with opens(folder, setting, faults, orders) as on:
            load = Load(on.urls, books, orders, lasts(faults), mail_every, clients)
            load.tokens = on.tokens
            shown = await _carry_out(Run(on, books, load), faults)
            if shown.is_clean or setting.ordinary:
                return shown
            on.keep()
        return replace(shown, evidence=_kept(folder))


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kept(folder: Path) -> Path:
    # Another name, which nobody removes.
    return folder.rename(folder.with_name(f"{folder.name}-evidence"))


async def _carry_out(run: Run, faults: Sequence[Fault]) -> Report:
    begun = time.monotonic()
    run.placing.add(asyncio.create_task(run.load.place()))
    async with run.load.customers() as http:
        for fault in faults:
            await _one(run, http, fault)
        run.load.hurry()
        is_placed = await _is_placed(run)
    placing = time.monotonic() - begun
    settled = await _settles(run) if is_placed else None
    return Report(
        run.on.setting,
        await _judged(run),
        run.journal,
        run.load.trouble,
        placing,
        settled,
        time.monotonic() - begun,
    )


async def _is_placed(run: Run) -> bool:
    done, still = await asyncio.wait(run.placing, timeout=PLACED_WITHIN)
    for each in still:
        each.cancel()
    for each in done:
        each.result()
    return not still


async def _one(run: Run, http: httpx.AsyncClient, fault: Fault) -> None:
    if run.on.setting.ordinary and fault.kind in NEEDS_RECORDS:
        return
    await asyncio.sleep(fault.pause)
    started = time.monotonic()
    groups = await run.on.inject(fault)
    ended = time.monotonic()
    recovered = await _recovers(run, http, fault)
    took = replace(fault, seconds=round(ended - started, 2))
    entry = run.journal.write(took, started, recovered, groups)
    report.print_entry(entry, run.load.placed)


async def _recovers(run: Run, http: httpx.AsyncClient, fault: Fault) -> float | None:
    """Place an order and wait until it is notified; return the seconds, or None where it takes too long."""
    begun, within = time.monotonic(), RECOVERS_WITHIN
    if run.on.setting.ordinary:
        within = AN_ORDER_MAY_BE_LOST
    name = f"After {fault.kind} {fault.part}"
    placing = asyncio.create_task(run.load.order(http, name))
    run.placing.add(placing)
    done, _ = await asyncio.wait({placing}, timeout=within)
    if not done:
        return None
    try:
        identity = placing.result()
        await eventually(
            lambda: _is_notified(run.on, identity), "notified", within, 0.1
        )
    except AssertionError:
        return None
    return time.monotonic() - begun


async def _is_notified(on: UnderTest, identity: str) -> bool:
    if on.setting.ordinary:
        return any(_ends_with(each, identity) for each in on.printed())
    sent = f"SELECT count(*) FROM notification WHERE state = 'SENT' AND order_id = '{UUID(identity).hex}'"
    try:
        return await on.readers["notification"].number(sent) > 0
    except UNAVAILABLE:
        return False


def _ends_with(log: Path, words: str) -> bool:
    """Return whether the words are in the newest part of a log that may be long."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - NEWEST))
        return words.encode() in file.read()


async def _settles(run: Run) -> float | None:
    """Wait until nothing is under way; return the seconds, or None where it takes too long."""
    begun = time.monotonic()
    is_settled = _is_silent(run) if run.on.setting.ordinary else _is_settled
    try:
        await eventually(
            lambda: is_settled(run), "all is at its end", SETTLES_WITHIN, 0.5
        )
    except AssertionError:
        return None
    return time.monotonic() - begun


async def _is_settled(run: Run) -> bool:
    readers = run.on.readers
    try:
        orders = await readers["order"].number("SELECT count(*) FROM orders")
        notified = await readers["notification"].number(
            "SELECT count(*) FROM notification"
        )
        return orders == notified and not await reading.under_way(readers)
    except UNAVAILABLE:
        return False


def _is_silent(run: Run) -> Callable[[Run], Awaitable[bool]]:
    seen, since = -1, time.monotonic()

    async def silent(_run: Run) -> bool:
        nonlocal seen, since
        logs = (each.stat().st_size for each in run.on.printed())
        now = sum(logs) + len(list(run.on.mails.glob("*.eml")))
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > QUIET

    return silent


async def _judged(run: Run) -> Ledger:
    books, on = run.books, run.on
    for log in on.printed():
        reading.read_output(books, log)
    reading.read_mails(books, on.mails)
    if on.setting.ordinary:
        books.order_what_was_received()
        return ledger.judge_without_records(books)
    await asyncio.to_thread(reading.read_records, books, on.readers)
    if on.setting.mail == "api":
        books.allow_one_mail()
    ended = run.journal.ended(on.setting.notification_apps)
    return ledger.judge(books, ended)
