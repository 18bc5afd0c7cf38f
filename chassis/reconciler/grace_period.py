"""How long an event that is pushed is given to arrive by itself, before it is pulled."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

SETTLE = 3.0
"""Seconds that an event which is pushed has, to arrive by itself."""
LONGEST = 30.0
"""Seconds that it has at most, however late others were."""
LOST = 60.0
"""Seconds after which what was pulled is not waited for any more: the broker has lost it."""
WATCHED = 1000
"""Events that are looked for at once."""


@dataclass
class Settling:
    """The place up to which everything that was pushed should have come, by this process's own clock.

    The age that an event is given grows to what one that was late would have needed, up to LONGEST, and
    halves, down to what it was, for each LOST seconds in which none was. What was pulled without waiting is
    judged like the others, and tells nothing of how long to wait. Seconds are of `clock`.
    """

    clock: Callable[[], float]
    least: float = SETTLE
    age: float = field(init=False)
    _ends: deque[tuple[float, str]] = field(default_factory=deque)
    _reached: str | None = None
    # When each was pulled, oldest first: of those that were waited for, and of those that were not.
    _waited_for: dict[str, float] = field(default_factory=dict)
    _unwaited: dict[str, float] = field(default_factory=dict)
    _calm_since: float = float("-inf")

    def __post_init__(self) -> None:
        """Begin with the shortest age."""
        self.age = self.least

    def note_end(self, end: str) -> None:
        """Note the newest place of the feed, as it was reported now."""
        if self.least:
            self._ends.append((self.clock(), end))

    def reached(self) -> str | None:
        """Give the newest end that was reported so long ago that what is before it should be here."""
        while self._ends and self.clock() - self._ends[0][0] >= self.age:
            self._reached = self._ends.popleft()[1]
        return self._reached

    def forget(self) -> None:
        """Forget every place: the feed is another."""
        self._ends.clear()
        self._reached = None

    def note_pulled(self, ids: Iterable[str], *, waited: bool) -> None:
        """Note what was pulled now: each is late where it comes after all, and lost where it does not."""
        pulled = self._waited_for if waited else self._unwaited
        pulled.update(dict.fromkeys(ids, self.clock()))

    def awaited(self) -> Sequence[str]:
        """Give the ids to look for now: the oldest that tell how long to wait, and all that may be lost."""
        ids = dict.fromkeys(islice(self._waited_for, WATCHED))
        for pulled in (self._waited_for, self._unwaited):
            ids |= dict.fromkeys(self._due(pulled))
        return list(ids)

    def note_late(self, ids: Iterable[str]) -> None:
        """Note what came after all, and give the next ones as long as it would have needed."""
        for each in ids:
            if self._unwaited.pop(each, None) is None:
                needed = self.age + self.clock() - self._waited_for.pop(each)
                self.age = min(max(self.age, needed), max(LONGEST, self.least))
                self._calm_since = self.clock()

    def give_up(self, looked_for: Iterable[str]) -> Sequence[str]:
        """Give the ids of what is lost, of these that were looked for; less patient after a calm time."""
        looked, now = set(looked_for), self.clock()
        lost = []
        for pulled in (self._waited_for, self._unwaited):
            mine = [each for each in self._due(pulled) if each in looked]
            for each in mine:
                del pulled[each]
            lost += mine
        if now - self._calm_since >= LOST:
            self.age, self._calm_since = max(self.least, self.age / 2), now
        return lost

    def _due(self, pulled: Mapping[str, float]) -> Sequence[str]:
        now = self.clock()
        return list(takewhile(lambda each: now - pulled[each] >= LOST, pulled))
