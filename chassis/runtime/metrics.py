"""What a process measures, in Prometheus' instruments; docs/reference.md lists all of it.

Where OpenTelemetry's conventions have a name, it is theirs. Labels are few and bounded: routes, topics, reactions,
never an id or anything that a customer wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase

Instrument = TypeVar("Instrument", bound=MetricWrapperBase)

DURATIONS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5),
    *(0.75, 1, 2.5, 5, 7.5, 10),
)
"""Seconds: OpenTelemetry's buckets for durations, and two below them."""

REQUESTS = Histogram(
    "http_server_request_duration_seconds",
    "Requests to this service's API, from their arrival to the end of the answer.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=DURATIONS,
)
CALLS = Histogram(
    "messaging_client_operation_duration_seconds",
    "Calls that publish a batch of events through the sidecar; error_type is empty where it was accepted.",
    ["messaging_operation_name", "messaging_destination_name", "error_type"],
    buckets=DURATIONS,
)
PUBLISHED = Counter(
    "messaging_client_sent_messages",
    "Events that the broker has accepted, or with an error_type refused one by one.",
    ["messaging_destination_name", "error_type"],
)
HANDLING = Histogram(
    "messaging_process_duration_seconds",
    "Deliveries (up to 100 events) and pulled pages, from the inbox to their commit.",
    ["messaging_destination_name", "messaging_consumer_group_name", "error_type"],
    buckets=DURATIONS,
)
HANDLED = Counter(
    "messaging_client_consumed_messages",
    "Events that a reaction has handled, by how they arrived: PUSHED or PULLED.",
    ["messaging_destination_name", "messaging_consumer_group_name", "arrival"],
)
APPENDED = Counter(
    "outbox_events", "Events that were committed to the outbox.", ["topic"]
)
LEASE_LOSSES = Counter(
    "lease_losses",
    "Leases that ended before their holder had stored the outcome; another takes over.",
    ["loop"],
)
DUPLICATES = Counter(
    "inbox_duplicates",
    "Deliveries of events that the reaction had handled before.",
    ["reaction"],
)
REPAIRS = Counter(
    "inbox_repairs",
    "Events that the broker had not brought in time: the reconciler pulled them.",
    ["reaction"],
)
LATE = Counter(
    "inbox_late_pushes",
    "Of the repairs, those that the broker brought after all; the others it lost.",
    ["reaction"],
)
DEAD_LETTERS = Counter(
    "dead_letters",
    "Dead letters that were stored, by the kind of their reason.",
    ["reaction", "kind"],
)
GROUPS = Histogram(
    "group_commit_units",
    "Units of work that shared one transaction.",
    ["lane"],
    buckets=(1, 2, 5, 10, 20, 50),
)
COMMITS = Histogram(
    "group_commit_duration_seconds",
    "Transactions that write, from their beginning to the end of the commit.",
    ["lane"],
    buckets=DURATIONS,
)
LAG = Histogram(
    "event_loop_lag_seconds",
    "How much later than asked the event loop woke a task, twice a second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
LOOP_SUCCESS = Gauge(
    "loop_last_success_timestamp_seconds",
    "When a background loop last ended a step without an error.",
    ["loop"],
)
LOOP_FAILURES = Counter(
    "loop_failures", "Steps of a background loop that failed and are retried.", ["loop"]
)


_children: dict[tuple[object, ...], Any] = {}


def of(instrument: Instrument, *labels: object) -> Instrument:
    """Return the instrument for these values of its labels; the client's own `labels` takes five times as long."""
    key = (instrument, *labels)
    found: Instrument | None = _children.get(key)
    if found is None:
        found = _children[key] = instrument.labels(*labels)
    return found


class timed:  # noqa: N801 - it is used as a function
    """Observe how long a block takes; `error_type`, the last label, is the class of what it raises."""

    def __init__(self, durations: Histogram, *labels: str) -> None:
        self._durations, self._labels, self._began = durations, labels, perf_counter()

    def __enter__(self) -> None:
        """Begin the block, which begins with this object."""

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Observe its time."""
        error_type = error.__name__ if error else ""
        took = perf_counter() - self._began
        of(self._durations, *self._labels, error_type).observe(took)


Values = Mapping[tuple[str, ...], float]
"""A gauge's value for each combination of the values of its labels."""


@dataclass(frozen=True)
class Shown:
    """A gauge that has no value of its own here: it is asked for when somebody scrapes."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()

    def family(self, values: Values) -> GaugeMetricFamily:
        """Return these values as Prometheus' client exposes them."""
        made = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for labels, value in values.items():
            made.add_metric(labels, value)
        return made
