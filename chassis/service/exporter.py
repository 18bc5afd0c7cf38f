"""/metrics for Prometheus, on a port and threads of its own: it answers whatever else stands still.

What the database and the sidecar must be asked for is asked at most once a second, with a deadline.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from chassis.inbox import AnyReaction, Arrival
from chassis.operations import Observer, gauges
from chassis.parts import Parts
from chassis.runtime import metrics
from chassis.runtime.settings import EX_CONFIG

FRESH = 1.0
"""Seconds for which an answer is shown again, whoever scrapes."""
DEADLINE = 3.0
"""Seconds that a scrape waits for the event loop; the database and the sidecar have less."""
SAMPLE = 0.5
"""Seconds between two samples of the event loop's lag."""


@dataclass(eq=False)
class Exporter(Collector):
    """Serves what a service measures, once `listen` has its port; without METRICS_PORT, nothing."""

    parts: Parts
    reactions: Sequence[AnyReaction]
    observe: Observer | None = None
    _server: tuple[WSGIServer, threading.Thread] | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _asked_at: float = float("-inf")
    _families: Sequence[Metric] = ()

    def listen(self) -> None:
        """Take the port; ends the process with exit status 78 and a sentence where it cannot."""
        settings = self.parts.settings
        port, host = settings.metrics_port, settings.metrics_host or "127.0.0.1"
        if port is None:
            return
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        registry.register(REGISTRY)
        registry.register(self)
        try:
            self._server = start_http_server(port, host, registry)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            remedy = "choose another port, or unset it: then nothing is exposed"
            sys.stderr.write(
                f"The setting METRICS_PORT is wrong: {why} ({host}:{port}); {remedy}.\n"
            )
            sys.exit(EX_CONFIG)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer with what the database and the sidecar say, until the service ends; then the port is free."""
        if self._server is None:
            yield
            return
        _initialise(self.reactions)
        self._loop = asyncio.get_running_loop()
        sampling = asyncio.create_task(_sample_lag())
        try:
            yield
        finally:
            self._loop = None
            sampling.cancel()
            await asyncio.to_thread(_end, *self._server)

    def collect(self) -> Iterable[Metric]:
        """Return what the database and the sidecar say, on the thread of a scrape."""
        with self._asking:
            if monotonic() - self._asked_at >= FRESH:
                self._families = self._ask()
                self._asked_at = monotonic()
            return self._families

    def _ask(self) -> Sequence[Metric]:
        loop, observe = self._loop, self.observe
        if loop is None or observe is None:  # the service starts, or stops
            return ()
        asking = asyncio.run_coroutine_threadsafe(observe(), loop)
        try:
            return [*gauges.show(asking.result(DEADLINE), self.parts.database.owner)]
        except TimeoutError:  # the event loop stands still
            asking.cancel()
            return ()


def _initialise(reactions: Sequence[AnyReaction]) -> None:
    # A counter that appears with its first event has no increase then, and no alert sees it.
    metrics.LEASE_LOSSES.labels("relay")
    for each in reactions:
        for counter in (metrics.DUPLICATES, metrics.REPAIRS, metrics.LATE):
            counter.labels(each.name)
        for arrival in (Arrival.PUSHED, Arrival.PULLED):
            metrics.HANDLED.labels(each.event.topic(), each.name, arrival)


def _end(server: WSGIServer, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()


async def _sample_lag() -> None:
    while True:
        due = monotonic() + SAMPLE
        await asyncio.sleep(SAMPLE)
        metrics.LAG.observe(max(0.0, monotonic() - due))
