"""Rates and latencies, read from the instruments that Prometheus reads."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chassis.operations.rates import KEPT, Rates, quantile
from chassis.runtime import clock


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Set the seconds that have passed by hand."""
    now = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return now


async def test_a_counter_is_a_rate_over_the_newest_minute_and_a_total(
    seconds: list[float],
) -> None:
    registry = CollectorRegistry()
    rates = Rates(registry)
    repairs = Counter(
        "repairs", "Repairs.", ["reaction", "error_type"], registry=registry
    )
    for second in range(0, 300, 5):
        seconds[0] = second
        repairs.labels("a", "").inc(10)
        rates.readings.append(rates.read())

    repairs.labels("a", "Broken").inc(2)
    (shown,), _ = rates.show()

    assert len(rates.readings) == KEPT
    assert (shown.name, shown.labels, shown.total) == (
        "repairs",
        {"reaction": "a"},
        602,
    )
    assert shown.per_second == round((12 * 10 + 2) / 60, 3)


async def test_a_histogram_shows_its_newest_minute_beside_all_of_it(
    seconds: list[float],
) -> None:
    registry = CollectorRegistry()
    rates = Rates(registry)
    took = Histogram(
        "took_seconds", "It took.", buckets=(0.1, 1, 10), registry=registry
    )
    for _ in range(100):
        took.observe(5)
    rates.readings.append(rates.read())
    seconds[0] = 10
    for _ in range(10):
        took.observe(0.05)

    _, (shown,) = rates.show()

    assert (shown.per_second, shown.total) == (1, 110)
    assert (shown.p99 or 1) < 0.1
    assert (shown.p50_since_start or 0) > 1


async def test_what_has_not_happened_has_no_latency_and_what_is_no_duration_none(
    seconds: list[float],
) -> None:
    registry = CollectorRegistry()
    Histogram("took_seconds", "It took.", registry=registry)
    Histogram("units", "Units.", registry=registry)
    Gauge("now", "Now.", registry=registry)

    rates, (shown,) = Rates(registry).show()

    assert rates == []
    assert (shown.p50, shown.p99, shown.total) == (None, None, 0)


@pytest.mark.parametrize(
    ("share", "value"), [(0.25, 0.5), (0.5, 1), (0.75, 6.625), (1, 10)]
)
def test_a_quantile_is_found_within_its_bucket(share: float, value: float) -> None:
    buckets = {1.0: 5.0, 10.0: 9.0, float("inf"): 10.0}

    assert quantile(buckets, share) == pytest.approx(value)


async def test_what_customers_wait_for_comes_first() -> None:
    registry = CollectorRegistry()
    http = "http_server_request_duration_seconds"
    for name in ("group_commit_duration_seconds", "event_loop_lag_seconds"):
        Histogram(name, "Inside.", registry=registry)
    asked = Histogram(http, "Requests.", ["http_request_method"], registry=registry)
    for method in ("GET", "POST"):
        asked.labels(method)
    for name in ("waiting_seconds", "mailing_seconds"):
        Histogram(name, "The service's own.", registry=registry)

    _, shown = Rates(registry).show()

    found = [each.labels.get("http_request_method", each.name) for each in shown]
    inside = ["group_commit_duration_seconds", "event_loop_lag_seconds"]
    own = ["waiting_seconds", "mailing_seconds"]
    assert found == [*own, "POST", "GET", *inside]
