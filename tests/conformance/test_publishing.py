"""Publishing: what arrives of an event, and which batches are refused."""

import json
from dataclasses import dataclass

import pytest

from chassis.dapr.sidecar import Entry, PublishRejected, SidecarUnavailable
from tests.conformance.probe import PUBSUB, TOPIC, an_event
from tests.conformance.stage import Stage
from tests.support.simulated_dapr import LARGEST


async def test_an_event_arrives_with_every_attribute_as_it_was_sent(
    dapr: Stage,
) -> None:
    event = an_event()

    assert await dapr.publish(event) == {}

    (arrived,) = await dapr.delivers(event)
    added = {"topic": TOPIC, "pubsubname": PUBSUB, "tracestate": ""}
    assert arrived == event | added
    assert dapr.wire.answers[-1] == (204, "")
    (delivery,) = dapr.probe.deliveries[event["id"]]
    assert delivery.content_type == "application/cloudevents+json"


async def test_what_another_component_of_the_broker_published_is_delivered_too(
    dapr: Stage,
) -> None:
    event = an_event()
    loaded = [each["name"] for each in (await dapr.sidecar.metadata())["components"]]

    assert await dapr.publish(event, pubsub="pubsub-2") == {}

    (arrived,) = await dapr.delivers(event)
    assert arrived.items() >= event.items()
    assert {"pubsub", "pubsub-2"} <= {*loaded}


async def test_a_text_of_any_language_arrives_intact(dapr: Stage) -> None:
    names = ["Zoë Żółć", "山田太郎", "مريم", "🎉👩‍🚀", '<b>&"\\\u2028\x7f', "e\u0301"]
    event = an_event(subject=names[0], data={"names": names})

    await dapr.publish(event)

    (arrived,) = await dapr.delivers(event)
    assert (arrived["subject"], arrived["data"]) == (names[0], {"names": names})


async def test_a_number_arrives_as_a_float_of_64_bits_can_hold_it(dapr: Stage) -> None:
    numbers = [2**53, 2**53 + 1, 12345678901234567890, 10**22, 0.1, 1.50, -0.0, 1e-9]
    event = an_event(data={"numbers": numbers})

    await dapr.publish(event)

    (arrived,) = await dapr.delivers(event)
    held = [2**53, 2**53, 12345678901234567000, 10**22, 0.1, 1.5, 0, 1e-9]
    assert arrived["data"]["numbers"] == held


async def test_a_batch_of_a_hundred_arrives_complete_in_whatever_order(
    dapr: Stage,
) -> None:
    events = [an_event(data={"number": number}) for number in range(100)]

    assert await dapr.publish(*events) == {}

    arrived = await dapr.delivers(*events)
    assert [each["data"] for each in arrived] == [each["data"] for each in events]


async def test_an_event_that_is_published_twice_is_delivered_twice_with_its_id(
    dapr: Stage,
) -> None:
    event = an_event()

    for _ in range(2):
        assert await dapr.publish(event) == {}

    await dapr.delivers(event, times=2)
    first, second = dapr.probe.deliveries[event["id"]]
    assert first.event["id"] == event["id"]
    assert first == second


async def test_an_event_that_nobody_subscribes_to_is_accepted_all_the_same(
    dapr: Stage,
) -> None:
    assert await dapr.publish(an_event(), topic="Unsubscribed") == {}


async def test_an_empty_batch_is_accepted(dapr: Stage) -> None:
    assert await dapr.publish() == {}
    assert dapr.wire.answers[-1] == (204, "")


MENDED: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "an id that is a number": ({"id": 7}, {"id": 7}),
    "an id that is null": ({"id": None}, {"id": None}),
    "a type that is a number": ({"type": 7}, {"type": 7}),
    "no type": ({"type": None}, {"type": "com.dapr.event.sent"}),
    "a source that is a number": ({"source": 7}, {"source": 7}),
    "no source": ({"source": None}, {"source": "Dapr"}),
    "no specversion": ({"specversion": None}, {"specversion": "1.0"}),
    "another specversion": ({"specversion": "2.0"}, {"specversion": "2.0"}),
    "another topic": ({"topic": "Other"}, {"topic": TOPIC}),
    "another pubsubname": ({"pubsubname": "else"}, {"pubsubname": PUBSUB}),
}
"""What daprd does not refuse, but delivers: what was sent, and what arrives."""


@pytest.mark.parametrize("wrong", MENDED)
async def test_daprd_validates_no_event_and_delivers_each(
    dapr: Stage, wrong: str
) -> None:
    sent, arriving = MENDED[wrong]
    event = an_event(**sent)

    assert await dapr.publish(event) == {}

    (arrived,) = await dapr.delivers(event)
    assert {name: arrived[name] for name in arriving} == arriving


async def test_without_a_traceid_the_traceparent_is_lost_too(dapr: Stage) -> None:
    event = an_event()
    del event["traceid"]

    await dapr.publish(event)

    (arrived,) = await dapr.delivers(event)
    assert (arrived["traceid"], arrived["traceparent"]) == ("", "")


@dataclass(frozen=True)
class Refusal:
    """How daprd refuses a batch for the sake of one entry."""

    entry: Entry
    raised: type[Exception]
    status: int | None
    code: str | None


SERIALIZATION = "ERR_PUBSUB_EVENTS_SER"
CREATION = "ERR_PUBSUB_CLOUD_EVENTS_SER"
TOO_LONG = json.dumps(an_event(data={"text": "a" * LARGEST}))
REFUSED = {
    "no JSON": Refusal(Entry("1", "{"), PublishRejected, 400, SERIALIZATION),
    "not a number": Refusal(Entry("1", "NaN"), PublishRejected, 400, SERIALIZATION),
    "beyond 4 MiB": Refusal(Entry("1", TOO_LONG), PublishRejected, 400, SERIALIZATION),
    "no entry id": Refusal(Entry("", "{}"), PublishRejected, 400, SERIALIZATION),
    "an entry id of another": Refusal(
        Entry("good", "{}"), PublishRejected, 400, SERIALIZATION
    ),
    "an array": Refusal(Entry("1", "[7]"), PublishRejected, 500, CREATION),
    "a string": Refusal(Entry("1", '"{}"'), PublishRejected, 500, CREATION),
    "a number": Refusal(Entry("1", "7"), PublishRejected, 500, CREATION),
    # daprd panics, and the connection closes without an answer.
    "null": Refusal(Entry("1", "null"), SidecarUnavailable, None, None),
}
"""What daprd refuses, with the whole batch that it is in."""


@pytest.mark.parametrize("wrong", REFUSED)
async def test_one_entry_that_is_refused_takes_its_batch_with_it(
    dapr: Stage, wrong: str
) -> None:
    good, refusal = an_event(), REFUSED[wrong]
    batch = [Entry("good", json.dumps(good)), refusal.entry]
    dapr.wire.answers.clear()

    with pytest.raises(refusal.raised, match=refusal.code):
        await dapr.sidecar.publish(PUBSUB, TOPIC, batch)

    statuses = [status for status, _ in dapr.wire.answers]
    assert statuses == ([refusal.status] if refusal.status else [])
    await dapr.has_nothing_left(pauses=1)
    assert dapr.count(good) == 0


async def test_a_batch_of_4_mib_is_accepted(dapr: Stage) -> None:
    event = an_event(data={"text": "a" * (LARGEST - 2_000)})

    assert await dapr.publish(event) == {}

    await dapr.delivers(event)


async def test_an_unknown_broker_counts_as_one_that_is_not_there(dapr: Stage) -> None:
    with pytest.raises(SidecarUnavailable, match=r"404 pubsub \w+ is not found"):
        await dapr.publish(an_event(), pubsub="unknown")
