"""Whether a subscription is alive, by what it has delivered and not by being listed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chassis.database import Database
from chassis.inbox import Inbox
from chassis.operations.model import Evidence, SidecarView
from chassis.operations.process import Watched, show_sidecar, show_subscriptions
from chassis.runtime import clock
from tests.support.database import KEYS
from tests.support.feeds import parts_of

TOPIC = "OrderCreated"
LISTED: dict[str, Any] = {"subscriptions": [{"topic": TOPIC}]}


class Hands:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 31, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time that it shows."""
        return self.at

    def pass_by(self, **time: float) -> None:
        """Set it forward."""
        self.at += timedelta(**time)


@pytest.fixture
def hands() -> Iterator[Hands]:
    """Set the time of day by hand."""
    made = Hands()
    token = clock.current.set(clock.Surroundings(now=made.now))
    yield made
    clock.current.reset(token)


@pytest.fixture
def watched(tmp_path: Path, hands: Hands) -> Watched:
    """Return a service that is subscribed to one topic."""
    database = Database(f"sqlite:///{tmp_path}/x.db", "notification")
    inbox = Inbox(database, KEYS)
    return Watched(
        parts_of("notification", database),
        inbox,
        [],
        [],
        [],
        {f"subscription to {TOPIC}"},
    )


def says(watched: Watched, loaded: dict[str, Any] | None) -> tuple[Evidence, str]:
    """Return what is known of the subscription, at a sidecar with this metadata."""
    sidecar: SidecarView | None = (
        show_sidecar(loaded, "pubsub") if loaded is not None else None
    )
    (shown,) = show_subscriptions(watched, sidecar, clock.now())
    return shown.state, shown.says


def test_one_that_the_sidecar_does_not_list_is_missing(watched: Watched) -> None:
    assert says(watched, {}) == (
        Evidence.MISSING,
        "missing: the sidecar does not list it",
    )


def test_one_that_has_not_delivered_and_missed_nothing_is_only_listed(
    watched: Watched, hands: Hands
) -> None:
    hands.pass_by(minutes=3)

    assert says(watched, LISTED) == (
        Evidence.LISTED,
        "listed: nothing came by it, and nothing was missed, since the start 3 min ago",
    )


def test_one_that_delivered_is_alive(watched: Watched, hands: Hands) -> None:
    watched.inbox.arrivals.note_pushed(TOPIC, 100)
    hands.pass_by(seconds=3)

    assert says(watched, LISTED) == (Evidence.ALIVE, "alive: last delivery 3 s ago")


def test_one_that_delivers_nothing_of_what_is_published_is_silent(
    watched: Watched, hands: Hands
) -> None:
    watched.inbox.arrivals.note_pushed(TOPIC, 1)
    hands.pass_by(minutes=5)
    assert says(watched, LISTED)[0] is Evidence.ALIVE

    watched.inbox.arrivals.note_missed(TOPIC, 12)

    assert says(watched, LISTED) == (
        Evidence.SILENT,
        "silent: nothing delivered for 5 min although 12 events were published and pulled",
    )


def test_readiness_names_a_subscription_that_is_silent(
    watched: Watched, hands: Hands
) -> None:
    arrivals = watched.inbox.arrivals
    hands.pass_by(minutes=5)
    assert arrivals.degraded([TOPIC]) == ""

    arrivals.note_missed(TOPIC, 12)

    says_so = f"the subscription to {TOPIC} delivers nothing, and 12 events were pulled"
    assert arrivals.degraded([TOPIC]).startswith(says_so)


def test_a_delivery_ends_the_silence(watched: Watched, hands: Hands) -> None:
    watched.inbox.arrivals.note_missed(TOPIC, 12)
    hands.pass_by(minutes=5)
    assert says(watched, LISTED)[0] is Evidence.SILENT

    watched.inbox.arrivals.note_pushed(TOPIC, 1)

    assert says(watched, LISTED)[0] is Evidence.ALIVE


def test_one_event_that_is_late_makes_no_silence(
    watched: Watched, hands: Hands
) -> None:
    watched.inbox.arrivals.note_pushed(TOPIC, 1)
    hands.pass_by(seconds=10)
    watched.inbox.arrivals.note_missed(TOPIC, 1)

    assert says(watched, LISTED)[0] is Evidence.ALIVE


def test_of_a_sidecar_that_does_not_answer_the_last_delivery_is_still_known(
    watched: Watched, hands: Hands
) -> None:
    watched.inbox.arrivals.note_pushed(TOPIC, 1)
    hands.pass_by(seconds=90)

    assert says(watched, None) == (
        Evidence.UNKNOWN,
        "unknown: the sidecar does not answer; last delivery 90 s ago",
    )


@pytest.mark.parametrize(
    ("version", "flaws"), [("1.18.2", 3), ("1.19.1", 1), ("edge", 0), (None, 0)]
)
def test_a_sidecar_is_shown_with_the_known_flaws_of_its_version(
    version: str | None, flaws: int
) -> None:
    shown = show_sidecar({"runtimeVersion": version}, "pubsub")

    assert (shown.version, len(shown.flaws)) == (version, flaws)
    assert all("\n" not in each for each in shown.flaws)
