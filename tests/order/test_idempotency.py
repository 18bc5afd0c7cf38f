"""Idempotency-Key: an order that is sent again is placed once, whatever happens between."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import Response
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from chassis.http import Unit, View, idempotency
from chassis.http.idempotency import (
    KEPT,
    PATIENCE,
    KeyedRequest,
    idempotency_key,
)
from chassis.outbox import Backlog
from chassis.runtime import clock
from chassis.service.retention import delete_expired_keys
from services.order.model import Order
from tests.support.database import break_commits, mend_commits
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr

JANE = {"customerName": "Jane"}
JOE = {"customerName": "Joe"}
CALLER = "dapr-caller-app-id"
ON_POSTGRESQL = pytest.mark.parametrize("each_database", ["postgresql"], indirect=True)
"""On SQLite one process writes at a time, and no key is held while another looks."""


async def orders(
    order: Service,
    *keys: str,
    body: dict[str, Any] | None = None,
    callers: tuple[str, ...] = (),
) -> httpx.Response:
    """Place an order with these lines of Idempotency-Key."""
    headers = [
        *(("idempotency-key", key) for key in keys),
        *((CALLER, caller) for caller in callers),
    ]
    return await order.http.post("/api/order", json=body or JANE, headers=headers)


async def count(order: Service, table: Any = Order) -> int:  # noqa: ANN401 - a table or a model
    """Return the number of rows."""
    query = select(func.count()).select_from(table)
    return await order.database.read(lambda session: session.scalar(query)) or 0


async def ages(order: Service, by: timedelta) -> None:
    """Make every key older by this."""
    older = update(idempotency_key).values(created_at=clock.now() - by)
    await order.database.write(lambda session: session.execute(older))


def is_refused(answer: httpx.Response, status: int, problem: str) -> None:
    """Check that a request is refused with this problem."""
    assert answer.status_code == status
    assert answer.json()["type"] == f"urn:problem-type:{problem}"


async def test_what_is_sent_again_is_answered_the_same_and_placed_once(
    order: Service,
) -> None:
    first = await orders(order, "a")

    again = await orders(order, "a")

    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await count(order) == 1


async def test_the_order_of_the_fields_makes_no_other_request(order: Service) -> None:
    body = {"customerName": "Jane", "customerEmail": "jane@example.org"}
    first = await orders(order, "a", body=body)

    again = await orders(order, "a", body=dict(reversed(body.items())))

    assert again.json() == first.json()


async def test_a_key_with_another_request_is_refused(order: Service) -> None:
    await orders(order, "a")

    is_refused(await orders(order, "a", body=JOE), 422, "idempotency-key-reused")

    assert await count(order) == 1


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ((), ("shop",)),
        (("shop",), ("another",)),
        # daprd up to 1.18 passes a caller's own header on beside its own, in any order.
        (("shop", "order"), ("order", "shop")),
    ],
)
async def test_a_key_that_comes_through_two_sidecars_is_one_key(
    order: Service, first: tuple[str, ...], again: tuple[str, ...]
) -> None:
    answers = [await orders(order, "a", callers=each) for each in (first, again)]

    assert answers[0].json() == answers[1].json()
    assert await count(order) == 1


async def test_a_key_with_and_without_quotes_is_one_key(order: Service) -> None:
    """The IETF's draft quotes it; many clients do not."""
    first = await orders(order, "a")

    again = await orders(order, '"a"')

    assert again.json() == first.json()
    assert await count(order) == 1


async def test_without_a_key_every_request_is_a_new_one(order: Service) -> None:
    await orders(order)
    await orders(order)

    assert await count(order) == 2
    assert await count(order, idempotency_key) == 0


@pytest.mark.parametrize(
    "keys",
    [
        *[("",), ("a b",), ("a" * 256,), ("\t",), ('"a',), ('a"',), ('""',)],
        *[("a", "b"), ("a", "a"), ("a,b",), ('"a", "b"',), ('"a";x=1',)],
    ],
    ids=repr,
)
async def test_what_is_no_single_key_is_refused(
    order: Service, keys: tuple[str, ...]
) -> None:
    is_refused(await orders(order, *keys), 400, "malformed-idempotency-key")

    assert await count(order) == 0


async def persists(service: Service, key: str) -> httpx.Response:
    """Order until it is no longer said that the request is being carried out: a busy machine takes its time."""
    while (answer := await orders(service, key)).status_code == 409:
        assert answer.headers["retry-after"] == "1"
    return answer


async def test_fifty_at_once_with_one_key_place_one_order(order: Service) -> None:
    answers = await asyncio.gather(*(persists(order, "a") for _ in range(50)))

    assert {each.status_code for each in answers} == {201}
    assert len({each.text for each in answers}) == 1
    assert await count(order) == 1


async def test_two_processes_that_have_one_key_at_once_place_one_order(
    order: Service, tmp_path: Path
) -> None:
    async with order_service(tmp_path, SimulatedDapr()) as replica:
        for key in ("a", "b", "c"):
            both = [persists(each, key) for each in (order, replica) for _ in range(5)]
            answers = await asyncio.gather(*both)

            assert {each.status_code for each in answers} == {201}
            assert len({each.text for each in answers}) == 1

    assert await count(order) == 3


async def test_what_is_refused_leaves_the_key_free(order: Service) -> None:
    assert (await orders(order, "a", body={"customerName": ""})).status_code == 422

    assert (await orders(order, "a")).status_code == 201
    assert await count(order) == 1


async def test_a_commit_that_fails_leaves_the_key_free(
    order: Service,
) -> None:
    await break_commits(order.database)
    assert (await orders(order, "a")).status_code == 500
    assert await count(order) == 0
    await mend_commits(order.database)

    assert await count(order, idempotency_key) == 0
    assert (await orders(order, "a")).status_code == 201
    assert await count(order) == 1


async def test_a_refusal_for_a_full_backlog_is_not_kept(order: Service) -> None:
    parts = order.app.state.parts
    full = Backlog(order.database, limit=-1)
    order.app.state.parts = replace(parts, backlog=full)
    assert (await orders(order, "a")).status_code == 503
    order.app.state.parts = parts

    assert (await orders(order, "a")).status_code == 201


async def test_an_error_of_the_command_is_not_kept(order: Service) -> None:
    errors: list[Exception | None] = [ZeroDivisionError(), TimeoutError(), None]

    def command(_session: Session) -> View:
        if error := errors.pop(0):
            raise error
        return View()

    @order.app.post("/api/trouble")
    async def post_trouble(unit: Unit) -> Response:
        return await unit.run(command)

    key = {"idempotency-key": "a"}
    answers = [await order.http.post("/api/trouble", headers=key) for _ in range(4)]

    assert [each.status_code for each in answers] == [500, 500, 200, 200]


async def test_a_request_that_meets_one_in_flight_waits_and_gives_up(
    order: Service,
) -> None:
    in_flight = order.app.state.parts.in_flight
    in_flight["POST /api/order", "a"] = held = asyncio.Lock()
    await held.acquire()

    async with asyncio.timeout(3 * PATIENCE):
        answer = await orders(order, "a")

    is_refused(answer, 409, "request-in-flight")
    assert answer.headers["retry-after"] == "1"
    assert await count(order) == 0


@pytest.mark.parametrize("by", [KEPT + timedelta(minutes=1), -KEPT * 2])
async def test_an_old_key_is_a_new_one_and_is_deleted(
    order: Service, by: timedelta
) -> None:
    await orders(order, "a")
    await ages(order, by)
    await orders(order, "a", body=JOE)
    assert await count(order) == 2

    await ages(order, by)
    await order.database.write(delete_expired_keys)

    assert await count(order, idempotency_key) == 0


async def test_a_key_that_is_still_known_is_not_deleted(order: Service) -> None:
    await orders(order, str(uuid4()))
    await ages(order, KEPT - timedelta(minutes=1))

    assert await order.database.write(delete_expired_keys) == 0


@contextmanager
def held_by_another_process(order: Service, *keys: str) -> Iterator[None]:
    """Hold keys as a replica does that has not committed yet."""
    with order.database.engine.connect() as replica:
        for key in keys:
            request = KeyedRequest("POST /api/order", key, b"")
            lock = select(func.pg_advisory_xact_lock(request.lock_id()))
            replica.execute(lock)
        yield


@ON_POSTGRESQL
async def test_a_key_that_another_process_holds_is_waited_for_and_given_up(
    order: Service,
) -> None:
    with held_by_another_process(order, "a"):
        async with asyncio.timeout(3 * PATIENCE):
            answer = await orders(order, "a")

    is_refused(answer, 409, "request-in-flight")
    assert (await orders(order, "a")).status_code == 201


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make requests wait for a key as long as a busy machine may take."""
    monkeypatch.setattr(idempotency, "PATIENCE", 30.0)


@ON_POSTGRESQL
@pytest.mark.usefixtures("patient")
async def test_a_key_that_another_process_lets_go_is_carried_out(
    order: Service,
) -> None:
    with held_by_another_process(order, "a"):
        waiting = asyncio.create_task(orders(order, "a"))
        assert (await orders(order, "b")).status_code == 201

    assert (await waiting).status_code == 201


@ON_POSTGRESQL
@pytest.mark.usefixtures("patient")
async def test_whoever_waits_for_another_process_holds_up_nobody(
    order: Service,
) -> None:
    keys = [str(uuid4()) for _ in range(30)]  # more than there are connections
    with held_by_another_process(order, *keys):
        waiting = [asyncio.create_task(orders(order, each)) for each in keys]
        async with asyncio.timeout(15):
            assert (await orders(order)).status_code == 201
        assert not any(each.done() for each in waiting)

    assert {each.status_code for each in await asyncio.gather(*waiting)} == {201}


@ON_POSTGRESQL
async def test_a_key_changes_nothing_of_how_long_a_command_waits_for_a_row(
    order: Service,
) -> None:
    found: list[object] = []

    def command(session: Session) -> View:
        found.append(session.scalar(text("SHOW lock_timeout")))
        return View()

    @order.app.post("/api/look")
    async def post_look(unit: Unit) -> Response:
        return await unit.run(command)

    await order.http.post("/api/look")
    await order.http.post("/api/look", headers={"idempotency-key": "a"})

    assert found[0] == found[1] == "0"
