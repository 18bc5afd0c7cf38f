"""`make docs`: what is generated is what is committed, and a published version is never broken."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause, CloudEvent, create_cloud_event
from chassis.event import Event
from chassis.inbox import Inbox, Reaction, Status
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.parse import Received
from contracts.order_created import OrderCreated
from tests.support.database import KEYS, migrated
from toolchain.cluster import manifests
from toolchain.documents import publisher, schemas
from toolchain.machine.failure import Failure

DEPLOYED = {"deploy/azure/template.json", "deploy/dapr-run-k.yaml"}
PUBLISHED = sorted((publisher.ROOT / publisher.SCHEMAS).iterdir())
ORDER = UUID("01a20727-ad7d-7a6d-8ffc-e0698ef24ad8")
NOW = datetime(2026, 1, 31, 8, 15, 30, tzinfo=UTC)
CAUSE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class OrderCreatedV2(Event):
    """The next version, as CONTRIBUTING.md says to make it: a class of its own beside the first."""

    version: ClassVar[int] = 2
    source: ClassVar[str] = "order"

    order_id: UUID
    first_name: str
    last_name: str


def upgraded(event: OrderCreated) -> OrderCreatedV2:
    """Return an event of version 1 as one of version 2."""
    first, _, last = event.customer_name.partition(" ")
    return OrderCreatedV2(order_id=event.order_id, first_name=first, last_name=last)


def delivered(event: Event) -> Received:
    """Return what Dapr delivers."""
    envelope = create_cloud_event(
        event, service="order", subject=ORDER, cause=Cause(CAUSE), keys=KEYS
    )
    return Received(envelope)


def test_every_document_is_as_the_code_says() -> None:
    stale = [
        path
        for path, text in publisher.generated().items()
        if not (file := publisher.ROOT / path).exists()
        or file.read_text(encoding="utf-8") != text
    ]

    assert not stale, (
        f"the code has changed: run `make docs` and commit {', '.join(stale)}"
    )


def test_nothing_is_there_that_is_not_generated() -> None:
    folders = (publisher.ROOT / publisher.SCHEMAS, publisher.ROOT / publisher.API)
    there = {
        str(file.relative_to(publisher.ROOT))
        for folder in folders
        for file in folder.iterdir()
    }

    pages = {"docs/chassis.md", "docs/reference.md", "docs/doctor.md"}
    deployed = {*DEPLOYED, *manifests.made(publisher.ROOT)}
    assert {*there, *deployed, *pages} == set(publisher.generated()), (
        "what nobody generates any more is to be deleted"
    )


@pytest.mark.parametrize("event", schemas.events(), ids=schemas.file_name)
def test_no_published_version_has_changed_incompatibly(event: type[Event]) -> None:
    publisher.check(event, publisher.ROOT)


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda path: path.stem)
def test_every_published_version_has_its_class(file: Path) -> None:
    classes = {schemas.file_name(event) for event in schemas.events()}

    assert file.stem in classes, (
        "retire a version with its schema and its samples, once nobody sends it"
    )


def test_a_published_schema_is_not_replaced_by_one_that_breaks_it(
    tmp_path: Path,
) -> None:
    publisher.publish(tmp_path)
    file = tmp_path / publisher.SCHEMAS / "OrderCreated.1.json"
    before = json.loads(file.read_text())
    before["required"].append("customerEmail")
    file.write_text(json.dumps(before))

    with pytest.raises(
        Failure, match=r"event\.customerEmail is optional now"
    ) as failure:
        publisher.publish(tmp_path)

    assert "make version 2" in failure.value.remedy
    assert json.loads(file.read_text()) == before


def test_a_published_schema_grows_by_an_optional_field(tmp_path: Path) -> None:
    publisher.publish(tmp_path)
    file = tmp_path / publisher.SCHEMAS / "OrderCreated.1.json"
    now = file.read_text()
    before = json.loads(now)
    del before["properties"]["customerEmail"]
    file.write_text(json.dumps(before))

    assert publisher.publish(tmp_path).endswith(" 1 of them changed")
    assert file.read_text() == now


def test_a_second_version_has_a_name_a_schema_and_a_topic_of_its_own() -> None:
    assert schemas.file_name(OrderCreatedV2) == "OrderCreated.2"
    assert OrderCreatedV2.dataschema() == "urn:contract:OrderCreated:2"
    assert OrderCreatedV2.topic() == "OrderCreatedV2"
    assert schemas.of_event(OrderCreatedV2)["$id"] == "urn:contract:OrderCreated:2"


async def test_a_service_handles_both_versions(tmp_path: Path) -> None:
    database = migrated("notification", tmp_path)
    names: list[str] = []

    def greet(event: OrderCreatedV2, _envelope: CloudEvent, _session: Session) -> None:
        names.append(event.first_name)

    def greet_v1(event: OrderCreated, envelope: CloudEvent, session: Session) -> None:
        greet(upgraded(event), envelope, session)

    one = OrderCreated(order_id=ORDER, customer_name="Jane Doe", created_at=NOW)
    two = OrderCreatedV2(order_id=ORDER, first_name="Ada", last_name="Lovelace")
    inbox = Inbox(database, KEYS)

    first = await inbox.handle(Reaction(OrderCreated, greet_v1), delivered(one))
    second = await inbox.handle(Reaction(OrderCreatedV2, greet), delivered(two))

    reasons = select(dead_letter.c.reason)
    assert await database.read(lambda session: [*session.scalars(reasons)]) == []
    await database.close()
    assert (first, second) == (Status.SUCCESS, Status.SUCCESS)
    assert names == ["Jane", "Ada"]


def test_a_version_that_is_not_in_its_classs_name_is_refused() -> None:
    class OrderShipped(Event):
        """Something that says it is version 3, and has the topic of the first."""

        version: ClassVar[int] = 3

    with pytest.raises(Failure, match="OrderShippedV3"):
        schemas.check_name(OrderShipped)
