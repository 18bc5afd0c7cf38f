"""Prometheus and the viewer of traces beside a system: what they are given, and that Ctrl-C ends them."""

import gzip
import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from tests.support.eventually import within
from tests.support.terminal import CTRL_C, Terminal
from toolchain import runfile
from toolchain.observe import otlp, zipkin
from toolchain.observe.otlp import Span
from toolchain.runfile import ROOT, System
from toolchain.servers import prometheus

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
SPAN = Span(
    service="order",
    name="send OrderCreated",
    kind="CLIENT",
    trace=f"{TRACE:032x}",
    id=f"{2:016x}",
    parent=f"{1:016x}",
    start=5_000_000,
    end=7_500_000,
    failed=False,
    attributes={"messaging.batch.message_count": 2},
    links=[(f"{TRACE:032x}", f"{3:016x}")],
)


def encoded() -> bytes:
    """Return a request with one span, as OpenTelemetry writes it."""
    own, parent, linked = (SpanContext(TRACE, n, is_remote=False) for n in (2, 1, 3))
    span = ReadableSpan(
        "send OrderCreated", own, parent, Resource({"service.name": "order"}),
        {"messaging.batch.message_count": 2}, (), [Link(linked)], SpanKind.CLIENT, None,
        Status(StatusCode.UNSET), 5_000_000, 7_500_000,
    )  # fmt: skip
    return bytes(encode_spans([span]).SerializeToString())


def test_what_is_exported_is_read() -> None:
    assert otlp.parse(encoded()) == [SPAN]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_what_is_sent_over_http_is_handed_on(encoding: str) -> None:
    came: list[Span] = []
    body = gzip.compress(encoded()) if encoding == "gzip" else encoded()

    with otlp.receiving(
        runfile.free_port(), lambda body: came.extend(otlp.parse(body))
    ) as endpoint:
        headers = {"content-encoding": encoding}
        taken = httpx.post(f"{endpoint}{otlp.PATH}", content=body, headers=headers)
        metrics = httpx.post(f"{endpoint}/v1/metrics", content=body)

    assert (taken.status_code, metrics.status_code) == (200, 404)
    assert came == [SPAN]


def test_zipkin_is_given_links_as_tags() -> None:
    assert zipkin.shown(SPAN) == {
        "traceId": SPAN.trace,
        "id": SPAN.id,
        "parentId": SPAN.parent,
        "name": "send OrderCreated",
        "kind": "CLIENT",
        "timestamp": 5000,
        "duration": 2500,
        "localEndpoint": {"serviceName": "order"},
        "tags": {
            "messaging.batch.message_count": "2",
            "link 1": f"{SPAN.trace}/{3:016x}",
        },
    }


def test_prometheus_reads_each_service_and_each_sidecar_of_the_system() -> None:
    configuration = prometheus.configuration(runfile.load(1000))

    targets = {
        (job["job_name"], each["labels"]["service"]): each["targets"]
        for job in configuration["scrape_configs"]
        for each in job["static_configs"]
    }
    assert targets == {
        ("services", "order"): ["127.0.0.1:10464"],
        ("services", "notification"): ["127.0.0.1:10465"],
        ("sidecars", "order"): ["127.0.0.1:10474"],
        ("sidecars", "notification"): ["127.0.0.1:10475"],
    }


def test_as_it_is_declared_it_is_what_dapr_yaml_runs() -> None:
    moved = prometheus.configuration(runfile.load())
    declared = yaml.safe_load((prometheus.FOLDER / "prometheus.yaml").read_text())

    def targets(configuration: dict[str, Any]) -> list[tuple[str, str, str]]:
        return sorted(
            (job["job_name"], group["labels"]["service"], target)
            for job in configuration["scrape_configs"]
            for group in job["static_configs"]
            for target in group["targets"]
        )

    assert targets(declared) == targets(moved)


@pytest.fixture
def system() -> Iterator[System]:
    """Find ports for a system of our own; what it keeps is removed."""
    system = runfile.load(runfile.free_offset())
    yield system
    shutil.rmtree(system.state)


@pytest.mark.system
@pytest.mark.timeout(300)
def test_make_observe_shows_traces_and_metrics_until_ctrl_c(system: System) -> None:
    assert runfile.observed(system) == {}
    command = ["make", "observe", f"OFFSET={system.offset}"]
    with Terminal(command, ROOT) as terminal:
        terminal.shows("Ctrl-C ends both", 240)
        endpoint = runfile.observed(system)["OTEL_EXPORTER_OTLP_ENDPOINT"]
        viewer = f"http://127.0.0.1:{system.port('zipkin')}"
        metrics = f"http://127.0.0.1:{system.port('prometheus')}"

        httpx.post(f"{endpoint}{otlp.PATH}", content=encoded())

        def is_shown() -> bool:
            answer = httpx.get(f"{viewer}/api/v2/trace/{SPAN.trace}")
            return answer.status_code == 200 and answer.json()[0]["id"] == SPAN.id

        within(30, is_shown, "Zipkin shows the span")

        def has_targets() -> bool:
            found = httpx.get(f"{metrics}/api/v1/targets").json()["data"]
            return len(found["activeTargets"]) >= 2

        within(30, has_targets, "Prometheus knows the services")
        terminal.types(CTRL_C)
        # As make ends a verb that was interrupted.
        assert terminal.ends(60) != 0
    assert runfile.ports_are_free(system.offset)
