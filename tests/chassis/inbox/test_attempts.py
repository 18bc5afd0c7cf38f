"""A reaction with a bug: its event is tried so often and no more, and holds up nobody for ever."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.database.unit_of_work import Database
from chassis.inbox.attempts import TRIES, attempt
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import Reaction, give_up, inbox, take_in
from chassis.inbox.parse import Unprocessable
from chassis.runtime import clock
from chassis.service.retention import ATTEMPTS_KEPT, forget_attempts
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.away import terminated
from tests.support.delivering import order_created, rows
from tests.support.pulls import Pull, pulling
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

Fail = Callable[[AsyncSession], Awaitable[None]]
RETRY, SUCCESS = "RETRY", "SUCCESS"


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Make a feed, and who pulls from it."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def divide(_session: AsyncSession) -> None:
    raise ZeroDivisionError("division\nby zero")


async def refuse(_session: AsyncSession) -> None:
    raise Unprocessable("it is too late")


async def use_up_the_database(session: AsyncSession) -> None:
    """Let the connection end, or the disk be full."""
    if session.get_bind().dialect.name == "postgresql":
        await terminated(session)
    await session.execute(text("PRAGMA max_page_count = 1"))
    await session.execute(text("CREATE TABLE x AS SELECT randomblob(1000000)"))


def failing(*failures: Fail, on: frozenset[str] | None = None) -> Reaction[Any]:
    """Make the reaction, with a bug: it fails so often first, and on these events alone."""
    left = list(failures)

    async def act(
        event: OrderCreated, envelope: CloudEvent, session: AsyncSession
    ) -> None:
        await reaction.act(event, envelope, session)
        await session.flush()
        if left and (on is None or envelope.id in on):
            await left.pop(0)(session)

    return Reaction(OrderCreated, act, known_as=reaction.name)


async def delivered(database: Database, how: Reaction[Any], event: object) -> str:
    return await take_in(database, how, json.dumps(event).encode())


async def steps(pull: Pull, number: int) -> None:
    for _ in range(number):
        with pytest.raises(ZeroDivisionError):
            await pull.step()


async def tried(service: Service) -> list[int]:
    """Give how often each event was tried that was not settled since."""
    return [each.tries for each in await rows(service, attempt.c.tries)]


async def test_a_bug_brings_an_event_back_so_often_and_then_it_is_a_dead_letter(
    notification: Service, caplog: pytest.LogCaptureFixture
) -> None:
    event, buggy = order_created(), failing(*[divide] * TRIES)

    told = [
        await delivered(notification.database, buggy, event) for _ in range(TRIES + 1)
    ]

    assert told == [RETRY] * (TRIES - 1) + [SUCCESS] * 2
    (letter,) = await rows(notification, *dead_letter.c)
    assert letter.reason == "ZeroDivisionError: division by zero"
    assert (letter.attempts, letter.event_id) == (TRIES, event["id"])
    assert json.loads(letter.body) == event
    assert await rows(notification, inbox.c.event_id) == [(event["id"],)]
    assert await rows(notification, Notification.id) == []
    assert await tried(notification) == []
    assert sum("a dead letter is kept" in said for said in caplog.messages) == 1


async def test_a_bug_that_goes_by_itself_makes_no_dead_letter(
    notification: Service,
) -> None:
    event, buggy = order_created(), failing(*[divide] * (TRIES - 1))

    for _ in range(TRIES - 1):
        assert await delivered(notification.database, buggy, event) == RETRY
    assert await tried(notification) == [TRIES - 1]
    assert await delivered(notification.database, buggy, event) == SUCCESS

    assert await rows(notification, Notification.caused_by) == [(event["id"],)]
    assert await rows(notification, dead_letter.c.id) == []


async def test_each_attempt_counts_also_those_before_the_one_that_fails_for_good(
    notification: Service,
) -> None:
    event, buggy = order_created(), failing(divide, divide, refuse)

    for _ in range(3):
        await delivered(notification.database, buggy, event)

    letters = await rows(notification, dead_letter.c.attempts, dead_letter.c.reason)
    assert letters == [(3, "it is too late")]
    assert await tried(notification) == []


async def test_a_bug_of_who_reads_an_event_claims_no_key(notification: Service) -> None:
    """What could not be read may come from anybody."""

    class Unreadable(OrderCreated):
        @classmethod
        def model_validate(cls, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - pydantic's
            raise RecursionError("too deep")

        @classmethod
        def topic(cls) -> str:
            return OrderCreated.topic()

        @classmethod
        def dataschema(cls) -> str:
            return OrderCreated.dataschema()

    event = order_created()
    buggy: Reaction[Any] = Reaction(Unreadable, reaction.act, known_as=reaction.name)

    told = [await delivered(notification.database, buggy, event) for _ in range(TRIES)]

    assert told == [RETRY] * (TRIES - 1) + [SUCCESS]
    letters = await rows(notification, dead_letter.c.event_id, dead_letter.c.reason)
    assert letters == [(None, "RecursionError: too deep")]
    assert await rows(notification, inbox.c.event_id) == []
    assert await tried(notification) == []


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_a_database_that_is_away_counts_against_no_event_however_long(
    notification: Service,
) -> None:
    event, outage = order_created(), failing(*[use_up_the_database] * 2 * TRIES)

    for _ in range(2 * TRIES):
        assert await delivered(notification.database, outage, event) == RETRY

    assert await tried(notification) == []
    assert await rows(notification, dead_letter.c.id) == []
    assert await delivered(notification.database, outage, event) == SUCCESS
    assert await rows(notification, Notification.caused_by) == [(event["id"],)]


async def test_what_the_other_door_has_taken_in_meanwhile_is_no_dead_letter(
    notification: Service,
) -> None:
    body = json.dumps(order_created()).encode()
    await take_in(notification.database, reaction, body)

    async with notification.database.write() as session:
        await give_up(session, reaction, body, Unprocessable("it came too late"))

    assert await rows(notification, dead_letter.c.id) == []


async def test_a_bug_holds_the_cursor_and_not_for_ever(pull: Pull) -> None:
    said = await pull.feed.says_orders(3)
    await pull.step()
    pull.now += 60
    # In each step once among all, and once alone.
    buggy = failing(*[divide] * TRIES * 2, on=frozenset(said[1:2]))
    pull.reconciler.reaction = buggy

    await steps(pull, TRIES - 1)
    assert (await pull.cursor(), await pull.taken(), await pull.dead()) == (
        None,
        [],
        [],
    )
    await pull.step()

    assert await pull.taken() == [said[0], said[2]]
    (letter,) = await pull.dead()
    assert (letter.event_id, letter.attempts) == (said[1], TRIES)
    assert letter.reason == "ZeroDivisionError: division by zero"
    assert await pull.cursor() == (await pull.feed.page())["end"]


async def test_a_bug_on_all_events_of_a_page_holds_the_cursor_no_longer(
    pull: Pull,
) -> None:
    said = await pull.feed.says_orders(5)
    await pull.step()
    pull.now += 60
    pull.reconciler.reaction = failing(*[divide] * TRIES * 6)

    await steps(pull, TRIES - 1)
    await pull.step()

    assert [letter.event_id for letter in await pull.dead()] == said
    assert {letter.attempts for letter in await pull.dead()} == {TRIES}
    assert await pull.cursor() == (await pull.feed.page())["end"]


async def test_a_dead_letter_is_said_once_it_is_kept_and_not_before(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    await pull.feed.says_raw("{}")
    await pull.feed.says_orders(1)
    await pull.step()
    pull.now += 60
    pull.reconciler.reaction = failing(divide)

    await steps(pull, 1)
    assert "a dead letter is kept" not in caplog.text
    await pull.step()

    assert caplog.text.count("a dead letter is kept") == len(await pull.dead()) == 1


async def test_both_doors_count_the_same_attempts(pull: Pull) -> None:
    await pull.feed.says_orders(1)
    await pull.step()
    pull.now += 60
    (event,) = (await pull.feed.page())["events"]
    pull.reconciler.reaction = buggy = failing(*[divide] * (2 * TRIES - 2))

    await steps(pull, TRIES - 2)
    assert await delivered(pull.database, buggy, event) == RETRY
    assert await delivered(pull.database, buggy, event) == SUCCESS
    await pull.step()

    (letter,) = await pull.dead()
    assert (letter.event_id, letter.attempts) == (event["id"], TRIES)
    assert await pull.cursor() == (await pull.feed.page())["end"]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_a_database_that_is_away_holds_the_cursor_however_long(
    pull: Pull,
) -> None:
    said = await pull.feed.says_orders(2)
    await pull.step()
    pull.now += 60
    outage = failing(*[use_up_the_database] * 2 * TRIES)
    pull.reconciler.reaction = outage

    for _ in range(2 * TRIES):
        with pytest.raises(Exception, match=r"terminat|closed|full"):
            await pull.step()

    assert await pull.dead() == []
    await pull.step()
    assert await pull.taken() == said


async def test_attempts_are_forgotten_once_the_event_is_taken_in_or_came_no_more(
    notification: Service,
) -> None:
    event, buggy = order_created(), failing(divide, divide)
    for _ in range(2):
        await delivered(notification.database, buggy, event)
    await delivered(notification.database, reaction, event)
    now, hour = clock.now(), timedelta(hours=1)
    ages = {"old": now - ATTEMPTS_KEPT - hour, "new": now - ATTEMPTS_KEPT + hour}
    left = {"reaction": reaction.name, "tries": 1}
    async with notification.database.write() as session:
        for name, at in ages.items():
            row = {**left, "event_id": name, "tried_at": at}
            await session.execute(insert(attempt).values(row))

    async with notification.database.write() as session:
        assert await forget_attempts(session) == 2

    assert await rows(notification, attempt.c.event_id) == [("new",)]
