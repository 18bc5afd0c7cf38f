"""/metrics shows what a service measures, also where its database or its event loop stands still."""

import asyncio
import json
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import eventually
from tests.support.services import order_service
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.runfile import free_port

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
        await asyncio.sleep(1)  # what is read may be a second old
        after = await scrape(port)

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
