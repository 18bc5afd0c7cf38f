"""A cursor: how far a consumer has read a feed."""

import re
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from chassis.errors import Rejected

_WRITTEN = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([0-9]{1,19})\.([0-9]{1,19})\.([^.]{1,200})"
)
_LARGEST = 2**63 - 1

Offset = tuple[int, int]
"""A transaction's number and a position: what orders a feed."""
BEGINNING: Offset = (-1, -1)


class MalformedCursor(Rejected):
    """This is no cursor of a feed."""

    status = 422


@dataclass(frozen=True)
class Cursor:
    """An offset in a feed, with the feed's id and the id of the event there: a restored backup is noticed."""

    feed: UUID
    transaction: int
    position: int
    event_id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that `str` wrote; raises MalformedCursor."""
        found = _WRITTEN.fullmatch(text)
        if not found or max(int(found[2]), int(found[3])) > _LARGEST:
            raise MalformedCursor(f"{text!r} is no cursor of a feed.")
        return cls(UUID(found[1]), int(found[2]), int(found[3]), found[4])

    @property
    def offset(self) -> Offset:
        """What orders the cursors of one feed."""
        return self.transaction, self.position

    def __str__(self) -> str:
        """Return the cursor as it travels."""
        return f"{self.feed}.{self.transaction}.{self.position}.{self.event_id}"
