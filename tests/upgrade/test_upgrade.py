"""Databases and events of earlier releases: today's code migrates, serves and handles them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chassis.outbox.outbox import outbox
from chassis.runtime import clock
from services.notification.model import Notification
from tests.support.database import secrets_in, upgrade
from tests.support.delivering import deliver, rows
from tests.support.postgresql import Databases
from tests.support.services import Service, notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from tests.upgrade import release
from tests.upgrade.dumps import dump, load, structure
from tests.upgrade.release import JANE, KEY, Life, life_of, shown

RELEASES = sorted(each.parent for each in Path(__file__).parent.glob("*/orders.json"))
KINDS = [(old, kind) for old in RELEASES for kind in release.DATABASES]


@dataclass(frozen=True)
class Kept:
    """What a release left behind, loaded into empty databases, and what it is about."""

    life: Life
    urls: dict[str, str]


@dataclass(frozen=True)
class Upgraded:
    """Both services of today, on a release's databases."""

    order: Service
    notification: Service
    dapr: SimulatedDapr
    life: Life


@pytest.fixture(params=KINDS, ids=lambda each: f"{each[0].name}-{each[1]}")
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Load what a release left behind."""
    old, kind = request.param
    with ExitStack() as stack:

        def empty(service: str) -> str:
            if kind == "sqlite":
                return f"sqlite:///{tmp_path}/{service}.db"
            return stack.enter_context(_cluster(request).fresh())

        urls = {service: empty(service) for service in release.SERVICES}
        for service, url in urls.items():
            load(url, (old / f"{service}.{kind}.sql").read_text("utf-8"))
        yield Kept(life_of(old, kind), urls)


def _cluster(request: pytest.FixtureRequest) -> Databases:
    found: Databases = request.getfixturevalue("databases")
    return found


@pytest.fixture
async def upgraded(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Upgraded]:
    """Run both services of today, at the time of the release: nothing has expired."""
    dapr, life = SimulatedDapr(), kept.life
    ago = datetime.now(UTC) - datetime.fromisoformat(life.at)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) - ago)
    folder, urls = secrets_in(tmp_path), kept.urls
    async with (
        order_service(folder, dapr, database_url=urls["order"]) as order,
        notification_service(
            folder, dapr, database_url=urls["notification"]
        ) as notification,
    ):
        yield Upgraded(order, notification, dapr, life)


@pytest.mark.parametrize("service", release.SERVICES)
def test_a_database_that_is_upgraded_is_as_a_new_one(
    kept: Kept, tmp_path: Path, service: str, request: pytest.FixtureRequest
) -> None:
    old = kept.urls[service]
    with ExitStack() as stack:
        new = f"sqlite:///{tmp_path}/new.db"
        if not old.startswith("sqlite"):
            new = stack.enter_context(_cluster(request).fresh())
        upgrade(service, old)
        upgrade(service, new)

        assert structure(old) == structure(new)


async def test_what_was_stored_is_shown_and_what_waited_goes_on(
    upgraded: Upgraded,
) -> None:
    life = upgraded.life

    await release.all_are_sent(upgraded.order, len(life.orders))

    listed = await shown(upgraded.order, "/api/order")
    assert {each["orderId"] for each in listed} == {*life.orders.values()}
    by_id = {each["orderId"]: each["customerName"] for each in listed}
    assert by_id[life.orders["Jörg Müller"]] == "Jörg Müller"
    assert "Gerda" not in str(listed)
    (letter,) = await shown(upgraded.notification, "/api/dead-letter")
    assert letter["eventId"] == life.dead
    (mail,) = upgraded.dapr.bindings["email"].mails
    assert [*mail.recipients] == ["lena@example.org"]


async def test_a_request_from_before_that_is_repeated_is_answered_as_it_was(
    upgraded: Upgraded,
) -> None:
    headers = {"idempotency-key": KEY}

    answer = await upgraded.order.http.post("/api/order", json=JANE, headers=headers)

    assert answer.status_code == 201
    assert answer.json()["orderId"] == upgraded.life.orders["Jane Doe"]
    assert len(await shown(upgraded.order, "/api/order")) == len(upgraded.life.orders)


async def test_every_event_from_before_is_handled_once_however_often_it_comes(
    upgraded: Upgraded,
) -> None:
    await release.all_are_sent(upgraded.order, len(upgraded.life.orders))
    before = await rows(upgraded.notification, Notification.order_id)
    events = await rows(upgraded.order, outbox.c.event, outbox.c.topic)
    pushed = [json.loads(text) for text, topic in events if topic == "OrderCreated"]

    statuses = [await deliver(upgraded.notification, each) for each in pushed]

    assert statuses == ["SUCCESS"] * len(upgraded.life.orders)
    assert await rows(upgraded.notification, Notification.order_id) == before
    assert len(await shown(upgraded.notification, "/api/dead-letter")) == 1


@pytest.mark.parametrize("old", RELEASES, ids=lambda path: path.name)
def test_the_golden_samples_of_a_release_are_still_there_and_unchanged(
    old: Path,
) -> None:
    """tests/contracts/test_samples.py reads each of them with today's classes, and verifies it."""
    released = json.loads((old / "samples.json").read_text("utf-8"))

    today = release.samples()
    assert {name: today.get(name) for name in released} == released


def test_each_release_of_the_changelog_is_kept() -> None:
    changelog = (release.ROOT / "CHANGELOG.md").read_text()
    released = {line.split()[1] for line in changelog.splitlines() if line.startswith("## ")}  # fmt: skip

    assert {each.name for each in RELEASES} >= released - {"Unreleased"}


def test_what_this_code_leaves_behind_can_be_kept(tmp_path: Path) -> None:
    folder = secrets_in(tmp_path)

    life = asyncio.run(release.lived(folder))

    assert len(life.orders) == 4
    text = dump(f"sqlite:///{folder}/order.db")
    load(f"sqlite:///{folder}/again.db", text)
    assert dump(f"sqlite:///{folder}/again.db") == text
