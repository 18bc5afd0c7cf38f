"""The grace period: how long a pushed event has to arrive before it is pulled."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

SHORTEST, LONGEST = 3.0, 30.0
"""Seconds that a pushed event has to arrive: normally, and at most."""
CALM = 60.0
"""Seconds without a late push after which the period is the shortest again."""


@dataclass
class GracePeriod:
    """It doubles while pushes of already pulled events still arrive; seconds are of `clock`.

    What is only pulled has none.
    """

    clock: Callable[[], float]
    shortest: float = SHORTEST
    _marks: deque[tuple[float, str]] = field(default_factory=deque)
    _due: str | None = None
    _late_rows: int | None = None
    _doubled: float = 0.0
    _pulled_at: float = float("-inf")
    _late_at: float = float("-inf")

    @property
    def seconds(self) -> float:
        """The period now."""
        is_calm = self.clock() - self._late_at >= CALM
        return self.shortest if is_calm else self._doubled

    def note_mark(self, mark: str) -> None:
        """Note the feed's high-water mark, as it is reported now."""
        self._marks.append((self.clock(), mark))

    def due(self) -> str | None:
        """Return the newest mark up to which every event has had its time to arrive."""
        while self._marks and self.clock() - self._marks[0][0] >= self.seconds:
            self._due = self._marks.popleft()[1]
        return self._due

    def forget_marks(self) -> None:
        """Forget every mark: the feed is another."""
        self._marks.clear()
        self._due = None

    def note_pulled(self) -> None:
        """Note that events were pulled that should have been pushed."""
        self._pulled_at = self.clock()

    def watches(self) -> bool:
        """Return whether late pushes may arrive, and are to be counted."""
        since = self.clock() - max(self._pulled_at, self._late_at)
        return self._late_rows is None or since < CALM

    def note_late(self, rows: int) -> int:
        """Adapt to the number of events that were pushed after they were pulled; return how many are new."""
        new = rows - (rows if self._late_rows is None else self._late_rows)
        self._late_rows = rows
        if new > 0:
            self._doubled = min(self.seconds * 2, LONGEST)
            self._late_at = self.clock()
        return max(new, 0)
