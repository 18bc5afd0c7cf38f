"""The feed: every event that was committed, once and in order, to whoever goes on from where it was."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update

from chassis.cloud_event import Cause, CloudEvent, envelop
from chassis.event import Event
from chassis.feed.feed import MOST
from chassis.outbox import outbox
from contracts.notification_failed import NotificationFailed
from contracts.notification_sent import NotificationSent
from contracts.order_created import OrderCreated
from tests.support.database import migrated
from tests.support.feeds import AT, TRACE, Feed, another, ids, meanwhile, order_created

CARRIED = 4 * 1024 * 1024
"""Bytes that daprd carries in one message."""


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    """Make a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


async def test_events_come_in_the_order_in_which_they_were_committed(
    feed: Feed,
) -> None:
    said = [*await feed.says_orders(2), *await feed.says_orders(1)]

    assert ids(await feed.page()) == said


async def test_a_feed_is_read_page_by_page_to_its_end(feed: Feed) -> None:
    said = await feed.says_orders(5)

    pages = [await feed.page(limit=2)]
    while pages[-1]["next"] != pages[-1]["end"]:
        pages.append(await feed.page(limit=2, after=pages[-1]["next"]))

    assert [ids(page) for page in pages] == [said[:2], said[2:4], said[4:]]
    last = pages[-1]["next"]
    nothing_new = {"events": [], "next": last, "end": last}
    assert await feed.page(after=last) == nothing_new
    more = await feed.says_orders(1)
    assert ids(await feed.page(after=last)) == more


async def test_a_full_last_page_is_followed_by_an_empty_one(feed: Feed) -> None:
    await feed.says_orders(2)
    full = await feed.page(limit=2)

    after = await feed.page(limit=2, after=full["next"])

    assert after == {"events": [], "next": full["next"], "end": full["end"]}


async def test_an_empty_feed_has_no_place_to_go_on_from(feed: Feed) -> None:
    assert await feed.page() == {"events": [], "next": None, "end": None}
    assert await feed.page(limit=0) == {"events": [], "next": None, "end": None}


async def test_asked_for_no_events_it_gives_its_end_and_moves_nobody(
    feed: Feed,
) -> None:
    await feed.says_orders(3)
    first = await feed.page(limit=1)

    assert await feed.page(limit=0) == {**first, "events": [], "next": None}
    stays = await feed.page(limit=0, after=first["next"])
    assert stays == {**first, "events": []}


async def test_what_comes_after_until_is_not_given(feed: Feed) -> None:
    said = await feed.says_orders(2)
    until = (await feed.page(limit=0))["end"]
    await feed.says_orders(2)

    page = await feed.page(until=until)
    after = await feed.page(until=until, after=page["next"])

    assert (ids(page), page["next"]) == (said, until)
    assert page["end"] != until
    assert after == {"events": [], "next": until, "end": page["end"]}


async def test_until_before_after_leads_nobody_back(feed: Feed) -> None:
    await feed.says_orders(1)
    until = (await feed.page(limit=0))["end"]
    await feed.says_orders(1)
    after = (await feed.page())["next"]

    page = await feed.page(until=until, after=after)

    assert page == {"events": [], "next": after, "end": after}


async def test_events_of_other_topics_are_left_out_and_gone_past(feed: Feed) -> None:
    (first,) = await feed.says(order_created())
    await feed.says(another(), another())

    page = await feed.page()
    again = await feed.page(after=page["next"])

    assert (ids(page), page["next"]) == ([first], page["end"])
    assert again == {**page, "events": []}
    assert ids(await feed.page(topic="NoSuchTopic")) == []
    assert (await feed.page(topic="NoSuchTopic"))["next"] == page["end"]


@pytest.mark.parametrize("state", list(outbox.State))
async def test_an_event_is_listed_whatever_became_of_it_at_the_broker(
    feed: Feed, state: outbox.State
) -> None:
    said = await feed.says_orders(1)

    await feed.change(1, state=state, attempt=7)

    assert ids(await feed.page()) == said


async def test_a_transaction_that_was_rolled_back_left_nothing(feed: Feed) -> None:
    with suppress(ZeroDivisionError):
        async with feed.database.write() as session:
            await outbox.put(session, [order_created()])
            raise ZeroDivisionError

    assert await feed.page() == {"events": [], "next": None, "end": None}


async def test_what_is_committed_while_a_page_is_read_belongs_to_the_next(
    feed: Feed,
) -> None:
    said = await feed.says_orders(1)

    with meanwhile(feed, "outbox.topic =", feed.says_orders):
        page = await feed.page()

    assert ids(page) == said
    assert len(ids(await feed.page(after=page["next"]))) == 1


async def test_the_events_go_out_as_they_were_stored_to_the_byte(feed: Feed) -> None:
    await feed.says(order_created('Zoë "山田" \U0001f389\u2028 \\'), another())
    await feed.says(order_created("</script>"))

    answer = await feed.asked()

    stored = [row.event for row in await feed.stored() if row.topic == "OrderCreated"]
    assert f'"events":[{",".join(stored)}],"next":'.encode() in answer.content
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["events"] == [json.loads(each) for each in stored]


async def test_a_thousand_of_the_largest_events_are_carried_in_one_page(
    feed: Feed,
) -> None:
    largest = max((_as_json(each) for each in LARGEST), key=len)
    rows = [
        {"event_id": str(uuid4()), "topic": "OrderCreated", "event": largest}
        for _ in range(MOST)
    ]
    async with feed.database.write() as session:
        await session.execute(insert(outbox.outbox), rows)
        await session.execute(update(outbox.outbox).values(state="PULLED"))

    answer = await feed.asked()

    assert len(answer.json()["events"]) == MOST
    assert len(answer.content) < CARRIED


FEED = UUID("0198c0de-0000-7000-8000-000000000001")
WIDE, CONTROL = "\U0001f389", "\x01"
_ABOUT = {"orderId": FEED, "channel": "console"}
LARGEST: list[Event] = [
    OrderCreated.model_validate(
        {
            "orderId": FEED,
            "customerName": letter * 200,
            "customerEmail": "x" * 254,
            "createdAt": AT,
        }
    )
    for letter in (WIDE, '"', "\\")
] + [
    NotificationSent.model_validate({**_ABOUT, "sentAt": AT}),
    *(
        NotificationFailed.model_validate(
            {**_ABOUT, "outcome": "UNKNOWN", "reason": letter * 500, "failedAt": AT}
        )
        for letter in (WIDE, CONTROL)
    ),
]
"""Every kind of event, with as much in each field as is accepted, and characters that are long in JSON."""


def _as_json(event: Event) -> str:
    cause = Cause(TRACE, "x" * 200)
    envelope: CloudEvent = envelop(
        event, service=event.source, subject=FEED, cause=cause, version=2**31 - 1
    )
    return envelope.model_dump_json()
