"""Repair: what the inbox lacks is handled and the cursor moved, in one transaction where that succeeds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, bindparam, func, select
from sqlalchemy.orm import Session

from chassis.database import is_unavailable
from chassis.inbox import AnyReaction, Arrival, Inbox, Status
from chassis.inbox.dead_letter import one_line
from chassis.inbox.parse import NotAuthentic, Received
from chassis.inbox.reaction import IDS
from chassis.inbox.reaction import inbox as inbox_table
from chassis.reconciler import cursor as feed_cursor
from chassis.reconciler.cursor import CursorMoved

# Written out in the statement: only then is the partial index chosen.
_REPAIRED: BindParameter[Sequence[Arrival]] = bindparam(
    "repaired", [Arrival.PULLED, Arrival.LATE], expanding=True, literal_execute=True
)
_HANDLED = select(inbox_table.c.event_id).where(
    inbox_table.c.reaction == bindparam("of_reaction"), inbox_table.c.event_id.in_(IDS)
)


class CursorHeld(Exception):
    """Events failed and are retried: the cursor stays before them until they succeed or are dead letters."""


@dataclass(frozen=True)
class Repair:
    """Moves a reaction's cursor from `old` to `new`, past events that its inbox lacks."""

    inbox: Inbox
    reaction: AnyReaction
    old: str | None
    new: str

    async def apply(self, events: Mapping[str, Any]) -> list[str]:
        """Handle these events, by id, and move the cursor; return the ids of those that were new.

        In one short transaction: deliveries of the same events wait for it, and so does this service's own
        feed (chassis/feed/long_transactions.py). Where that fails, one by one, as if they were pushed. Raises
        CursorMoved, CursorHeld and NotAuthentic; the cursor is where it was then.
        """
        received = {each: Received(event) for each, event in events.items()}
        try:
            return await self.inbox.handle_together(
                self.reaction, [*received.values()], Arrival.PULLED, self._move
            )
        except CursorMoved:
            raise
        except Exception as error:
            if is_unavailable(error):
                raise
        await self._one_by_one(received)
        return [*received]

    async def _one_by_one(self, events: Mapping[str, Received]) -> None:
        failed = 0
        for event_id, each in events.items():
            try:
                status = await self.inbox.handle(self.reaction, each, Arrival.PULLED)
            except NotAuthentic as error:
                raise NotAuthentic(f"{one_line(event_id)}: {error}") from error
            if status is Status.RETRY:
                failed += 1
                # A database that has become unavailable is not tried with every event: this raises then.
                await self.inbox.database.read(self._check)
        if failed:
            raise CursorHeld(f"{failed} of {len(events)} events failed")
        await self.inbox.database.write(self._move)

    def _check(self, session: Session) -> None:
        if feed_cursor.find(session, self.reaction.name) != self.old:
            raise CursorMoved(self.reaction.name)

    def _move(self, session: Session) -> None:
        feed_cursor.move(session, self.reaction.name, self.old, self.new)


def handled(session: Session, reaction: str, ids: Collection[str]) -> set[str]:
    """Return those of these events that a reaction's inbox has."""
    values = {"of_reaction": reaction, "ids": dict.fromkeys(ids)}
    return set(session.scalars(_HANDLED, values))


def count_late(session: Session, reaction: str) -> int:
    """Return how many events of a reaction were pushed after they were pulled."""
    mine = inbox_table.c.reaction == reaction, inbox_table.c.arrival.in_(_REPAIRED)
    is_late = inbox_table.c.arrival == Arrival.LATE
    return session.scalar(select(func.count()).where(*mine, is_late)) or 0
