"""Dead letters in a service's database, and what is asked about them."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import insert

from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import Reaction, inbox, take_in
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from services.notification.reactions.notify_customer_on_order_created import (
    notify_customer_on_order_created,
)
from tests.support.delivering import order_created, rows
from tests.support.services import Service

REACTION = "notify_customer_on_order_created"
STRICT = Reaction(OrderCreated, notify_customer_on_order_created)


async def kept(service: Service, body: bytes, reaction: str = REACTION) -> int:
    """Keep a dead letter that a reaction can take in by now; give its id."""
    row = {"reaction": reaction, "reason": "it was too early", "body": body}
    statement = insert(dead_letter).values(**row, received_at=datetime.now(UTC))
    async with service.database.write() as session:
        new = await session.execute(statement.returning(dead_letter.c.id))
        return int(new.scalar_one())


async def hears_strictly(service: Service, *events: dict[str, Any]) -> None:
    """Let events come to a reaction that corrects nothing: the letter of one that fails holds its key."""
    for each in events:
        await take_in(service.database, STRICT, json.dumps(each).encode())


async def kept_event(service: Service, reaction: str = REACTION) -> tuple[int, str]:
    """Keep an event that is as it should be; give the letter's id and the event's."""
    made = order_created()
    return await kept(service, json.dumps(made).encode(), reaction), made["id"]


async def replay(service: Service, letter: object, query: str = "") -> httpx.Response:
    """Try a dead letter again."""
    return await service.http.post(f"/api/dead-letter/{letter}/replay{query}")


async def listed(service: Service, query: str = "") -> dict[str, Any]:
    """Ask for a page of dead letters."""
    answer = await service.http.get(f"/api/dead-letter{query}")
    assert answer.status_code == 200
    return dict(answer.json())


async def everything(service: Service) -> list[list[Any]]:
    """Give all that a replay could change."""
    return [await rows(service, each) for each in (dead_letter, inbox, Notification.id)]


def is_refused(answer: httpx.Response, status: int, problem: str) -> str:
    """Check that a request is refused with this problem; give its detail."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (answer.status_code, document["type"]) == (
        status,
        f"urn:problem-type:{problem}",
    )
    return str(document["detail"])
