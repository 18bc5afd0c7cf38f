"""What a process takes from its surroundings: the time of day, the passing of time, and chance.

Whatever a service does follows from its messages, its database and these; a simulation brings its own, and
can so repeat a run exactly.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

CLOCKS_APART = timedelta(seconds=30)
"""How far apart the clocks of two replicas may be; a lease further ahead was made before one was set back."""


def _clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Ambient:
    """A clock (aware, in UTC; it may be set back or forward) and a source of random bits."""

    now: Callable[[], datetime] = _clock
    bits: Callable[[int], int] = secrets.randbits


current: ContextVar[Ambient] = ContextVar("ambient", default=Ambient())  # noqa: B039 - it is frozen


def now() -> datetime:
    """Give the time of day, in UTC: it belongs into records, and no waiting depends on it alone."""
    return current.get().now()


def monotonic() -> float:
    """Give the seconds that have passed, by the event loop's clock, which nobody sets."""
    return asyncio.get_running_loop().time()


def random_bits(number: int) -> int:
    """Give so many bits that nobody can foretell."""
    return current.get().bits(number)


def jitter(least: float, most: float) -> float:
    """Give a number between the two, so that what failed together is not tried again together."""
    return least + (most - least) * random_bits(32) / 2**32
