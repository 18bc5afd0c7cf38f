"""/metrics shows what a service measures, also where its database or its event loop stands still."""

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event
from sqlalchemy.orm import Session

from chassis.database import once_committed
from chassis.database.engine import READERS
from chassis.runtime.settings import EX_CONFIG
from chassis.service import make_parts
from chassis.service.exporter import DEADLINE, FRESH, Exporter
from services.order.app import Settings
from tests.support.delivering import deliver, order_created
from tests.support.eventually import eventually
from tests.support.services import notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.runfile import free_port, is_free

Sample = tuple[str, frozenset[tuple[str, str]]]


async def scrape(port: int) -> dict[Sample, float]:
    """Return the samples that a service shows."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics", timeout=5)
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> Sample:
    """Return what a sample is known by."""
    return name, frozenset(labels.items())


def total(samples: dict[Sample, float], name: str) -> float:
    """Return the sum of a metric's samples, whatever their labels."""
    return sum(value for (each, _), value in samples.items() if each == name)


async def test_what_a_service_does_is_measured(tmp_path: Path) -> None:
    port, dapr = free_port(), SimulatedDapr()
    async with order_service(tmp_path, dapr, metrics_port=port) as service:
        before = await scrape(port)
        answer = await service.http.post("/api/order", json={"customerName": "Jane"})
        assert answer.status_code == 201

        async def is_published() -> bool:
            return bool(dapr.published)

        await eventually(is_published, "the event is published")
        after: dict[Sample, float] = {}

        async def is_marked() -> bool:
            # What is read of the database may be a second old.
            after.update(await scrape(port))
            return after[of("outbox_backlog_events")] == 0

        await eventually(is_marked, "nothing waits for the broker")

    def grown(name: str, **labels: str) -> float:
        key = of(name, **labels)
        return after.get(key, 0) - before.get(key, 0)

    post = {"http_request_method": "POST", "http_route": "/api/order"}
    requests = "http_server_request_duration_seconds_count"
    assert grown(requests, **post, http_response_status_code="201") == 1
    assert grown("outbox_events_total", topic="OrderCreated") == 1
    sent = {"messaging_destination_name": "OrderCreated", "error_type": ""}
    assert grown("messaging_client_sent_messages_total", **sent) == 1
    assert after[of("outbox_backlog_events")] == 0
    assert after[of("database_up")] == after[of("sidecar_up")] == 1
    assert total(after, "target_info") == 1
    assert "Jane" not in json.dumps([str(each) for each in after])


async def test_a_scrape_answers_while_the_event_loop_stands_still(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with order_service(tmp_path, SimulatedDapr(), metrics_port=port):
        with ThreadPoolExecutor() as threads:
            scraping = threads.submit(scrape_blocking, port)
            # Not awaited: the event loop turns no more until it is there.
            answer = scraping.result(DEADLINE + 5)

    assert "process_cpu_seconds_total" in answer
    assert "database_up" not in answer


def scrape_blocking(port: int) -> str:
    """Return what a service shows, on a thread."""
    return httpx.get(
        f"http://127.0.0.1:{port}/metrics", timeout=10, trust_env=False
    ).text


async def test_a_scrape_answers_while_the_database_does_not(tmp_path: Path) -> None:
    port, released = free_port(), threading.Event()
    begun: list[Session] = []
    async with order_service(tmp_path, SimulatedDapr(), metrics_port=port) as service:

        def hang(session: Session) -> None:
            begun.append(session)
            released.wait(20)

        async def all_hang() -> bool:
            return len(begun) == READERS

        hanging = [
            asyncio.create_task(service.database.read(hang)) for _ in range(READERS)
        ]
        await eventually(all_hang, "every reader thread hangs")
        began = time.monotonic()
        samples = await scrape(port)
        took = time.monotonic() - began
        released.set()
        await asyncio.gather(*hanging)

    assert took < DEADLINE
    assert samples[of("database_up")] == 0
    assert of("outbox_backlog_events") not in samples
    assert samples[of("sidecar_up")] == 1


async def test_however_often_it_is_scraped_the_database_is_asked_once_a_second(
    tmp_path: Path,
) -> None:
    port, asked = free_port(), list[str]()

    def note(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        if "schema_version" in arguments[2]:
            asked.append(arguments[2])

    async with order_service(tmp_path, SimulatedDapr(), metrics_port=port) as service:
        event.listen(service.database.engine, "before_cursor_execute", note)
        began = time.monotonic()
        for _ in range(20):
            await scrape(port)
        took = time.monotonic() - began

    assert 1 <= len(asked) <= took / FRESH + 1


async def test_a_taken_port_ends_the_service_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(
            database_url=f"sqlite:///{tmp_path}/o.db", metrics_port=port
        )
        parts = make_parts("order", settings, None, SimulatedDapr().sidecar())

        with pytest.raises(SystemExit) as ended:
            Exporter(parts, ()).listen()

        await parts.database.close()
    assert ended.value.code == EX_CONFIG
    said = capsys.readouterr().err
    assert f"METRICS_PORT is wrong: address already in use (127.0.0.1:{port})" in said
    assert said.count("\n") == 1


async def test_without_a_port_nothing_listens(tmp_path: Path) -> None:
    threads = threading.active_count()
    settings = Settings(database_url=f"sqlite:///{tmp_path}/o.db")
    parts = make_parts("order", settings, None, SimulatedDapr().sidecar())

    Exporter(parts, ()).listen()

    assert threading.active_count() == threads
    await parts.database.close()


async def test_the_port_is_free_once_the_service_has_ended(tmp_path: Path) -> None:
    port = free_port()
    async with order_service(tmp_path, SimulatedDapr(), metrics_port=port):
        assert not is_free(port)

    assert is_free(port)


async def test_an_event_that_was_pushed_is_handled_once_and_its_order_notified(
    tmp_path: Path,
) -> None:
    port, event = free_port(), order_created()
    labels = {"messaging_destination_name": "OrderCreated", "arrival": "PUSHED"}
    reaction = "notify_customer_on_order_created"
    async with notification_service(
        tmp_path, SimulatedDapr(), metrics_port=port
    ) as service:
        before = await scrape(port)
        for _ in range(2):
            assert await deliver(service, event) == "SUCCESS"
        after = await scrape(port)

    def grown(name: str, **labels: str) -> float:
        return after[of(name, **labels)] - before[of(name, **labels)]

    handled = "messaging_client_consumed_messages_total"
    assert grown(handled, messaging_consumer_group_name=reaction, **labels) == 1
    assert grown("inbox_duplicates_total", reaction=reaction) == 1
    assert grown("order_to_notified_seconds_count", channel="console") == 1


async def test_what_is_rolled_back_is_not_counted(tmp_path: Path) -> None:
    async with order_service(tmp_path, SimulatedDapr()) as service:
        counted = list[str]()

        def fail(session: Session) -> None:
            once_committed(session, lambda: counted.append("failed"))
            raise LookupError

        with pytest.raises(LookupError):
            await service.database.write(fail)
        await service.database.write(
            lambda session: once_committed(session, lambda: counted.append("done"))
        )

    assert counted == ["done"]
