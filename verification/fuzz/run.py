"""Run hostile cases against both services, and check what they answer, and what is in the database at the end."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from uuid import uuid4

import httpx
from sqlalchemy import select

from services.notification.model import Notification
from tests.support.database import secrets_in
from tests.support.delivering import DEAD, DELIVERED
from tests.support.services import Service, notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.simulated_delivery import bulk
from verification.fuzz import events, growth, requests
from verification.fuzz.events import MARK, Hostile

AT_ONCE = 40
"""Events in one delivery."""
KEPT = 200
"""What a container may grow by in the second half of a run."""
MOST_FINDINGS = 20
REQUESTS = 5
"""One of so many cases is a request, the others are events."""


@dataclass
class Result:
    """What was sent, by what came of it; what is wrong; and the orders that must, and must not, be notified."""

    counted: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    must: set[str] = field(default_factory=set)
    must_not: set[str] = field(default_factory=set)

    def find(self, what: str) -> None:
        """Note what is wrong."""
        self.counted["wrong"] += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(what)


async def run(number: int, seed: int, folder: Path) -> Result:
    """Send so many cases, drawn from the seed."""
    chance, result, dapr = Random(seed), Result(), SimulatedDapr()
    # A dead letter is a line of the log, and there are many.
    logging.disable(logging.CRITICAL)
    secrets_in(folder)
    async with (
        order_service(folder, dapr) as order,
        notification_service(folder, dapr) as notification,
    ):
        asked = [(each, requests.routes(each.app)) for each in (order, notification)]
        before = Counter[str]()
        for left in range(number, 0, -AT_ONCE):
            if left <= number // 2 and not before:
                before = growth.sizes()
            many = min(left, AT_ONCE)
            await _deliver(chance, notification, result, many - many // REQUESTS)
            for _ in range(many // REQUESTS):
                service, routes = chance.choice(asked)
                await _ask(chance, service, routes, result)
        await _check(notification, result)
        _compare(before, growth.sizes(), result)
    logging.disable(logging.NOTSET)
    return result


async def _deliver(
    chance: Random, service: Service, result: Result, number: int
) -> None:
    drawn = {str(uuid4()): events.draw(chance) for _ in range(number)}
    result.counted["events"] += number
    result.must_not |= {each.must_not for each in drawn.values()} - {""}
    way = chance.random()
    if way < 0.1:
        for each in drawn.values():
            await _bury(service, each, result)
        return
    content = bulk({entry: each.body for entry, each in drawn.items()})
    if way < 0.2:
        content = content[: chance.randrange(len(content))]
    answer = await service.http.post(DELIVERED, content=content)
    statuses = _statuses(answer, result)
    if way >= 0.2:
        _expect(drawn, statuses, result)


def _expect(
    drawn: dict[str, Hostile], statuses: dict[str, str], result: Result
) -> None:
    authentic = {entry: each.must for entry, each in drawn.items() if each.must}
    result.must |= {*authentic.values()}
    for entry in authentic.keys() - statuses.keys():
        result.find(f"an authentic event has no status: {authentic[entry]}")


def _statuses(answer: httpx.Response, result: Result) -> dict[str, str]:
    try:
        found = {each["entryId"]: each["status"] for each in answer.json()["statuses"]}
    except (ValueError, KeyError, TypeError):
        result.find(f"a delivery is answered {answer.status_code}: {answer.text[:200]}")
        return {}
    result.counted.update(found.values())
    if answer.status_code != 200 or set(found.values()) - {"SUCCESS"}:
        result.find(
            f"a delivery is answered {answer.status_code}: {Counter(found.values())}"
        )
    return found


async def _bury(service: Service, each: Hostile, result: Result) -> None:
    answer = await service.http.post(DEAD, content=each.body)
    result.must |= {each.must} - {""}
    if (answer.status_code, answer.text) != (200, '{"status":"SUCCESS"}'):
        result.find(
            f"a dead letter is answered {answer.status_code}: {answer.text[:200]}"
        )


async def _ask(
    chance: Random, service: Service, routes: list[tuple[str, str]], result: Result
) -> None:
    asked = requests.draw(chance, routes)
    answer = await service.http.request(
        asked.method, asked.path, headers=asked.headers, content=asked.body
    )
    result.counted[f"{answer.status_code // 100}xx"] += 1
    said = f"{asked.method} {asked.path[:200]} is answered {answer.status_code}"
    if answer.status_code >= 500 and not asked.path.startswith("/readyz"):
        result.find(f"{said}: {asked.headers} {asked.body[:200]!r}")
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/html") and MARK in answer.text:
        result.find(f"{said} with markup that came from outside")
    if (
        answer.is_error
        and answer.content
        and "problem+json" not in kind
        and "html" not in kind
    ):
        result.find(f"{said} as {kind}")


def _compare(before: Counter[str], after: Counter[str], result: Result) -> None:
    # What has come for the first time in the second half is no more than these.
    for name, size in after.items():
        if size - before[name] > KEPT:
            result.find(f"{name} grew from {before[name]} to {size}")


async def _check(service: Service, result: Result) -> None:
    columns = select(Notification.order_id, Notification.customer_name)
    rows = await service.database.read(lambda session: [*session.execute(columns)])
    notified = {str(order) for order, _ in rows}
    result.counted["notified"] = len(notified)
    if lost := result.must - notified:
        result.find(f"lost: {len(lost)} orders, {sorted(lost)[:3]}")
    if forged := result.must_not & notified:
        result.find(f"forged: {len(forged)} orders, {sorted(forged)[:3]}")
    if named := {name for _, name in rows} & {"Mallory"}:
        result.find(f"notified under a name that nobody signed: {named}")
    health = await asyncio.wait_for(service.http.get("/healthz"), 60)
    if health.status_code != 200:
        result.find(f"not alive at the end: {health.status_code}")
