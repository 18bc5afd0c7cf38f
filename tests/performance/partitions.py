"""Measures retention row by row beside retention by partitions: python -m tests.performance.partitions 1000000.

Each runs on a database of its own, with the same events, published and acknowledged, eight days old. Beside it,
what an insert, a mark and a page of the feed cost without partitions and with twelve.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from time import perf_counter

from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.database import Database, partitions
from chassis.outbox.leases import mark
from chassis.outbox.outbox import Leased, outbox
from chassis.runtime import clock
from chassis.service.retention import Retention
from tests.support.database import KEYS, execute, upgrade
from tests.support.feeds import Feed
from tests.support.postgresql import databases

OLD = timedelta(days=8)
FILL = """
    INSERT INTO outbox ("transaction", event_id, topic, event, size, state, attempt, refusals, created_at)
    SELECT 1, '{begin}' || lpad(to_hex(i), 12, '0'), 'OrderCreated', '"' || repeat('x', 748) || '"', 750,
        'PUBLISHED', 1, 0, '{at}'
    FROM generate_series(1, {number}) i
"""
READ = "UPDATE consumer SET position = (SELECT max(position) FROM outbox)"
SIZE = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'outbox%'"
LEAVES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'outbox%'"
LEASE = """
    UPDATE outbox SET state = 'LEASED', owner = 'me', attempt = 1
    WHERE position > (SELECT max(position) - 100 FROM outbox) RETURNING event_id
"""
SETTINGS = {"autovacuum": "off", "max_wal_size": "128MB"}
"""Checkpoints while it is filled, as there are many in a week: what follows them writes whole pages to the log."""
ROUNDS = 300


async def measure(url: str, number: int, *, parted: bool) -> dict[str, float]:
    """Return what retention of so many events takes, and what single steps do."""
    upgrade("order", url)
    database = Database(url, "order", keys=KEYS)
    begin = (clock.now() - OLD).replace(hour=0, minute=0, second=0, microsecond=0)
    if parted:
        await _part(database, begin)
    lower = partitions.bound(begin)[:24]
    await execute(database, FILL.format(begin=lower, at=begin, number=number))
    feed = Feed(database)
    await feed.says_orders(1)
    await feed.page(consumer="app/a", after=(await feed.page())["next"])
    await execute(database, READ)
    await _analyse(database)
    found = {**await _steps(feed), **await _retention(database)}
    await database.close()
    return found


async def _part(database: Database, begin: datetime) -> None:
    await execute(database, "CREATE INDEX outbox_position ON outbox (position)")
    await database.write(
        lambda session: partitions.convert(session.connection(), "outbox")
    )
    for day in range(8):
        days = (begin + timedelta(days=day + each) for each in (0, 1))
        lower, upper = map(partitions.bound, days)
        await execute(
            database,
            f"CREATE TABLE outbox_{day} PARTITION OF outbox FOR VALUES FROM ('{lower}') TO ('{upper}')",
        )
    await database.write(lambda session: partitions.make_ahead(session, outbox))


async def _analyse(database: Database) -> None:
    # As autovacuum does, which leaves out the partitioned table itself.
    leaves = await database.read(lambda s: s.scalars(text(LEAVES)).all())
    await execute(database, *(f"ANALYZE {each}" for each in leaves))


async def _steps(feed: Feed) -> dict[str, float]:
    await feed.says_orders(100)
    taken = await feed.database.write(lambda s: list(s.scalars(text(LEASE))))
    events = [Leased(each, "OrderCreated", "", 0, "me") for each in taken]

    async def marked() -> None:
        def again(session: Session) -> None:
            mark(session, events, {})
            raise InterruptedError  # rolled back

        with suppress(InterruptedError):
            await feed.database.write(again)

    return {
        "insert, ms": await _timed(lambda: feed.says_orders(1)),
        "page of 1, ms": await _timed(lambda: feed.page(limit=1)),
        "mark of 100, ms": await _timed(marked),
    }


async def _timed(act: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        await act()
        times.append(perf_counter() - began)
    # The quick ones: what else the machine did is not in them.
    return sorted(times)[ROUNDS // 10] * 1000


async def _retention(database: Database) -> dict[str, float]:
    wal, began = await _wal(database), perf_counter()
    retention = Retention(database, days=7)
    while await retention.step():
        pass
    took, wal = perf_counter() - began, await _wal(database) - wal
    return {
        "retention, s": took,
        "its WAL, MB": wal / 1e6,
        "left on disk, MB": await _number(database, SIZE) / 1e6,
    }


async def _wal(database: Database) -> float:
    return await _number(database, "SELECT pg_current_wal_insert_lsn() - '0/0'")


async def _number(database: Database, query: str) -> float:
    return float(await database.read(lambda session: session.scalar(text(query))) or 0)


def main(number: int) -> None:
    """Print both, side by side."""
    with (
        databases(SETTINGS) as server,
        server.fresh() as plain,
        server.fresh() as parted,
    ):
        rows = asyncio.run(measure(plain, number, parted=False))
        whole = asyncio.run(measure(parted, number, parted=True))
    for name, value in rows.items():
        sys.stdout.write(f"{name:18} {value:12.3f} {whole[name]:12.3f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
