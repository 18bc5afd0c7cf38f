"""Edit a dead letter: somebody decides what its event's data should have been.

What came stays as it came, with its signature; the edit is kept beside it, in this service alone, and nobody signs
it. So only the data can be changed, of a letter that is authentic, to what the contract of its event accepts.
"""

import json
from typing import Annotated, Any

from pydantic import Field, ValidationError
from sqlalchemy import Row
from sqlalchemy.orm import Session

from chassis.dead_letters.history import Act, record
from chassis.dead_letters.replay import Reactions, change, open_letter, reaction_to
from chassis.errors import Rejected
from chassis.event import Event
from chassis.http import Body, By, Line
from chassis.inbox import Inbox
from chassis.inbox.dead_letter import one_line
from chassis.inbox.parse import (
    NotAuthentic,
    Received,
    Unprocessable,
    authenticate,
    check_kind,
    event_of,
)

Json = dict[str, Any]


class Edit(Body):
    """The data that a dead letter's event should have had; null takes an earlier edit back."""

    data: Annotated[
        dict[str, Any] | None, Field(examples=[{"customerName": "Jane Doe"}])
    ]
    reason: Annotated[
        Line, Field(min_length=1, max_length=1000, examples=["The name was empty"])
    ]
    by: By


class NotEditable(Rejected):
    """This dead letter cannot be edited."""

    status = 409


class InvalidEdit(Rejected):
    """The edited data is not what the event's contract accepts; nothing was changed."""

    status = 422


def edit(
    session: Session, letter_id: int, command: Edit, inbox: Inbox, reactions: Reactions
) -> None:
    """Store the data that a letter is replayed with from now on, and who decided that.

    Raises DeadLetterNotFound, AlreadySettled, NotReplayable, NotEditable, InvalidEdit.
    """
    letter = open_letter(session, letter_id)
    event = reaction_to(letter, reactions).event
    came = data_as_it_came(letter, inbox, event)
    edited = command.data if command.data != came else None
    if edited is not None:
        check(event, edited, came)
    before = letter.edited or json.dumps(came)
    after = json.dumps(came if edited is None else edited)
    change(session, letter_id, edited=None if edited is None else after)
    why = {"because": command.reason, "before": before, "after": after}
    record(session, letter_id, Act.EDITED, command.by, **why)


def data_as_it_came(letter: Row[Any], inbox: Inbox, event: type[Event]) -> Json:
    """Return the data of the event that a letter is; raises NotEditable."""
    try:
        envelope = authenticate(Received.of_bytes(letter.body), inbox.keys)
        check_kind(event, envelope)
    except NotAuthentic as error:
        text = f"Nobody knows who wrote it: {error}."
        raise NotEditable(text) from error
    except Unprocessable as error:
        raise NotEditable(f"It is another event: {error}.") from error
    return envelope.data


def check(event: type[Event], data: Json, came: Json) -> None:
    """Check data against an event's contract; a name that neither it nor what came has is a slip.

    Raises InvalidEdit, which names each field.
    """
    faults = [*_slips(event, data, came), *_faults(event, data)]
    if faults:
        fields = [{"field": field, "detail": detail} for field, detail in faults]
        text = "; ".join(f"{field}: {detail}" for field, detail in faults)
        raise InvalidEdit(text, errors=fields)


def _slips(event: type[Event], data: Json, came: Json) -> list[tuple[str, str]]:
    known = set(event.model_json_schema()["properties"])
    names = ", ".join(sorted(known))
    return [
        (f"data.{one_line(each)}", f"The contract has no such field; it has {names}")
        for each in data
        if each not in known and each not in came
    ]


def _faults(event: type[Event], data: Json) -> list[tuple[str, str]]:
    try:
        event_of(event, data)
    except ValidationError as error:
        return [
            (
                ".".join(map(str, ("data", *fault["loc"]))),
                fault["msg"].removeprefix("Value error, "),
            )
            for fault in error.errors()
        ]
    return []
