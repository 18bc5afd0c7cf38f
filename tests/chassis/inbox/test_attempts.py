"""A reaction with a bug: its event is retried a few times and no more, and holds up nobody for ever."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.inbox import Reaction
from chassis.inbox.attempts import MAX_ATTEMPTS, attempt
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.parse import Unprocessable
from chassis.inbox.reaction import inbox
from chassis.runtime import clock
from chassis.service.retention import ATTEMPTS_KEPT, delete_old_attempts
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.chassis.inbox.apps import Acting, inbox_of
from tests.support.away import terminated
from tests.support.database import followed
from tests.support.delivering import order_created, received, rows
from tests.support.pulls import Pull, pulling
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

Fail = Callable[[Session], None]
RETRY, SUCCESS = "RETRY", "SUCCESS"


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Create a feed, and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


def divide(_session: Session) -> None:
    raise ZeroDivisionError("division\nby zero")


def refuse(_session: Session) -> None:
    raise Unprocessable("it is too late")


def use_up_the_database(session: Session) -> None:
    """End the connection, or fill the disk."""
    if session.get_bind().dialect.name == "postgresql":
        terminated(session)
    session.execute(text("PRAGMA max_page_count = 1"))
    session.execute(text("CREATE TABLE x AS SELECT randomblob(1000000)"))


def failing(*failures: Fail, on: frozenset[str] | None = None) -> Reaction[Any]:
    """Return the reaction with a bug: it fails so often first, or on these events alone."""
    left = list(failures)

    def act(event: OrderCreated, envelope: CloudEvent, session: Session) -> None:
        reaction.act(event, envelope, session)
        session.flush()
        if left and (on is None or envelope.id in on):
            left.pop(0)(session)

    return Reaction(OrderCreated, act, known_as=reaction.name)


async def delivered(service: Service, to: Reaction[Any], event: dict[str, Any]) -> str:
    """Deliver an event to a reaction; return the answer."""
    return await inbox_of(service).handle(to, received(event))


async def steps(pull: Pull, number: int) -> None:
    """Take so many steps, each of which fails."""
    for _ in range(number):
        with pytest.raises(Exception, match="events failed"):
            await pull.step()


async def attempts(service: Service) -> list[int]:
    """Return how often each event was tried that was not settled since."""
    return [each.attempts for each in await rows(service, attempt.c.attempts)]


async def test_a_bug_is_retried_a_few_times_and_its_event_is_a_dead_letter_then(
    notification: Service, caplog: pytest.LogCaptureFixture
) -> None:
    event, buggy = order_created(), failing(*[divide] * MAX_ATTEMPTS)

    statuses = [
        await delivered(notification, buggy, event) for _ in range(MAX_ATTEMPTS + 1)
    ]

    assert statuses == [RETRY] * (MAX_ATTEMPTS - 1) + [SUCCESS] * 2
    (letter,) = await rows(notification, *dead_letter.c)
    assert letter.reason == "ZeroDivisionError: division by zero"
    assert (letter.attempts, letter.event_id) == (MAX_ATTEMPTS, event["id"])
    assert letter.authentic
    assert json.loads(letter.body) == event
    assert await rows(notification, inbox.c.event_id) == [(event["id"],)]
    assert await rows(notification, Notification.id) == []
    assert await attempts(notification) == []
    await followed(notification.database)
    assert sum("stored a dead letter" in line for line in caplog.messages) == 1


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("an API did not answer"),
        ConnectionResetError(),
        ConnectionRefusedError(),
        socket.gaierror("no such host"),
        OSError("no space left on device"),
    ],
    ids=repr,
)
async def test_an_oserror_of_a_reaction_is_counted_like_any_bug(
    notification: Service, error: Exception
) -> None:
    """Only what the database driver raises means that the database is unavailable."""
    event, acting = order_created(), Acting(*[error] * MAX_ATTEMPTS)

    statuses = [
        await delivered(notification, acting.reaction(), event)
        for _ in range(MAX_ATTEMPTS)
    ]

    assert MAX_ATTEMPTS == 10
    assert statuses == [RETRY] * (MAX_ATTEMPTS - 1) + [SUCCESS]
    letters = await rows(notification, dead_letter.c.attempts, dead_letter.c.event_id)
    assert letters == [(MAX_ATTEMPTS, event["id"])]


async def test_a_bug_that_passes_makes_no_dead_letter(notification: Service) -> None:
    event, buggy = order_created(), failing(*[divide] * (MAX_ATTEMPTS - 1))

    for _ in range(MAX_ATTEMPTS - 1):
        assert await delivered(notification, buggy, event) == RETRY
    assert await attempts(notification) == [MAX_ATTEMPTS - 1]
    assert await delivered(notification, buggy, event) == SUCCESS

    assert await rows(notification, Notification.caused_by) == [(event["id"],)]
    assert await rows(notification, dead_letter.c.id) == []


async def test_each_attempt_counts_also_those_before_a_permanent_failure(
    notification: Service,
) -> None:
    event, buggy = order_created(), failing(divide, divide, refuse)

    for _ in range(3):
        await delivered(notification, buggy, event)

    letters = await rows(notification, dead_letter.c.attempts, dead_letter.c.reason)
    assert letters == [(3, "it is too late")]
    assert await attempts(notification) == []


async def test_attempts_are_counted_for_each_event_and_each_reaction(
    notification: Service,
) -> None:
    one, other = Acting(*[ZeroDivisionError()] * 3), Acting(ZeroDivisionError())
    first, second = order_created(), order_created()

    for event in (first, first, second):
        await delivered(notification, one.reaction("one"), event)
    await delivered(notification, other.reaction("other"), first)

    columns = (attempt.c.reaction, attempt.c.event_id, attempt.c.attempts)
    assert {*await rows(notification, *columns)} == {
        ("one", first["id"], 2),
        ("one", second["id"], 1),
        ("other", first["id"], 1),
    }


async def test_a_bug_in_the_contracts_class_is_counted_too(
    notification: Service,
) -> None:
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

    statuses = [
        await delivered(notification, buggy, event) for _ in range(MAX_ATTEMPTS)
    ]

    assert statuses == [RETRY] * (MAX_ATTEMPTS - 1) + [SUCCESS]
    letters = await rows(notification, dead_letter.c.event_id, dead_letter.c.reason)
    assert letters == [(event["id"], "RecursionError: too deep")]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_an_unavailable_database_counts_against_no_event_however_long(
    notification: Service,
) -> None:
    event, outage = order_created(), failing(*[use_up_the_database] * 2 * MAX_ATTEMPTS)

    for _ in range(2 * MAX_ATTEMPTS):
        assert await delivered(notification, outage, event) == RETRY

    assert await attempts(notification) == []
    assert await rows(notification, dead_letter.c.id) == []
    assert await delivered(notification, outage, event) == SUCCESS
    assert await rows(notification, Notification.caused_by) == [(event["id"],)]


async def test_a_bug_holds_the_cursor_and_not_for_ever(pull: Pull) -> None:
    published = await pull.feed.says_orders(3)
    await pull.step()
    pull.now += 60
    # In each step once among all, and once alone.
    buggy = failing(*[divide] * MAX_ATTEMPTS * 2, on=frozenset(published[1:2]))
    pull.reconciler.reaction = buggy

    await steps(pull, MAX_ATTEMPTS - 1)
    # The others were handled one by one; the cursor waits for the one that fails.
    assert await pull.cursor() is None
    assert await pull.taken() == [published[0], published[2]]
    assert await pull.dead() == []
    await pull.step()

    assert await pull.taken() == [published[0], published[2]]
    (letter,) = await pull.dead()
    assert (letter.event_id, letter.attempts) == (published[1], MAX_ATTEMPTS)
    assert letter.reason == "ZeroDivisionError: division by zero"
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_a_bug_on_all_events_of_a_page_holds_the_cursor_no_longer(
    pull: Pull,
) -> None:
    published = await pull.feed.says_orders(5)
    await pull.step()
    pull.now += 60
    pull.reconciler.reaction = failing(*[divide] * MAX_ATTEMPTS * 6)

    await steps(pull, MAX_ATTEMPTS - 1)
    await pull.step()

    assert [letter.event_id for letter in await pull.dead()] == published
    assert {letter.attempts for letter in await pull.dead()} == {MAX_ATTEMPTS}
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_push_and_pull_count_the_same_attempts(pull: Pull) -> None:
    await pull.feed.says_orders(1)
    await pull.step()
    pull.now += 60
    (event,) = (await pull.feed.page(form="full"))["events"]
    body = received(event)
    # A step that fails tries the event twice: among all, which is not counted, and alone.
    pull.reconciler.reaction = buggy = failing(*[divide] * (2 * MAX_ATTEMPTS - 2))

    await steps(pull, MAX_ATTEMPTS - 2)
    assert await pull.reconciler.inbox.handle(buggy, body) == RETRY
    assert await pull.reconciler.inbox.handle(buggy, body) == SUCCESS
    await pull.step()

    (letter,) = await pull.dead()
    assert (letter.event_id, letter.attempts) == (event["id"], MAX_ATTEMPTS)
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_an_unavailable_database_holds_the_cursor_however_long(
    pull: Pull,
) -> None:
    published = await pull.feed.says_orders(2)
    await pull.step()
    pull.now += 60
    outage = failing(*[use_up_the_database] * 2 * MAX_ATTEMPTS)
    pull.reconciler.reaction = outage

    for _ in range(2 * MAX_ATTEMPTS):
        with pytest.raises(Exception, match=r"terminat|closed|full"):
            await pull.step()

    assert await pull.dead() == []
    await pull.step()
    assert await pull.taken() == published


async def test_attempts_are_deleted_once_the_event_is_handled_or_came_no_more(
    notification: Service,
) -> None:
    event, buggy = order_created(), failing(divide, divide)
    for _ in range(2):
        await delivered(notification, buggy, event)
    await delivered(notification, reaction, event)
    now, hour = clock.now(), timedelta(hours=1)
    ages = {"old": now - ATTEMPTS_KEPT - hour, "new": now - ATTEMPTS_KEPT + hour}
    row = {"reaction": reaction.name, "attempts": 1}
    left = [{**row, "event_id": name, "attempted_at": at} for name, at in ages.items()]
    await notification.database.write(
        lambda session: session.execute(insert(attempt), left)
    )

    assert await notification.database.write(delete_old_attempts) == 2

    assert await rows(notification, attempt.c.event_id) == [("new",)]
