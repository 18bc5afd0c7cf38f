"""What a process takes from its surroundings: the time of day, the passing of time, and chance.

Whatever a service does follows from its messages, its database and these; a simulation brings its own, and
repeats a run exactly.
"""

import asyncio
import os
import struct
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

CLOCKS_APART = timedelta(seconds=30)
"""How far apart the clocks of two replicas may be; a lease further ahead predates a clock that was set back."""


def _clock() -> datetime:
    return datetime.now(UTC)


_words: list[int] = []
"""Random words of 64 bits from the operating system that are not used yet.

It is asked for 512 at a time: each call gives up the interpreter, and a request needs a dozen of them.
"""
os.register_at_fork(after_in_child=_words.clear)


def _word() -> int:
    # Neither of the two may be interrupted by another thread in between: no word is taken twice.
    try:
        return _words.pop()
    except IndexError:
        first, *others = struct.unpack("512Q", os.urandom(4096))
        _words.extend(others)
        return int(first)


def _bits(number: int) -> int:
    value = 0
    for _ in range(-(-number // 64)):
        value = value << 64 | _word()
    return value >> (-number % 64)


@dataclass(frozen=True)
class Surroundings:
    """A clock (aware, in UTC; it may be set back or forward) and a source of random bits."""

    now: Callable[[], datetime] = _clock
    bits: Callable[[int], int] = _bits


current: ContextVar[Surroundings] = ContextVar("surroundings", default=Surroundings())  # noqa: B039 - it is frozen


def now() -> datetime:
    """Return the time of day, in UTC: for records; no waiting depends on it alone."""
    return current.get().now()


def now_ms() -> datetime:
    """Return the time of day to the millisecond, as the wire carries it."""
    moment = now()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def monotonic() -> float:
    """Return the seconds that have passed, by the event loop's clock, which nobody sets."""
    return asyncio.get_running_loop().time()


def random_bits(number: int) -> int:
    """Return so many bits that nobody can predict."""
    return current.get().bits(number)


def jitter(least: float, most: float) -> float:
    """Return a number between the two, so that what failed together is not retried together."""
    return least + (most - least) * random_bits(32) / 2**32
