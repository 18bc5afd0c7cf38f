"""Ids that sort by the time they were made."""

from datetime import datetime
from uuid import UUID

from chassis.runtime import clock


def uuid7() -> UUID:
    """Return a UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits.

    The standard library has it from Python 3.14 on.
    """
    milliseconds = int(clock.now().timestamp() * 1000)
    random = clock.random_bits(74)
    return UUID(
        int=milliseconds << 80
        | 0x7 << 76
        | (random >> 62) << 64
        | 0b10 << 62
        | random & (1 << 62) - 1
    )


def first_id(moment: datetime) -> UUID:
    """Return what no id made at this time, or later, is below."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
