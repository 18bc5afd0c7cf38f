"""The W3C trace context of a request, and the log's format."""

import logging
import re

from chassis.runtime import clock

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_or_new(given: str | None = None) -> str:
    """Return this W3C trace context if it is a valid one, else a new one."""
    if given and _TRACEPARENT.fullmatch(given):
        return given
    return f"00-{clock.random_bits(128):032x}-{clock.random_bits(64):016x}-00"


def log_to_console(level: str) -> None:
    """Log to standard error, one line an event, at this level or above."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
