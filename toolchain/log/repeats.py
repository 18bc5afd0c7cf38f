"""What a part says again and again: shown once, then counted; a broker that is away fills no screen."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from toolchain.log.line import Line

SHOWS_EVERY = 30.0
"""Seconds in which warnings and errors that differ in numbers alone are one line; each time twice as many."""
RARELY = 600.0
"""Seconds that there are at most between two of these lines."""
MOST = 1000
"""How many kinds of lines are remembered."""

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass
class _Seen:
    line: Line
    since: float
    more: int = 0
    every: float = SHOWS_EVERY


@dataclass
class Repeats:
    """The warnings and errors that come again and again, each with how often it did."""

    _seen: dict[tuple[str, str], _Seen] = field(default_factory=dict)

    def is_new(self, line: Line) -> bool:
        """Return whether to show a line; one that is not new is counted."""
        if line.level not in ("WARN", "ERROR") or line.is_report:
            return True
        kind = line.part, _NUMBER.sub("#", line.text)
        if seen := self._seen.get(kind):
            seen.line, seen.more = line, seen.more + 1
            return False
        if len(self._seen) < MOST:
            self._seen[kind] = _Seen(line, line.at)
        return True

    def due(self, now: float) -> Iterator[Line]:
        """Yield the last line of each kind that came again, with how often; forget those that did not."""
        for kind, seen in [*self._seen.items()]:
            if now < seen.since + seen.every:
                continue
            if seen.more:
                last = f"{datetime.fromtimestamp(seen.line.at, UTC):%H:%M:%S}"
                text = f"{seen.line.text} ({seen.more:,} more, the last at {last})"
                yield replace(seen.line, at=now, text=text)
                seen.since, seen.more = now, 0
                seen.every = min(2 * seen.every, RARELY)
            else:
                del self._seen[kind]
