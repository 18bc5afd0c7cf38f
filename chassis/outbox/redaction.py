"""Redaction: what a stored event said is replaced, and the event signed again by its producer.

It keeps its id and its place in the feed: who handled it notices nothing, and who reads the feed from the
beginning finds an authentic event. What is under way to the broker, or in it, is as it was.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from chassis.event import Event
from chassis.outbox.outbox import outbox, row

_FIND = select(outbox.c.event_id, outbox.c.event)
_REPLACE = (
    update(outbox)
    .where(outbox.c.event_id == bindparam("of_event"))
    .values(event=bindparam("redacted"), size=bindparam("bytes"))
)


def find_events(session: Session, ids: list[str]) -> dict[str, Any]:
    """Return those of these events that are stored, by their ids."""
    found = session.execute(_FIND.where(outbox.c.event_id.in_(ids)))
    return {event_id: json.loads(event) for event_id, event in found}


def redact(session: Session, events: Mapping[str, Event]) -> int:
    """Replace the data of these events, by their ids, where they are stored; return how many were."""
    keys = session.info["keys"]
    rows = []
    for event_id, envelope in find_events(session, [*events]).items():
        event = events[event_id]
        envelope["data"] = event.data()
        envelope["signature"] = keys.sign(envelope)
        stored = row(event, envelope)
        rows.append(
            {
                "of_event": event_id,
                "redacted": stored["event"],
                "bytes": stored["size"],
            }
        )
    if rows:
        session.connection().execute(_REPLACE, rows)
    return len(rows)
