"""What became of the orders of one program: accepted, notified, not yet, lost, twice."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from verification.chaos.books import plain
from verification.chaos.reading import LINE

LOST_AFTER = 30.0
"""Seconds, all of them with every part up, after which an order without a notification counts as lost."""
UNCLAIMED_AFTER = 30.0
"""Seconds after which a notification is for an order that nobody was told of; a customer asks again before."""


@dataclass(frozen=True)
class Counts:
    """The figures of one program; `unprinted` are those of the notified that are SENT without a printed line."""

    accepted: int = 0
    notified: int = 0
    stuck: int = 0
    lost: int = 0
    twice: int = 0
    surplus: int = 0
    unprinted: int = 0


@dataclass
class Tally:
    """Orders by their id, as customers see them: what was answered 201, and the lines that were printed.

    `calm_since` is when the last part came up, None while one is down. `waiting` has the orders that are
    accepted and not notified, with the time of their acceptance.
    """

    lost_after: float = LOST_AFTER
    clock: Callable[[], float] = time.monotonic
    calm_since: float | None = None
    waiting: dict[str, float] = field(default_factory=dict)
    printed_at: float = 0.0
    _accepted: set[str] = field(default_factory=set)
    _lines: Counter[str] = field(default_factory=Counter)
    _lost: set[str] = field(default_factory=set)
    _unprinted: set[str] = field(default_factory=set)
    _unclaimed: dict[str, float] = field(default_factory=dict)
    _forgotten: set[str] = field(default_factory=set)

    def accepted(self, order_id: str, channel: str = "line") -> None:
        """Record an order that was answered 201; all customers here are notified by a line."""
        assert channel == "line"
        order_id = plain(order_id)
        self._accepted.add(order_id)
        self._unclaimed.pop(order_id, None)
        if order_id not in self._lines:
            self.waiting[order_id] = self.clock()

    def print_lines(self, order_ids: Iterable[str]) -> None:
        """Record lines that customers received."""
        for order_id in order_ids:
            if order_id in self._forgotten:
                continue
            self.printed_at = self.clock()
            self._lines[order_id] += 1
            self._notify(order_id)
            self._unprinted.discard(order_id)
            if order_id not in self._accepted:
                self._unclaimed.setdefault(order_id, self.clock())

    def mark_sent(self, order_ids: Iterable[str]) -> None:
        """Record orders whose notification is SENT in the database, though no line of them was printed."""
        for order_id in order_ids:
            if order_id in self.waiting:
                self._notify(order_id)
                self._unprinted.add(order_id)

    def _notify(self, order_id: str) -> None:
        self.waiting.pop(order_id, None)
        self._lost.discard(order_id)

    def judge(self) -> None:
        """Count as lost what all parts together had the time to notify, and did not."""
        if self.calm_since is None:
            return
        latest = self.clock() - self.lost_after
        if self.calm_since < latest:
            self._lost |= {each for each, at in self.waiting.items() if at < latest}

    def counts(self, *, asking: bool = True) -> Counts:
        """Return the figures; while customers are `asking`, what nobody was told of yet has some time."""
        latest = self.clock() - (UNCLAIMED_AFTER if asking else 0)
        return Counts(
            accepted=len(self._accepted),
            notified=len(self._accepted) - len(self.waiting),
            stuck=len(self.waiting) - len(self._lost),
            lost=len(self._lost),
            twice=sum(times > 1 for times in self._lines.values()),
            surplus=sum(seen <= latest for seen in self._unclaimed.values()),
            unprinted=len(self._unprinted),
        )

    def begin_anew(self) -> None:
        """Forget every order so far, and whatever is still printed of it."""
        self._forgotten |= self._accepted | self._lines.keys()
        self.waiting.clear()
        self._unclaimed.clear()
        self._lines.clear()
        for each in (self._accepted, self._lost, self._unprinted):
            each.clear()


@dataclass
class Tail:
    """Reads from a log that grows the ids of the orders whose line was printed."""

    log: Path
    _read: int = 0

    def new(self) -> list[str]:
        """Return what was printed since the last time; a line that is not at its end waits for the next."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        return [
            plain(each[1]) for each in LINE.finditer(whole.decode(errors="replace"))
        ]
