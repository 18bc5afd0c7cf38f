"""Idempotency-Key: an order that is sent again is placed once, whatever happens between."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter, Response
from sqlalchemy import func, select, update

from chassis.database.unit_of_work import WriteSession
from chassis.http.idempotency import KEPT, PATIENCE, Idempotent, idempotency_key
from chassis.outbox.backlog import Backlog
from chassis.runtime import clock
from chassis.service.retention import forget_expired
from services.order.model import Order
from tests.support.database import break_commits, mend_commits
from tests.support.services import Service

JANE = {"customerName": "Jane"}


async def orders(
    order: Service,
    key: str | None,
    body: dict[str, Any] | None = None,
    caller: str = "",
) -> httpx.Response:
    """Place an order with this key."""
    named = {"idempotency-key": key} if key is not None else {}
    return await order.http.post(
        "/api/order", json=body or JANE, headers={**named, "dapr-caller-app-id": caller}
    )


async def count(order: Service, table: Any = Order) -> int:  # noqa: ANN401 - a table or a model
    """Count rows."""
    async with order.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def ages(order: Service, by: timedelta) -> None:
    """Let every key be older by this."""
    async with order.database.write() as session:
        made = {"made_at": clock.now() - by}
        await session.execute(update(idempotency_key).values(made))


async def test_what_is_sent_again_is_answered_the_same_and_placed_once(
    order: Service,
) -> None:
    first = await orders(order, "a")

    again = await orders(order, "a")

    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await count(order) == 1


async def test_the_order_of_the_fields_makes_no_other_request(order: Service) -> None:
    body = {"customerName": "Jane", "customerEmail": "jane@example.org"}
    first = await orders(order, "a", body)

    again = await orders(order, "a", dict(reversed(body.items())))

    assert again.json() == first.json()


async def test_a_key_with_another_request_is_refused(order: Service) -> None:
    await orders(order, "a")

    answer = await orders(order, "a", {"customerName": "Joe"})

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:problem-type:idempotency-key-reused"
    assert await count(order) == 1


@pytest.mark.parametrize("caller", ["shop", "x" * 400])
async def test_another_callers_key_is_another_key(order: Service, caller: str) -> None:
    await orders(order, "a")

    await orders(order, "a", caller=caller)
    await orders(order, "a", caller=f"{caller}2")
    await orders(order, "a", caller=caller)

    assert await count(order) == 3


async def test_without_a_key_every_request_is_a_new_one(order: Service) -> None:
    await orders(order, None)
    await orders(order, None)

    assert await count(order) == 2
    assert await count(order, idempotency_key) == 0


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "\t"])
async def test_what_is_no_key_is_refused(order: Service, key: str) -> None:
    answer = await orders(order, key)

    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:problem-type:malformed-idempotency-key"
    assert await count(order) == 0


async def test_fifty_at_once_with_one_key_place_one_order(order: Service) -> None:
    answers = await asyncio.gather(*(orders(order, "a") for _ in range(50)))
    while waiting := [each for each in answers if each.status_code == 409]:
        assert {each.headers["retry-after"] for each in waiting} == {"1"}
        answers = await asyncio.gather(*(orders(order, "a") for _ in range(50)))

    assert {each.status_code for each in answers} == {201}
    assert len({each.text for each in answers}) == 1
    assert await count(order) == 1


async def test_what_is_refused_leaves_the_key_free(order: Service) -> None:
    assert (await orders(order, "a", {"customerName": ""})).status_code == 422

    assert (await orders(order, "a")).status_code == 201
    assert await count(order) == 1


async def test_a_commit_that_fails_leaves_the_key_free(
    order: Service,
) -> None:
    await break_commits(order.database)
    assert (await orders(order, "a")).status_code == 500
    await mend_commits(order.database)

    assert await count(order, idempotency_key) == 0
    assert (await orders(order, "a")).status_code == 201
    assert await count(order) == 1


async def test_a_key_whose_order_cannot_be_committed_is_free(order: Service) -> None:
    await break_commits(order.database)

    assert (await orders(order, "a")).status_code == 500

    assert await count(order) == 0
    assert await count(order, idempotency_key) == 0


async def test_an_answer_of_trouble_is_not_kept(order: Service) -> None:
    order.app.state.backlog = Backlog(order.database, limit=-1)
    assert (await orders(order, "a")).status_code == 503
    order.app.state.backlog = Backlog(order.database, limit=100)

    assert (await orders(order, "a")).status_code == 201


async def test_trouble_that_a_route_answers_with_is_not_kept(order: Service) -> None:
    troubles = [503, 429, 201]
    router = APIRouter(route_class=Idempotent)

    @router.post("/api/trouble")
    async def trouble(_session: WriteSession) -> Response:
        return Response(status_code=troubles.pop(0))

    order.app.include_router(router)
    key = {"idempotency-key": "a"}

    answers = [await order.http.post("/api/trouble", headers=key) for _ in range(4)]

    assert [each.status_code for each in answers] == [503, 429, 201, 201]


async def test_a_request_that_meets_one_in_flight_waits_and_gives_up(
    order: Service,
) -> None:
    order.app.state.turns["POST /api/order ", "a"] = held = asyncio.Lock()
    await held.acquire()

    async with asyncio.timeout(3 * PATIENCE):
        answer = await orders(order, "a")

    assert answer.status_code == 409
    assert answer.headers["retry-after"] == "1"
    assert await count(order) == 0


@pytest.mark.parametrize("by", [KEPT + timedelta(minutes=1), -KEPT * 2])
async def test_an_old_key_is_a_new_one_and_is_forgotten(
    order: Service, by: timedelta
) -> None:
    await orders(order, "a")
    await ages(order, by)
    await orders(order, "a", {"customerName": "Joe"})
    assert await count(order) == 2

    await ages(order, by)
    async with order.database.write() as session:
        await forget_expired(
            session
        )  # the service's own housekeeping may have been first

    assert await count(order, idempotency_key) == 0


async def test_a_key_that_is_still_known_is_not_forgotten(order: Service) -> None:
    await orders(order, str(uuid4()))
    await ages(order, KEPT - timedelta(minutes=1))

    async with order.database.write() as session:
        assert await forget_expired(session) == 0
