"""How far a reaction's pull is behind the feed that it reads, as this process has heard of it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from chassis.feed.cursor import Cursor
from chassis.runtime import clock as surroundings

MOST_MARKS = 1000
"""High-water marks that are remembered; past so many, every second one is forgotten."""


@dataclass
class Progress:
    """The high-water marks that the feed reported, each with the second in which it was first heard of.

    `answered_at` is when the feed last answered.
    """

    clock: Callable[[], float]
    answered_at: datetime | None = None
    _newest: int = -1
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, mark: str | None) -> None:
        """Note that the feed answered, with this mark."""
        self.answered_at = surroundings.now()
        position = Cursor.parse(mark).position if mark else -1
        if position < self._newest:
            self._marks.clear()  # another feed
        if position != self._newest:
            self._newest = position
            self._marks.append((self.clock(), position))
        if len(self._marks) > MOST_MARKS:
            self._marks = deque([*self._marks][::2])

    def behind(self, cursor: str | None) -> tuple[int, float]:
        """Return how many events, of any topic, a cursor is behind at most, and for how many seconds it is so.

        What is behind since before this process started counts from its start.
        """
        reached = Cursor.parse(cursor).position if cursor and "." in cursor else -1
        while self._marks and self._marks[0][1] <= reached:
            self._marks.popleft()
        if not self._marks:
            return 0, 0.0
        return self._newest - max(reached, 0), self.clock() - self._marks[0][0]
