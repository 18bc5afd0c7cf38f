"""What ties a log line or an event to the request that caused it."""

import logging
import re
from typing import Annotated

from fastapi import Depends, Header

from chassis.runtime import clock

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent(
    traceparent: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> str:
    """Give the caller's W3C trace context, or a new one where there is none or a broken one."""
    if traceparent and _TRACEPARENT.fullmatch(traceparent):
        return traceparent
    return f"00-{clock.random_bits(128):032x}-{clock.random_bits(64):016x}-00"


Trace = Annotated[str, Depends(traceparent)]


def log_to_console(level: str) -> None:
    """Send what the service logs to standard error, one line an event, at this level or above."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=level)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
