"""Whether a subscription delivers: what was pushed to this process, and what had to be pulled in its place."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chassis.runtime import clock

QUIET = timedelta(seconds=30)
"""How long a subscription may deliver nothing of what is published: the longest grace period."""


@dataclass
class OfTopic:
    """What arrived of one topic since the process started; `missed` since the newest delivery."""

    pushed: int = 0
    pushed_at: datetime | None = None
    pulled: int = 0
    missed: int = 0


@dataclass
class Arrivals:
    """What arrived by topic: the evidence of each subscription, in memory alone."""

    since: datetime = field(default_factory=clock.now)
    _topics: dict[str, OfTopic] = field(default_factory=lambda: defaultdict(OfTopic))

    def of(self, topic: str) -> OfTopic:
        """Return what arrived of a topic."""
        return self._topics[topic]

    def note_pushed(self, topic: str, events: int) -> None:
        """Note a delivery, whatever becomes of it: its subscription is alive."""
        seen = self._topics[topic]
        seen.pushed += events
        seen.pushed_at, seen.missed = clock.now(), 0

    def note_missed(self, topic: str, events: int) -> None:
        """Note events that were pulled because nobody had been delivered them."""
        seen = self._topics[topic]
        seen.pulled += events
        seen.missed += events

    def is_silent(self, topic: str) -> bool:
        """Return whether a subscription delivers nothing although events are published."""
        seen = self._topics[topic]
        quiet = clock.now() - (seen.pushed_at or self.since)
        return seen.missed > 0 and quiet >= QUIET

    def degraded(self, topics: Iterable[str]) -> str:
        """Return which of these subscriptions deliver nothing, and what to do; nothing where all are alive."""
        silent = [topic for topic in topics if self.is_silent(topic)]
        return "; ".join(
            f"the subscription to {each} delivers nothing, and {self.of(each).missed} events were pulled in its "
            "place: read the sidecar's log"
            for each in silent
        )
