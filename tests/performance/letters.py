"""How long the pages and the API of dead letters take where there are many; and what their statements read.

    python -m tests.performance.letters 100000

prints it for both databases; the service runs in this process, and one request follows the other.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.inbox.dead_letter import State, count_in_group, dead_letter
from chassis.runtime import clock
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.performance.counters import on_each_database
from tests.performance.plans import Statements
from tests.support.database import migrated
from tests.support.delivering import order_created
from tests.support.services import Service, notification_service
from tests.support.simulated_dapr import SimulatedDapr

REQUESTS = 200
"""Of each kind."""
BATCH = 5000
GROUPS = 40
_COUNTED = (
    "UPDATE dead_letter_group SET open = (SELECT count(*) FROM dead_letter"
    " WHERE dead_letter.fingerprint = dead_letter_group.fingerprint)"
)


def store_many(session: Session, first: int, last: int) -> None:
    """Store open letters, in groups of which the first has half of them."""
    body, now = json.dumps(order_created()).encode(), clock.now()
    ages = {number: timedelta(seconds=last - number) for number in range(first, last)}
    rows = [_row(body, number, now - age) for number, age in ages.items()]
    groups: dict[str, str] = {}
    for row in rows:
        kind = row["reason"].partition(":")[0]
        if kind not in groups:
            groups[kind] = count_in_group(session, row)
        row["fingerprint"] = groups[kind]
    session.execute(insert(dead_letter), rows)


def _row(body: bytes, number: int, at: object) -> dict[str, Any]:
    kind = "" if number % 2 else "a" * (number % GROUPS)
    return {
        "reaction": reaction.name,
        "reason": f"KeyError{kind}: '{number}'",
        "body": body,
        "authentic": True,
        "received_at": at,
    }


async def fill(database: Database, number: int) -> None:
    """Store so many letters."""
    for first in range(0, number, BATCH):
        last = min(first + BATCH, number)
        await database.write(lambda session: store_many(session, first, last))  # noqa: B023
    await database.write(lambda session: session.execute(text(_COUNTED)))
    if database.is_shared:
        # As the server does by itself, sooner or later.
        with database.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        ) as connection:
            connection.execute(text("VACUUM ANALYZE"))


@asynccontextmanager
async def opened(folder: Path, number: int) -> AsyncIterator[Service]:
    """Run the notification service with so many letters."""
    database = migrated("notification", folder)
    await fill(database, number)
    await database.close()
    async with notification_service(folder, SimulatedDapr()) as service:
        yield service


async def addresses(service: Service) -> list[str]:
    """Return every kind of list, with a filter and in the middle, and one of each thing."""
    groups = (await service.http.get("/api/dead-letter-group?limit=200")).json()
    largest = max(groups["items"], key=lambda each: each["open"])["fingerprint"]
    middle = largest_of(groups) // 2
    lists = [f"state={each}" for each in State]
    lists += [f"reaction={reaction.name}", f"group={largest}", "reaction=none"]
    return [
        *("/dead-letters", f"/dead-letters/groups/{largest}"),
        f"/dead-letters/groups/{largest}?cursor={middle}",
        f"/dead-letters/{middle}",
        *("/api/dead-letter-group", f"/api/dead-letter-group/{largest}"),
        *("/api/dead-letter", f"/api/dead-letter?cursor={middle}"),
        *(f"/api/dead-letter?{each}&cursor={middle}" for each in lists),
        *(f"/api/dead-letter/{middle}", f"/api/dead-letter/{middle}/history"),
    ]


def largest_of(groups: dict[str, Any]) -> int:
    """Return how many letters there are."""
    return sum(each["open"] for each in groups["items"])


async def findings(folder: Path, number: int) -> list[str]:
    """Return each statement that reads too much where there are so many letters."""
    async with opened(folder, number) as service:
        watched = Statements(service.database.engine)
        watched.record()
        for each in await addresses(service):
            assert (await service.http.get(each)).status_code == 200, each
        largest = (await addresses(service))[1].rpartition("/")[2]
        url = f"/api/dead-letter-group/{largest}/run"
        run = {"act": "DISCARD", "by": "jane", "reason": "a test"}
        assert (await service.http.post(url, json=run)).status_code == 201
        return [*watched.findings()]


async def measured(folder: Path, number: int) -> list[tuple[str, float, float]]:
    """Return the median and the 99th percentile of each address, in milliseconds."""
    async with opened(folder, number) as service:
        return [
            (each, *await _times(service, each)) for each in await addresses(service)
        ]


async def _times(service: Service, address: str) -> tuple[float, float]:
    times = []
    for _ in range(REQUESTS):
        began = perf_counter()
        await service.http.get(address)
        times.append((perf_counter() - began) * 1000)
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100]


def lines(number: int) -> Iterator[str]:
    """Yield a line for each address, on each database."""
    for database, folder in on_each_database():
        yield f"{database}, {number:,} letters: median and p99 of {REQUESTS} requests, ms"
        for address, median, most in asyncio.run(measured(folder, number)):
            yield f"  {median:6.1f} {most:6.1f}  {address}"


def main() -> None:
    """Print what is measured on both databases."""
    for line in [*lines(int(sys.argv[1]))]:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
