"""Ids that sort by the time they were made."""

from uuid import UUID

from chassis import ambient


def uuid7() -> UUID:
    """Make a UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits.

    The standard library has it from Python 3.14 on.
    """
    milliseconds = int(ambient.now().timestamp() * 1000)
    random = ambient.random_bits(74)
    return UUID(
        int=milliseconds << 80
        | 0x7 << 76
        | (random >> 62) << 64
        | 0b10 << 62
        | random & (1 << 62) - 1
    )
