"""Rates and latencies over the newest minute and since the start, by the instruments that Prometheus reads too.

Nothing is measured for them: every few seconds the instruments are read, and a minute of readings is kept.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric

from chassis.operations.model import Latency, Rate
from chassis.runtime import clock

EVERY = 5.0
"""Seconds between two readings."""
KEPT = 13
"""Readings: a minute and its beginning."""
OUTCOMES = frozenset({"error_type", "http_response_status_code", "le"})
"""Labels whose values are added up."""
OF_THE_CHASSIS = (
    "http_server_request_duration_seconds",
    "messaging_process_duration_seconds",
    "messaging_client_operation_duration_seconds",
    "group_commit_duration_seconds",
    "event_loop_lag_seconds",
)
"""The durations that every service measures, those that customers wait for first."""
OF_THE_INTERPRETER = ("python_", "process_")

Labels = tuple[tuple[str, str], ...]
Buckets = Mapping[float, float]


@dataclass
class Reading:
    """What the instruments said at one moment: counters, and the cumulative buckets of histograms."""

    at: float
    about: dict[str, str] = field(default_factory=dict)
    counters: dict[tuple[str, Labels], float] = field(
        default_factory=lambda: defaultdict(float)
    )
    histograms: dict[tuple[str, Labels], dict[float, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )

    def add(self, metric: Metric) -> None:
        """Add what one instrument says."""
        if metric.name.startswith(OF_THE_INTERPRETER):
            return
        self.about[metric.name] = metric.documentation
        for sample in metric.samples:
            labels = tuple(
                (k, v) for k, v in sample.labels.items() if k not in OUTCOMES
            )
            key = metric.name, labels
            if metric.type == "counter" and sample.name.endswith("_total"):
                self.counters[key] += sample.value
            if metric.type == "histogram" and sample.name.endswith("_bucket"):
                self.histograms[key][float(sample.labels["le"])] += sample.value


@dataclass
class Rates:
    """A minute of readings of this process's instruments."""

    registry: CollectorRegistry = REGISTRY
    readings: deque[Reading] = field(default_factory=lambda: deque(maxlen=KEPT))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read the instruments every few seconds."""
        task = asyncio.create_task(self._keep_reading())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_reading(self) -> None:
        while True:
            self.readings.append(self.read())
            await asyncio.sleep(EVERY)

    def read(self) -> Reading:
        """Return what the instruments say now."""
        reading = Reading(clock.monotonic())
        for metric in self.registry.collect():
            reading.add(metric)
        return reading

    def show(self) -> tuple[list[Rate], list[Latency]]:
        """Return what happened in the newest minute, or since the first reading, and since the start."""
        now = self.read()
        then = self.readings[0] if self.readings else now
        seconds = max(now.at - then.at, 1e-9)
        return [*_rates(now, then, seconds)], [*_latencies(now, then, seconds)]


def _rates(now: Reading, then: Reading, seconds: float) -> Iterator[Rate]:
    for (name, labels), total in sorted(now.counters.items()):
        newest = total - then.counters.get((name, labels), 0.0)
        yield Rate(
            name=name,
            about=now.about[name],
            labels=dict(labels),
            per_second=round(newest / seconds, 3),
            total=int(total),
        )


def _latencies(now: Reading, then: Reading, seconds: float) -> Iterator[Latency]:
    for (name, labels), buckets in sorted(now.histograms.items(), key=_what_matters):
        before = then.histograms.get((name, labels), {})
        newest = {le: number - before.get(le, 0.0) for le, number in buckets.items()}
        if name.endswith("_seconds"):
            yield Latency(
                name=name,
                about=now.about[name],
                labels=dict(labels),
                per_second=round(newest[float("inf")] / seconds, 3),
                p50=quantile(newest, 0.5),
                p99=quantile(newest, 0.99),
                total=int(buckets[float("inf")]),
                p50_since_start=quantile(buckets, 0.5),
                p99_since_start=quantile(buckets, 0.99),
            )


def _what_matters(item: tuple[tuple[str, Labels], object]) -> tuple[int, bool]:
    """Order what the service itself measures, as it declares that, before what it is made of."""
    (name, labels), _ = item
    rank = OF_THE_CHASSIS.index(name) if name in OF_THE_CHASSIS else -1
    # What changes something comes before what is looked at.
    return rank, ("http_request_method", "POST") not in labels


def quantile(buckets: Buckets, share: float) -> float | None:
    """Return a quantile by cumulative buckets, as Prometheus' histogram_quantile does; None without any value.

    Within a bucket the values count as spread evenly; what is in none of the finite ones is as large as the last.
    """
    bounds = sorted(buckets)
    rank = share * buckets[bounds[-1]]
    if not rank:
        return None
    lower, below = 0.0, 0.0
    for bound in bounds[:-1]:
        if buckets[bound] >= rank:
            return lower + (bound - lower) * (rank - below) / (buckets[bound] - below)
        lower, below = bound, buckets[bound]
    return lower
