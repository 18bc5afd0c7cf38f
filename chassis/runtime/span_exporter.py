"""Spans on their way to a collector, in batches, by a thread of their own."""

import logging
import threading
from collections import deque
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource

from chassis.runtime import otlp
from chassis.runtime.settings import TelemetrySettings
from chassis.runtime.telemetry import Tracer

_log = logging.getLogger(__name__)

BATCH = 2000
"""Spans that are exported in one request, some 700 kB; OpenTelemetry's 512 take a request four times as often."""
MOST_WAITING = 8 * BATCH
"""Spans that wait in memory, some 6 MB: what comes while the collector takes none is dropped."""


class SpanExporter:
    """Exports what has ended to `url`; logs once that it fails, and once that it works again.

    OpenTelemetry's exporter sends it, with its time-outs, headers, compression and TLS: by its client, as it would
    encode spans itself. It exports `delay` seconds after a span came, and waits `ends_within` for the last.
    """

    def __init__(
        self, url: str, service: str, delay: float, ends_within: float = 5
    ) -> None:
        self._url = url
        self._exporter: Any = OTLPSpanExporter(url)
        self._resource = Resource.create({"service.name": service}).attributes
        self._delay, self._ends_within = delay, ends_within
        self._spans: deque[bytes] = deque()
        self._awake = threading.Event()
        self._is_failing = self._is_stopping = False
        # It would log each attempt.
        logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def add(self, span: bytes) -> None:
        """Take a span to export; this neither blocks nor fails."""
        waiting = len(self._spans)
        if waiting < MOST_WAITING:
            self._spans.append(span)
        if waiting == BATCH:
            self._awake.set()

    def close(self) -> None:
        """Export what is left, and end the thread."""
        self._is_stopping = True
        self._awake.set()
        self._thread.join(self._ends_within)
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._is_stopping:
            self._awake.wait(self._delay)
            self._awake.clear()
            while self._spans:
                most = min(len(self._spans), BATCH)
                self._export([self._spans.popleft() for _ in range(most)])

    def _export(self, spans: list[bytes]) -> None:
        body = otlp.request(self._resource, spans)
        failed = not self._exporter._client.export(body).success
        if failed and not self._is_failing:
            text = "traces are dropped until %s takes them; nothing else is affected"
            _log.warning(text, self._url)
        elif self._is_failing and not failed:
            _log.info("traces are exported to %s again", self._url)
        self._is_failing = failed


def open_tracer(service: str, settings: TelemetrySettings) -> Tracer:
    """Return the tracer of a service with an endpoint, to which it exports over HTTP.

    OpenTelemetry itself reads all variables that begin with OTEL_ and are no settings.
    """
    url = f"{str(settings.otel_exporter_otlp_endpoint).rstrip('/')}/v1/traces"
    exporter = SpanExporter(url, service, settings.otel_bsp_schedule_delay / 1000)
    sampler, share = settings.otel_traces_sampler, settings.otel_traces_sampler_arg
    return Tracer(exporter, sampler, share)
