"""Trace contexts: the caller's where it is valid, a new one where it is not."""

import re

import pytest

from chassis.dapr import Sidecar
from chassis.dapr.wire import Answer, Call
from chassis.runtime.telemetry import Tracer, current, traceparent_or_new

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NEW = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00")


@pytest.mark.parametrize("given", [VALID, f"{VALID[:-2]}00", f"{VALID[:-2]}ff"])
def test_the_callers_trace_is_continued(given: str) -> None:
    assert traceparent_or_new(given) == given


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("x", id="nonsense"),
        pytest.param(VALID.upper(), id="capitals"),
        pytest.param(VALID[:-1], id="cut off"),
        pytest.param(f"{VALID}0", id="too long"),
        pytest.param(f"{VALID}\n", id="line break"),
        pytest.param(f"ff{VALID[2:]}", id="no such version"),
        pytest.param(VALID.replace("4bf92f", "4bf92g"), id="not hexadecimal"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", id="trace of zeros"),
        pytest.param(f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", id="span of zeros"),
    ],
)  # fmt: skip
def test_an_invalid_trace_is_replaced_by_a_new_one(given: str | None) -> None:
    made = traceparent_or_new(given)

    assert made != given
    assert NEW.fullmatch(made)
    assert traceparent_or_new(made) == made


def test_every_new_trace_is_different() -> None:
    assert len({traceparent_or_new(None) for _ in range(1000)}) == 1000


class Overheard:
    """A wire that keeps the trace contexts of the calls."""

    def __init__(self) -> None:
        self.traces: list[str | None] = []

    async def carry(self, call: Call) -> Answer:
        """Answer with nothing."""
        self.traces.append(call.headers.get("traceparent"))
        return Answer(200, b"{}")

    async def close(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("is_traced", [True, False])
async def test_a_call_carries_its_trace_or_one_that_is_not_recorded(
    *, is_traced: bool
) -> None:
    wire = Overheard()
    sidecar = Sidecar("http://sidecar", wire=wire)
    sidecar.is_traced = is_traced

    await sidecar.metadata()
    token = current.set(VALID)
    await sidecar.metadata()
    current.reset(token)

    if not is_traced:
        assert wire.traces == [None, None]
        return
    asked, within = wire.traces
    assert NEW.fullmatch(asked or "")
    assert within == VALID


class Kept(list[bytes]):
    """An exporter that keeps what has ended."""

    add = list[bytes].append

    def close(self) -> None:
        """Close nothing."""


UNSAMPLED = f"{VALID[:-2]}00"


@pytest.mark.parametrize(
    ("sampler", "sampled", "unsampled", "begun_here"),
    [
        ("parentbased_always_on", True, False, 1),
        ("parentbased_always_off", True, False, 0),
        ("parentbased_traceidratio", True, False, 0.25),
        ("always_on", True, True, 1),
        ("always_off", False, False, 0),
    ],
)
def test_a_sampler_decides_as_opentelemetrys_own_of_that_name(
    sampler: str, *, sampled: bool, unsampled: bool, begun_here: float
) -> None:
    tracer = Tracer(Kept(), sampler, 0.25)

    assert bool(tracer.enter(b"", VALID)) == sampled
    assert bool(tracer.enter(b"", UNSAMPLED)) == unsampled
    begun = [tracer.enter(b"", None) for _ in range(2000)]
    share = len([each for each in begun if each]) / 2000
    assert share == pytest.approx(begun_here, abs=0.1 * (0 < begun_here < 1))


def test_all_who_record_the_same_share_choose_the_same_traces() -> None:
    low, high = (
        f"00-{VALID[3:19]}{each:016x}{VALID[35:]}" for each in (2**62 - 1, 2**62)
    )
    tracer = Tracer(Kept(), "traceidratio", 0.25)

    assert tracer.enter(b"", low)
    assert not tracer.enter(b"", high)


@pytest.mark.parametrize(
    ("sampler", "is_recorded"), [("traceidratio", True), ("always_off", False)]
)
def test_what_failed_is_recorded_wherever_anything_is(
    sampler: str, *, is_recorded: bool
) -> None:
    tracer = Tracer(Kept(), sampler, 2**-60)

    assert bool(tracer.enter(b"", UNSAMPLED, failed=True)) == is_recorded
