"""Trace contexts: the caller's where it is valid, a new one where it is not."""

import re

import pytest

from chassis.dapr import Sidecar
from chassis.dapr.wire import Answer, Call
from chassis.runtime.telemetry import current, traceparent_or_new

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
