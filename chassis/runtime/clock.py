"""What a process takes from its surroundings: the time of day, the passing of time, and chance.

Whatever a service does follows from its messages, its database and these; a simulation brings its own, and
repeats a run exactly.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

CLOCKS_APART = timedelta(seconds=30)
"""How far apart the clocks of two replicas may be; a lease further ahead predates a clock that was set back."""


def _clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Surroundings:
    """A clock (aware, in UTC; it may be set back or forward) and a source of random bits."""

    now: Callable[[], datetime] = _clock
    bits: Callable[[int], int] = secrets.randbits


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
