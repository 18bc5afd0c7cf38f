"""What is said of one reaction's repairs: each event by its id, and how far behind the reaction was."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chassis.inbox.dead_letter import in_one_line
from chassis.runtime import clock

_log = logging.getLogger(__name__)

NAMED = 20
"""Events that one line of the log names by their ids."""


@dataclass
class RepairLog:
    """Says which events of a topic were pulled, late or lost, and how many have been since the start."""

    topic: str
    _since_the_start: Counter[str] = field(default_factory=Counter)

    def pulled(self, ids: Sequence[str]) -> None:
        """Say what the broker had not brought."""
        what = "had not come through the broker, and are taken in from the feed"
        self._say("pulled", ids, what)

    def late(self, ids: Sequence[str], age: float) -> None:
        """Say what came after all, and how long the next ones are given."""
        self._say("late", ids, f"were late; {age:.0f} s are given now")

    def lost(self, ids: Sequence[str]) -> None:
        """Say what never came."""
        self._say("lost", ids, "were lost by the broker")

    def _say(self, became: str, ids: Sequence[str], what: str) -> None:
        self._since_the_start[became] += len(ids)
        total = self._since_the_start[became]
        said = f"{len(ids)} of {self.topic} {what}; {total} since the start"
        for at in range(0, len(ids), NAMED):
            # Shortened each by itself: of the line as a whole the last ids would be cut off.
            names = ", ".join(in_one_line(each) for each in ids[at : at + NAMED])
            _log.warning("%s (%s)", said, names)
            said = f"{self.topic} {became}, going on"


@dataclass
class Lag:
    """How far a reaction is behind its topic, from what it takes in; said when it begins and when it ends."""

    reaction: str
    topic: str
    clock: Callable[[], float]
    _since: float | None = None
    _taken: int = 0
    _oldest: float = 0.0

    def begin(self) -> None:
        """Note that much is missing, from now on."""
        self._since = self.clock() if self._since is None else self._since

    def note(self, events: Sequence[Mapping[str, Any]], *, is_behind: bool) -> None:
        """Note what one page brought, and whether there is more."""
        if is_behind:
            self.begin()
        if self._since is not None and events:
            self._count(events)
        if not is_behind:
            self.end()

    def _count(self, events: Sequence[Mapping[str, Any]]) -> None:
        is_first = not self._taken
        self._taken += len(events)
        self._oldest = max(self._oldest, _age_of_the_oldest(events))
        if is_first:
            _log.warning(
                "%s is behind by %.0f s: the first %d of %s that it lacks are taken in",
                self.reaction,
                self._oldest,
                self._taken,
                self.topic,
            )

    def end(self) -> None:
        """Note that nothing is missing any more."""
        if self._since is not None and self._taken:
            _log.warning(
                "%s is up again: in %.0f s it took in %d of %s; it was behind by %.0f s",
                self.reaction,
                self.clock() - self._since,
                self._taken,
                self.topic,
                self._oldest,
            )
        self._since, self._taken, self._oldest = None, 0, 0.0


def _age_of_the_oldest(events: Iterable[Mapping[str, Any]]) -> float:
    now = clock.now()
    times = filter(None, (_time(each) for each in events))
    return max(((now - each).total_seconds() for each in times), default=0.0)


def _time(event: Mapping[str, Any]) -> datetime | None:
    # What became a dead letter is among them, so it may be anything.
    try:
        time = datetime.fromisoformat(event["time"])
    except (KeyError, TypeError, ValueError):
        return None
    return time if time.tzinfo else None
