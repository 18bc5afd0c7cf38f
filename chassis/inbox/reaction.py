"""What a service does on an event, and the inbox: which reaction has handled which event."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    JSON,
    Column,
    Index,
    MetaData,
    String,
    Table,
    bindparam,
    func,
    select,
)
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.database import Utc
from chassis.event import Event

E = TypeVar("E", bound=Event)
Act = Callable[[E, CloudEvent, Session], None]


class Start(StrEnum):
    """Where a reaction starts that has never run: with what is published now, or with the oldest event."""

    NOW = "NOW"
    BEGINNING = "BEGINNING"


@dataclass(frozen=True)
class Reaction(Generic[E]):
    """What a service does on an event: `act`, a synchronous function of (event, envelope, session).

    The inbox knows it by its function's name, which is therefore data: renamed, it would handle every event
    again (`known_as` keeps an old name). `start` matters once, when it runs for the first time: a reaction that
    sends mail does not want last week's events. `repeatable` means that handling an event again changes nothing.
    """

    event: type[E]
    act: Act[E]
    start: Start = Start.BEGINNING
    known_as: str = ""
    repeatable: bool = False

    @property
    def name(self) -> str:
        """The name under which the inbox remembers what this reaction has handled."""
        return self.known_as or self.act.__name__


AnyReaction = Reaction[Any]
"""A reaction to whatever event."""


class Arrival(StrEnum):
    """How an event arrived: what was PULLED and has not turned LATE since, the broker has lost."""

    PUSHED = "PUSHED"
    PULLED = "PULLED"
    LATE = "LATE"


metadata = MetaData()
inbox = Table(
    "inbox",
    metadata,
    Column("reaction", String(200), primary_key=True),
    Column("event_id", String(200), primary_key=True),
    Column("handled_at", Utc, nullable=False),
    Column("arrival", String(20), nullable=False, server_default=Arrival.PUSHED),
)
Index("inbox_handled_at", inbox.c.handled_at)
_repaired = inbox.c.arrival.in_([Arrival.PULLED, Arrival.LATE])
# Few events are: what the pull brought is counted from here.
Index(
    "inbox_repaired",
    inbox.c.reaction,
    inbox.c.arrival,
    sqlite_where=_repaired,
    postgresql_where=_repaired,
)

# As one value, and not one parameter each: the statement is built once, and both databases have this function.
_given = func.json_each(bindparam("ids", type_=JSON)).table_valued("key")
IDS = select(_given.c.key)
"""The ids that a statement is given, as the members of a JSON object."""
