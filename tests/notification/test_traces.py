"""One trace follows an order from its request to its notification and back, and costs nothing where it is off."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause
from chassis.errors import Rejected
from chassis.inbox.dead_letter import DeadLetter, dead_letter, store
from chassis.outbox import append
from chassis.outbox.outbox import outbox
from chassis.runtime import clock
from contracts.notification_sent import NotificationSent
from services.notification.model import Channel
from services.notification.reactions.notify_customer_on_order_created import (
    reaction,
)
from tests.notification.mail_room import JANE
from tests.support.collector import Collector, are_connected, collecting, named
from tests.support.delivering import deliver, order_created, rows
from tests.support.eventually import eventually
from tests.support.services import Service, notification_service, order_service
from tests.support.serving import serving
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.observe.otlp import Span

RECORDED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOT_RECORDED = f"{RECORDED[:-2]}00"
TRACE = RECORDED[3:35]
THERE = ("POST /api/order", "create OrderCreated", "send OrderCreated", "process OrderCreated")  # fmt: skip
BACK = (
    "create NotificationSent",
    "receive NotificationSent",
    "process NotificationSent",
)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector."""
    with collecting() as collector:
        yield collector


def traced(endpoint: str, sampler: str = "parentbased_always_on") -> dict[str, object]:
    """Return the settings of a service that exports to this endpoint at once."""
    return {
        "otel_exporter_otlp_endpoint": endpoint,
        "otel_traces_sampler": sampler,
        "otel_bsp_schedule_delay": 20,
    }


@dataclass
class Both:
    """Both services, traced."""

    dapr: SimulatedDapr
    order: Service
    notification: Service
    collector: Collector

    async def places(self, trace: str = RECORDED, email: str | None = None) -> None:
        """Place an order within a trace, and deliver its event."""
        body = {"customerName": "Jane Doe", "customerEmail": email}
        headers = {"traceparent": trace}
        answer = await self.order.http.post("/api/order", json=body, headers=headers)
        assert answer.status_code == 201
        await eventually(self._is_published, "the event is published")
        assert await self.dapr.deliver_to(self.notification.app) == ["SUCCESS"]

    async def _is_published(self) -> bool:
        return bool(self.dapr.queue)


@pytest.fixture
async def both(
    tmp_path: Path, dapr: SimulatedDapr, collector: Collector
) -> AsyncIterator[Both]:
    """Run both services, traced."""
    settings = traced(collector.endpoint)
    async with AsyncExitStack() as stack:
        runs = (order_service, notification_service)
        order, notification = [
            await stack.enter_async_context(run(tmp_path, dapr, **settings))
            for run in runs
        ]
        yield Both(dapr, order, notification, collector)


async def test_the_trace_of_an_order_leads_to_its_notification_and_back(
    both: Both,
) -> None:
    await both.places()

    spans = await both.collector.has(TRACE, *THERE, *BACK)

    assert are_connected(spans)
    by_id = {each.id: each for each in spans}
    below = {each.name: by_id[each.parent].name for each in spans if each.parent in by_id}  # fmt: skip
    assert below == {
        "create OrderCreated": "POST /api/order",
        "send OrderCreated": "create OrderCreated",
        "process OrderCreated": "create OrderCreated",
        "create NotificationSent": "process OrderCreated",
        "receive NotificationSent": "create NotificationSent",
        "process NotificationSent": "create NotificationSent",
    }
    assert [(each.service, each.kind) for each in _in_order(spans)] == [
        ("order", "SERVER"),
        ("order", "PRODUCER"),
        ("order", "CLIENT"),
        ("notification", "CONSUMER"),
        ("notification", "PRODUCER"),
        ("order", "CLIENT"),
        ("order", "CONSUMER"),
    ]
    assert named(spans, "POST /api/order").parent == RECORDED[36:52]


def _in_order(spans: list[Span]) -> list[Span]:
    return [named(spans, name) for name in (*THERE, *BACK)]


async def test_an_events_row_has_the_context_of_its_creation(both: Both) -> None:
    await both.places()
    spans = await both.collector.has(TRACE, *THERE)

    ((stored,),) = await rows(both.order, outbox.c.event)

    event, created = json.loads(stored), named(spans, "create OrderCreated")
    assert event["traceparent"] == f"00-{TRACE}-{created.id}-01" == event["traceid"]
    assert event["causationid"] == f"00-{TRACE}-{created.parent}-01"
    assert created.attributes["messaging.message.id"] == event["id"]


async def test_spans_say_what_they_are_about_and_link_to_what_they_carry(
    both: Both,
) -> None:
    await both.places()
    spans = await both.collector.has(TRACE, *THERE, *BACK)
    post, created, sent, handled, sent_back, pulled, shown = _in_order(spans)

    assert post.attributes["http.route"] == "/api/order"
    assert post.attributes["http.response.status_code"] == 201
    assert sent.attributes["messaging.batch.message_count"] == 1
    assert sent.links == [(TRACE, created.id)]
    assert pulled.links == [(TRACE, sent_back.id)]
    assert shown.links == [(TRACE, pulled.id)]
    assert handled.attributes["inbox.arrival"] == "PUSHED"
    assert shown.attributes["inbox.arrival"] == "PULLED"
    assert (
        handled.attributes["messaging.consumer.group.name"]
        == "notify_customer_on_order_created"
    )
    # No span shows who ordered.
    assert "Jane" not in str(both.collector.spans)


async def test_a_mail_is_a_span_of_its_order(both: Both) -> None:
    await both.places(email=JANE)

    spans = await both.collector.has(TRACE, *THERE, "send mail", *BACK)

    mail = named(spans, "send mail")
    assert (mail.kind, mail.failed) == ("CLIENT", False)
    assert mail.parent == named(spans, "process OrderCreated").id
    assert JANE not in str(both.collector.spans)


async def test_an_order_that_is_placed_on_the_page_is_traced_too(both: Both) -> None:
    fields = {"customerName": "Jane Doe", "idempotencyKey": "a-key"}
    await both.order.http.post("/", data=fields, headers={"traceparent": RECORDED})

    spans = await both.collector.has(TRACE, "POST /", "create OrderCreated")

    assert named(spans, "create OrderCreated").parent == named(spans, "POST /").id


async def test_a_batch_has_a_link_to_each_event(both: Both) -> None:
    both.dapr.answering.clear()
    traces = [RECORDED.replace("4bf92f", f"4bf92{n}") for n in range(3)]
    posts = (
        both.order.http.post("/api/order", json={"customerName": "Jane"}, headers={"traceparent": each})
        for each in traces
    )  # fmt: skip
    await asyncio.gather(*posts)
    both.dapr.answering.set()

    async def sent() -> set[str] | None:
        sends = [each for each in both.collector.spans if each.name.startswith("send")]
        linked = {trace for each in sends for trace, _ in each.links}
        return linked if len(linked) == 3 else None

    assert await eventually(sent, "all are sent") == {each[3:35] for each in traces}


async def test_a_trace_that_is_not_recorded_leaves_nothing(both: Both) -> None:
    await both.places(NOT_RECORDED)
    await both.places(RECORDED.replace("4bf", "5bf"))
    await both.collector.has(TRACE.replace("4bf", "5bf"), *THERE, *BACK)

    assert both.collector.of(TRACE) == []
    (stored, _) = await rows(both.order, outbox.c.event)
    assert json.loads(stored[0])["traceparent"] == NOT_RECORDED


async def test_a_sampler_that_records_nothing_is_obeyed(
    tmp_path: Path, dapr: SimulatedDapr, collector: Collector
) -> None:
    settings = traced(collector.endpoint, "always_off")
    async with order_service(tmp_path, dapr, **settings) as service:
        body, headers = {"customerName": "Jane"}, {"traceparent": RECORDED}
        await service.http.post("/api/order", json=body, headers=headers)
        ((stored,),) = await rows(service, outbox.c.event)

    assert json.loads(stored)["traceparent"] == NOT_RECORDED
    assert collector.spans == []


async def test_only_the_run_that_is_committed_leaves_spans(both: Both) -> None:
    runs = 0

    def work(session: Session) -> None:
        nonlocal runs
        runs += 1
        order = uuid4()
        event = NotificationSent(
            order_id=order, channel=Channel.CONSOLE, sent_at=clock.now()
        )
        append(session, event, subject=order, cause=Cause(RECORDED))

    def fails(session: Session) -> None:
        session.execute(select(1))
        raise Rejected

    database = both.notification.database
    units = [database.write(each, "lane") for each in (work, work, fails, work)]
    done = await asyncio.gather(*units, return_exceptions=True)

    assert [isinstance(each, Rejected) for each in done] == [False, False, True, False]
    assert runs > 3
    events = [json.loads(each) for (each,) in await rows(both.notification, outbox.c.event)]  # fmt: skip
    stored = [each["traceparent"] for each in events]

    async def recorded() -> set[str] | None:
        mine = [each for each in both.collector.of(TRACE) if each.name == "create NotificationSent"]  # fmt: skip
        return {f"00-{TRACE}-{each.id}-01" for each in mine} if len(mine) >= 3 else None

    assert await eventually(recorded, "its spans") == set(stored)


async def test_a_replay_is_a_trace_of_its_own_linked_to_the_events(both: Both) -> None:
    event = order_created(traceparent=RECORDED)
    letter = DeadLetter(reaction.name, json.dumps(event).encode(), "It failed.")
    await both.notification.database.write(lambda session: store(session, letter))
    ((number,),) = await rows(both.notification, dead_letter.c.id)
    trace = TRACE.replace("4bf", "5bf")
    path = f"/api/dead-letter/{number}/replay"
    headers = {"traceparent": RECORDED.replace(TRACE, trace)}

    tried = await both.notification.http.post(f"{path}?dryRun=true", headers=headers)
    replayed = await both.notification.http.post(
        path, headers=headers, json={"by": "jane"}
    )

    assert (tried.status_code, replayed.status_code) == (200, 200)
    spans = await both.collector.has(trace, "process OrderCreated", BACK[0])
    handled = named(spans, "process OrderCreated")
    assert handled.attributes["inbox.arrival"] == "REPLAYED"
    assert handled.links == [(TRACE, RECORDED[36:52])]
    assert named(spans, BACK[0]).parent == handled.id


async def test_a_reaction_that_fails_is_a_span_with_its_error(both: Both) -> None:
    event = order_created(data={"orderId": "none"}, traceparent=RECORDED)
    assert await deliver(both.notification, event) == "SUCCESS"

    (span,) = await both.collector.has(TRACE, "process OrderCreated")

    assert span.failed
    assert span.attributes["error.type"] == "Unprocessable"


async def test_a_reaction_that_fails_is_recorded_whatever_was_decided(
    both: Both,
) -> None:
    event = order_created(data={"orderId": "none"}, traceparent=NOT_RECORDED)
    assert await deliver(both.notification, event) == "SUCCESS"

    (span,) = await both.collector.has(TRACE, "process OrderCreated")

    assert (span.failed, span.parent) == (True, RECORDED[36:52])


class Refusing(BaseHTTPRequestHandler):
    """A collector that takes nothing."""

    refused = 0

    def do_POST(self) -> None:
        """Refuse what is exported, for good."""
        self.rfile.read(int(self.headers["content-length"]))
        type(self).refused += 1
        self.send_response(400)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


async def test_a_collector_that_takes_nothing_is_one_line_in_the_log(
    tmp_path: Path,
    dapr: SimulatedDapr,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    with serving(Refusing) as port:
        endpoint = f"http://127.0.0.1:{port}"
        await _place_while_refused(tmp_path, dapr, endpoint)

    lines = [each for each in caplog.records if "trace" in each.getMessage()]
    assert [each.levelname for each in lines] == ["WARNING"]
    assert "are dropped until" in lines[0].getMessage()


async def _place_while_refused(
    folder: Path, dapr: SimulatedDapr, endpoint: str
) -> None:
    async with order_service(folder, dapr, **traced(endpoint)) as service:
        for _ in range(3):
            before = Refusing.refused
            body, headers = {"customerName": "Jane"}, {"traceparent": RECORDED}
            answer = await service.http.post("/api/order", json=body, headers=headers)
            assert answer.status_code == 201

            async def is_refused(before: int = before) -> bool:
                return Refusing.refused > before

            await eventually(is_refused, "what was traced is refused")
