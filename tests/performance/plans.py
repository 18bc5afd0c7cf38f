"""How much each statement of the services reads: it must not grow with the number of orders.

An order is carried all the way, and everything periodic is done once, on databases with so many settled orders:
    python -m tests.performance.plans 1000000
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import Engine, event

from chassis.database import Database
from chassis.reconciler.grace_period import SHORTEST
from services.order.model import NotificationState
from services.order.views.order_overview import OrderQuery, list_order_overviews
from tests.performance.counters import (
    PUSHED,
    Course,
    in_virtual_time,
    on_each_database,
    open_course,
)
from tests.support.database import url_in
from verification.benchmark.fill import fill

ROWS = 20_000
"""Orders in a test: enough that a whole table differs from a page."""
GROWING = (
    "orders",
    "notification",
    "outbox",
    "inbox",
    "idempotency_key",
    "dead_letter",
)
"""The tables that have a row for each order, or may have many."""
MOST_STEPS = 50_000
"""Of SQLite's virtual machine, for one statement: a page of a thousand rows takes 20 to 30 for each."""
MOST_COST = 3_000
"""By PostgreSQL's own measure, in which a page read in order costs 1."""
MOST_UNORDERED = 50
"""The cost of a table that is read as a whole."""
MOST_SORTED = 1_100
"""Rows that are sorted at most: a page."""
STEP = 100


@dataclass
class Statements:
    """What is executed by one service, and the steps that SQLite takes for it."""

    engine: Engine
    parameters: dict[str, Any] = field(default_factory=dict)
    steps: Counter[str] = field(default_factory=Counter)
    _most: Counter[str] = field(default_factory=Counter)
    _current: str = ""

    def record(self) -> None:
        """Record from now on."""
        event.listen(self.engine, "before_cursor_execute", self._executed)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "checkout", self._opened)

    def _executed(self, *arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six
        self._current, parameters, is_many = arguments[2], arguments[3], arguments[5]
        self.parameters[self._current] = parameters[0] if is_many else parameters
        self.steps[self._current] = 0

    def _opened(self, connection: Any, *_: object) -> None:  # noqa: ANN401 - the driver's own
        connection.set_progress_handler(self._took_steps, STEP)

    def _took_steps(self) -> None:
        self.steps[self._current] += STEP
        most = max(self._most[self._current], self.steps[self._current])
        self._most[self._current] = most

    def findings(self) -> Iterator[str]:
        """Yield each statement that reads too much, with its plan."""
        if self.engine.dialect.name == "sqlite":
            yield from self._long_ones()
        else:
            yield from self._dear_ones()

    def _long_ones(self) -> Iterator[str]:
        for statement, steps in [*self._most.items()]:
            if steps > MOST_STEPS:
                rows = self._explain("EXPLAIN QUERY PLAN", statement)
                plan = [row.detail for row in rows]
                yield f"{steps} steps: {statement}\n    {plan}"

    def _dear_ones(self) -> Iterator[str]:
        for statement in [*self.parameters]:
            if any(table in statement for table in GROWING):
                ((found,),) = self._explain("EXPLAIN (FORMAT JSON)", statement)
                root = found[0]["Plan"]
                if why := _too_dear(root):
                    yield f"{why}: {statement}\n    {json.dumps(root)}"

    def _explain(self, explain: str, statement: str) -> Any:  # noqa: ANN401 - rows
        with self.engine.connect() as connection:
            sql, parameters = f"{explain} {statement}", self.parameters[statement]
            return connection.exec_driver_sql(sql, parameters).all()


def _too_dear(root: dict[str, Any]) -> str:
    if root["Total Cost"] > MOST_COST:
        return f"costs {root['Total Cost']}"
    for node in _nodes(root):
        # One that is empty is read as a whole, for nothing.
        if node["Node Type"] == "Seq Scan" and node["Total Cost"] > MOST_UNORDERED:
            return f"reads all of {node['Relation Name']}"
        if "Sort" in node["Node Type"] and node["Plan Rows"] > MOST_SORTED:
            return f"sorts {node['Plan Rows']} rows"
    return ""


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from _nodes(each)


async def _everything(course: Course) -> None:
    await course.places(50)
    await course.steps("order", "relay")
    await course.delivers()
    await course.compares()
    await _is_lost_and_late(course)
    await _is_mailed(course)
    await course.looks(retention=False)
    await course.looks(retention=True)
    await _is_listed(course)
    await _is_erased(course)
    await _is_listed_for_its_owner(course.services["order"].database)


async def _is_lost_and_late(course: Course) -> None:
    await course.places(1)
    await course.steps("order", "relay")
    (lost,) = course.dapr.queue
    course.dapr.queue.clear()
    await course.compares()
    course.dapr.queue.append(lost)
    await course.delivers()
    await asyncio.sleep(SHORTEST)
    await course.steps("notification", PUSHED)


async def _is_mailed(course: Course) -> None:
    order = {"customerName": "Jane Doe", "customerEmail": "jane@example.org"}
    for _ in range(2):
        key = {"Idempotency-Key": "mailed"}
        post = course.services["order"].http.post("/api/order", json=order, headers=key)
        assert (await post).status_code == 201
    await course.steps("order", "relay")
    await course.delivers()
    await course.steps("notification", "dispatcher")


async def _is_listed(course: Course) -> None:
    for service, each in course.services.items():
        http, secret = each.http, each.parts.secret
        path = f"/api/{service}"
        page = (await http.get(path)).json()
        one = page["items"][0]["orderId"]
        asked = [f"/{one}", f"?cursor={page['next']}"]
        if service == "order":
            asked.append(f"/{one}/journey")
        else:
            headers = {"authorization": f"Bearer {secret}"}
            for query in (f"/{one}", f"?order={one}"):
                inner = f"/internal/notification{query}"
                assert (await http.get(inner, headers=headers)).status_code == 200
        # Not READY or SENDING: an index for them would cost each order, and nobody lists them in a loop.
        states = ["SENT", "FAILED", "UNKNOWN", "HELD"]
        states += ["WAITING"] if service == "order" else []
        for query in [*asked, *(f"?state={each}" for each in states)]:
            assert (await http.get(f"{path}{query}")).status_code == 200
        assert (await http.get("/readyz")).status_code in {200, 503}
        await _is_paged(http, service, one)
        seen = (await http.get("/api/operations")).json()
        assert seen["stored"], seen["databaseSilence"]


async def _is_erased(course: Course) -> None:
    order, notification = (course.services[each] for each in ("order", "notification"))
    whom = {"customerEmail": "jane@example.org"}
    page = (await order.http.post("/api/customer/export", json=whom)).json()
    ids = {
        "orderIds": [each["order"]["orderId"] for each in page["items"]],
        "eventIds": [each["event"]["id"] for each in page["items"]],
    }
    assert ids["orderIds"]
    who = {"by": "Ada", "reason": "Request 4711"}
    for service, verb, body in (
        (notification, "export", ids),
        (order, "erase", {**whom, **who}),
    ):
        answer = await service.http.post(f"/api/customer/{verb}", json=body)
        assert answer.status_code == 200, answer.text
    await course.steps("notification", "reconciler erase_customer_on_order_erased")


async def _is_listed_for_its_owner(database: Database) -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    for query in (
        OrderQuery(),
        OrderQuery(name="jane"),
        OrderQuery(state=NotificationState.FAILED, createdFrom=day),
        OrderQuery(state=NotificationState.SENT, cursor=UUID(int=1 << 64)),
    ):
        for owner in ("jane", "nobody"):
            await database.read(
                lambda session: list_order_overviews(query, session, owner)  # noqa: B023
            )


async def _is_paged(http: httpx.AsyncClient, service: str, one: str) -> None:
    # A frequent name and one that nobody has, a day and a state with none; and the pages behind a late cursor.
    searches = ["find=jane", "find=nobody", "until=2026-01-01", "state=SENT"]
    searches += [
        "find=jane&state=FAILED&since=2026-01-01",
        f"cursor={UUID(int=1 << 64)}",
    ]
    pages = (
        [f"/?{each}" for each in searches] if service == "order" else ["/?state=HELD"]
    )
    pages += [f"/orders/{one}"] if service == "order" else []
    for path in ("/", *pages):
        assert (await http.get(path)).status_code == 200, path


async def _record(folder: Path) -> list[str]:
    async with open_course(folder) as course:
        watched = [
            Statements(each.database.engine) for each in course.services.values()
        ]
        for each in watched:
            each.record()
        await _everything(course)
        return [found for each in watched for found in each.findings()]


def fill_both(folder: Path, orders: int) -> None:
    """Store so many orders in the databases of this folder."""
    fill({each: url_in(folder, each) for each in ("order", "notification")}, orders)


def findings(folder: Path) -> list[str]:
    """Return each statement that reads too much of the databases in this folder, and how."""
    return in_virtual_time(_record(folder))


def main() -> None:
    """Print what is found on both databases."""
    found: dict[str, list[str]] = {}
    for database, folder in on_each_database():
        fill_both(folder, int(sys.argv[1]))
        found[database] = findings(folder)
    for database, statements in found.items():
        said = [f"{database}: {len(statements)} statements read too much", *statements]
        sys.stdout.write("\n".join([*said, ""]))


if __name__ == "__main__":
    main()
