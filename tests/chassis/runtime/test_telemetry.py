"""Trace contexts: the caller's where it has a proper one, a new one where it has none."""

import re

import pytest

from chassis.runtime.telemetry import traceparent

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NEW = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00")


@pytest.mark.parametrize("given", [VALID, f"{VALID[:-2]}00", f"{VALID[:-2]}ff"])
def test_the_callers_trace_goes_on(given: str) -> None:
    assert traceparent(given) == given


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
        pytest.param(f"ff{VALID[2:]}", id="a version that there is not"),
        pytest.param(VALID.replace("4bf92f", "4bf92g"), id="not hexadecimal"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", id="trace of zeros"),
        pytest.param(f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", id="span of zeros"),
    ],
)  # fmt: skip
def test_a_trace_that_is_none_is_replaced_by_a_new_one(given: str | None) -> None:
    made = traceparent(given)

    assert made != given
    assert NEW.fullmatch(made)
    assert traceparent(made) == made


def test_every_new_trace_is_another() -> None:
    assert len({traceparent(None) for _ in range(1000)}) == 1000
