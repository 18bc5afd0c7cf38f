"""Operations as JSON: what the database, the sidecar and the process say, each in time and by itself."""

import asyncio
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text, update
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.inbox import Inbox
from chassis.inbox.attempts import count as count_attempt
from chassis.inbox.dead_letter import DeadLetter, dead_letter, store
from chassis.operations import Observer, Watched
from chassis.operations.model import MOST, Operations
from chassis.operations.problems import find_problems
from chassis.outbox.outbox import State, outbox
from chassis.runtime import clock
from tests.chassis.http.test_health import silent_server
from tests.support.database import KEYS
from tests.support.eventually import eventually
from tests.support.feeds import parts_of
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr

REACTION = "notify_customer_on_order_created"
JANE = {"customerName": "Jane Doe"}


async def look(service: Service) -> dict[str, Any]:
    """Return what Operations shows of a service."""
    began = time.monotonic()
    answer = await service.http.get("/api/operations")

    assert time.monotonic() - began < 3
    assert answer.status_code == 200
    seen: dict[str, Any] = answer.json()
    return seen


def problems(seen: dict[str, Any]) -> list[str]:
    """Return what is wrong, as it is said."""
    return [each["what"] for each in seen["problems"]]


async def places(service: Service, number: int = 1) -> None:
    """Place so many orders."""
    for _ in range(number):
        assert (await service.http.post("/api/order", json=JANE)).status_code == 201


async def test_of_a_calm_service_nothing_is_wrong(
    order: Service, notification: Service, dapr: SimulatedDapr
) -> None:
    await places(order)

    async def is_delivered() -> bool:
        return bool(await dapr.deliver_to(notification.app))

    async def is_marked() -> bool:
        waiting = (await look(order))["stored"]["outbox"]["waiting"]
        return bool(waiting == {"number": 0, "more": False})

    await eventually(is_delivered, "the order's event is delivered")
    await eventually(is_marked, "it waits for the broker no longer")

    for service in (order, notification):
        seen = await look(service)
        assert (seen["problems"], seen["missing"]) == ([], [])
        assert {each["stored"] for each in seen["stored"]["revisions"]} == {
            each["code"] for each in seen["stored"]["revisions"]
        }
        assert seen["sidecar"]["pubsub"]["type"] == "pubsub.simulated"
        assert seen["sidecar"]["version"] == seen["sidecar"]["tested"]
        assert all(each["alive"] and each["hasLock"] for each in seen["loops"])
    subscriptions = (await look(notification))["subscriptions"]
    says = {each["topic"]: each["says"] for each in subscriptions}
    assert re.fullmatch(r"alive: last delivery \d s ago", says["OrderCreated"])
    assert says["notification-dead-letter"].startswith("listed: nothing came by it")


async def test_while_the_broker_is_away_what_waits_is_counted_with_the_oldest(
    order: Service, dapr: SimulatedDapr
) -> None:
    dapr.available = False
    await places(order, 3)
    long_ago = clock.now() - 5 * clock.CLOCKS_APART

    await order.database.write(
        lambda session: session.execute(update(outbox).values(created_at=long_ago))
    )

    seen = await look(order)
    assert seen["stored"]["outbox"]["waiting"]["number"] == 3
    (problem,) = (each for each in seen["problems"] if "broker" in each["what"])
    assert problem["severity"] == "CRITICAL"
    assert problem["what"].startswith(
        "3 events wait for the broker, the oldest for 2 min"
    )


async def test_a_service_that_hangs_is_named_before_a_call_to_it_has_failed(
    order: Service,
) -> None:
    seen = Operations.model_validate(await look(order))
    before = seen.at - timedelta(seconds=12)
    silent = [
        each.model_copy(update={"answered_at": before}) for each in seen.reactions
    ]
    failing = [each.model_copy(update={"failing_for": 12.0}) for each in seen.loops]
    quiet = seen.model_copy(update={"reactions": silent})

    said = [each.what for each in find_problems(quiet)]
    named = [
        each.what for each in find_problems(quiet.model_copy(update={"loops": failing}))
    ]

    unanswered = "The notification service has not answered for 12 s."
    assert said.count(unanswered) == 1
    assert unanswered not in named  # the loops that fail say it


async def test_a_broker_that_hangs_is_not_taken_for_the_sidecar_that_answers(
    order: Service, dapr: SimulatedDapr
) -> None:
    dapr.available = False
    await places(order, 1)
    seen = Operations.model_validate(await look(order))
    assert seen.stored
    long_ago = seen.at - 5 * clock.CLOCKS_APART
    stored = seen.stored.outbox.model_copy(update={"oldest": long_ago})
    heard = {"failures": 1, "error": "SidecarUnavailable: the sidecar does not answer"}
    loops = [each.model_copy(update=heard) for each in seen.loops]
    outbox = {"stored": seen.stored.model_copy(update={"outbox": stored})}

    found = find_problems(seen.model_copy(update={**outbox, "loops": loops}))

    said = [each.what for each in found if "for the broker" in each.what]
    assert said[0].endswith("the sidecar answers, and the broker does not take them.")


def in_trouble(session: Session) -> None:
    """Store one of each kind of trouble."""
    parked = outbox.insert().values(
        event_id="parked",
        topic="T",
        event="{}",
        size=2,
        state=State.PARKED,
        reason="too wide",
    )
    session.execute(parked)
    store(session, DeadLetter(REACTION, b"{}", "it is no order"))
    count_attempt(session, REACTION, "failing")
    cursor = text("INSERT INTO feed_cursor VALUES (:name, 'x')")
    session.execute(cursor, {"name": f"rebuild of {REACTION}"})
    session.execute(
        text("INSERT INTO consumer VALUES ('old/one', 'T', -1, -1, :at)"),
        {"at": "2026-01-01 00:00:00"},
    )
    session.execute(text("UPDATE outbox SET created_at = '2026-01-01 00:00:00'"))
    session.execute(
        text(
            "UPDATE schema_version SET version_num = '0000_chassis' WHERE version_num = '0001.2_chassis'"
        )
    )


async def test_each_trouble_is_one_sentence_and_the_most_urgent_comes_first(
    notification: Service, dapr: SimulatedDapr
) -> None:
    await dapr.deliver_to(notification.app)
    await notification.database.write(in_trouble)

    seen = await look(notification)

    said = problems(seen)
    assert said[:2] == [
        "The tables of chassis are at version 0000_chassis, and this release knows 0001.2_chassis.",
        f"A rebuild was not finished: {REACTION} handles nothing.",
    ]
    assert said[2:] == [
        "1 event is parked after five refusals of the broker, the newest because too wide.",
        f"{REACTION} fails on 1 event, and tries again; after ten attempts each is a dead letter.",
        next(each for each in said if each.startswith("1 dead letter waits")),
        said[-1],
    ]
    assert said[-1].startswith("old/one has not read this service's feed for")
    assert all(each["do"] for each in seen["problems"])


async def test_a_number_stops_where_counting_more_would_cost_more(
    notification: Service,
) -> None:
    letter = {
        "reaction": REACTION,
        "reason": "r",
        "body": b"",
        "received_at": clock.now(),
        "fingerprint": "f",
    }

    await notification.database.write(
        lambda session: session.execute(insert(dead_letter), [letter] * (MOST + 5))
    )

    (letters,) = (await look(notification))["stored"]["deadLetters"]
    assert letters["open"] == {"number": MOST, "more": True}


async def test_a_sidecar_that_hangs_is_named_and_the_rest_is_shown(
    notification: Service, dapr: SimulatedDapr
) -> None:
    await dapr.deliver_to(notification.app)
    dapr.answering.clear()

    seen = await look(notification)

    dapr.answering.set()
    assert seen["sidecar"] is None
    assert problems(seen)[0] == "The sidecar: no answer within 0.8 s."
    assert seen["stored"]["outbox"]["waiting"]["number"] == 0
    assert seen["subscriptions"][0]["says"] == "unknown: the sidecar does not answer"


async def test_while_the_sidecar_hangs_it_is_asked_once_however_many_look(
    order: Service, dapr: SimulatedDapr
) -> None:
    dapr.answering.clear()
    dapr.asked.clear()

    await asyncio.gather(*(look(order) for _ in range(5)))
    await look(order)

    assert dapr.asked.count("/v1.0/metadata") == 1
    dapr.answering.set()


async def test_a_database_that_hangs_is_named_and_the_rest_is_shown(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    with silent_server() as port:
        database = Database(f"postgresql://nobody@127.0.0.1:{port}/none", "order")
        parts = parts_of("order", database, dapr.sidecar())
        watched = Watched(parts, Inbox(database, KEYS), [], [], [], {"pubsub"})
        observe = Observer(watched)

        seen = await asyncio.wait_for(observe(), 3)

    await database.close()
    assert (seen.stored, seen.database_silence) == (None, "no answer within 2.0 s")
    assert [each.what for each in seen.problems] == [
        "The database: no answer within 2.0 s."
    ]
    assert seen.sidecar
    assert seen.sidecar.pubsub


async def test_after_a_kill_it_shows_what_the_database_says_within_two_seconds(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    dapr.available = False
    async with order_service(tmp_path, dapr) as first:
        await places(first, 4)

    began = time.monotonic()
    async with order_service(tmp_path, dapr) as second:
        first_look = await look(second)
        assert first_look["stored"]["outbox"]["waiting"]["number"] == 4
        assert time.monotonic() - began < 2

        dapr.available = True

        async def is_empty() -> bool:
            return not (await look(second))["stored"]["outbox"]["waiting"]["number"]

        await eventually(is_empty, "what was published is shown no longer", deadline=15)


async def test_a_loop_that_fails_shows_its_newest_error(
    order: Service, dapr: SimulatedDapr
) -> None:
    dapr.available = False
    await places(order)

    async def relay() -> dict[str, Any] | None:
        loops = (await look(order))["loops"]
        found: dict[str, Any] = next(each for each in loops if each["name"] == "relay")
        return found if found["failures"] else None

    failing = await eventually(relay, "the relay has failed")

    assert failing["error"].startswith("SidecarUnavailable: ")
    assert failing["errorAt"]
