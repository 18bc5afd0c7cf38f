"""Runs: what is done to a whole group of dead letters, by a loop of the service, one letter after the other.

A run of replays is a canary: it begins with a dry run of a sample, and then replays in steps of 1, 2, 4, 8 … up to
64 letters, at a rate. It halts in the step of which more letters have failed than are tolerated, one in ten: a
step of up to 9 letters, or a dry run of so many, halts at the first failure, and one of 64 at the seventh.

Each letter and the run's progress are one transaction, so that a kill at any moment loses neither and doubles
neither; the run resumes by itself when the service starts. One run at a time for each group.
"""

import json
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    func,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from chassis.database import Utc, insert, wake
from chassis.dead_letters.groups import Fingerprint, find_group
from chassis.dead_letters.history import LARGEST_ID
from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http import Body, By, Line, View, Whole
from chassis.inbox.dead_letter import State, dead_letter
from chassis.runtime import clock

SIGNAL, STARTED = "dead letter runs", "dead letter runs started"
"""What wakes the loop, and what tells it that there is something to do."""
SAMPLE = 8
"""Letters of each end of a group, the oldest and the newest, of which a canary begins with a dry run."""
LARGEST_STEP = 64
TOLERATED = 10
"""Per cent of a step's letters that may fail."""
SLOWEST, FASTEST = 0.1, 1000.0
"""Letters a second."""
PAUSE = timedelta(seconds=1 / SLOWEST)
"""The longest time between two letters."""


class RunAct(StrEnum):
    """What is done to each letter of a group."""

    REPLAY = "REPLAY"
    DRY_RUN = "DRY_RUN"
    DISCARD = "DISCARD"
    RESTORE = "RESTORE"


class RunState(StrEnum):
    """Where a run is: HALTED is what stopped by itself, STOPPED what somebody stopped."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    HALTED = "HALTED"
    STOPPED = "STOPPED"


metadata = MetaData()
run = Table(
    "dead_letter_run",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("fingerprint", String(16), nullable=False),
    Column("act", String(20), nullable=False),
    Column("by", String(255), nullable=False),
    Column("because", String(1000), nullable=False),
    Column("rate", Float, nullable=False),
    Column("tolerate", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    # The letters of the dry run that comes first, as JSON.
    Column("sample", Text, nullable=False),
    # The newest letter of the group when the run began: what comes later is for another run.
    Column("last", BigInteger, nullable=False),
    # The last letter that was tried.
    Column("position", BigInteger, nullable=False, server_default="0"),
    # Letters in the step that it is in, 0 while the sample is tried; how many of these were tried, and failed.
    Column("step", Integer, nullable=False, server_default="0"),
    Column("tried", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    # Of the whole run, without the sample.
    Column("done", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("started_at", Utc, nullable=False),
    Column("due_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("ended_why", String(1000)),
    Index("dead_letter_run_of_group", "fingerprint", "id"),
    sqlite_autoincrement=True,
)
is_running = text("state = 'RUNNING'")
Index(
    "dead_letter_run_alone",
    run.c.fingerprint,
    unique=True,
    sqlite_where=is_running,
    postgresql_where=is_running,
)
_START = (
    insert(run)
    .on_conflict_do_nothing(index_elements=["fingerprint"], index_where=is_running)
    .returning(run)
)


class StartRun(Body):
    """What to do to a group of dead letters; who decides that, and why."""

    act: Annotated[RunAct, Field(strict=False, examples=["REPLAY"])]
    reason: Annotated[
        Line, Field(min_length=1, max_length=1000, examples=["The bug is mended"])
    ]
    by: By
    rate: Annotated[
        float,
        Field(
            ge=SLOWEST, le=FASTEST, strict=False, description="Letters a second at most"
        ),
    ] = 10.0
    tolerate: Annotated[
        Whole,
        Field(
            ge=0, le=100, description="Per cent of a step that may fail: more halt it"
        ),
    ] = TOLERATED


class StopRun(Body):
    """Who stops a run, and why."""

    reason: Annotated[
        Line, Field(min_length=1, max_length=700, examples=["Mails fail"])
    ]
    by: By


class Run(View):
    """What is done, or was done, to a group of dead letters, and how far it is."""

    id: int
    fingerprint: Fingerprint
    act: RunAct
    by: Annotated[str, Field(examples=["jane"])]
    because: str
    rate: float
    tolerate: int
    state: RunState
    step: Annotated[
        int, Field(description="Letters in the present step; 0 is the dry run before")
    ]
    tried: Annotated[int, Field(description="How many of these were tried")]
    failed: Annotated[int, Field(description="How many of these have failed")]
    done: Annotated[int, Field(description="Letters that it was done to")]
    failures: Annotated[int, Field(description="Letters that have failed")]
    started_at: Timestamp
    ended_at: Timestamp | None
    ended_why: str | None


class RunNotFound(Rejected):
    """There is no run with this id."""

    status = 404


class GroupBusy(Rejected):
    """Something is being done to this group already: wait for its end, or stop it."""

    status = 409


class NotRunning(Rejected):
    """This run has ended."""

    status = 409


class NothingToDo(Rejected):
    """No letter of this group is in the state that this needs."""

    status = 409


class NotAuthenticGroup(Rejected):
    """These letters are not authentic: look at each, and replay it by its id."""

    status = 409


def start_run(session: Session, fingerprint: str, command: StartRun) -> Row[Any]:
    """Start to do something to a group, and return the run.

    Raises GroupNotFound, NotAuthenticGroup, NothingToDo, GroupBusy.
    """
    of_group = find_group(fingerprint, session)
    if not of_group.authentic and command.act in {RunAct.REPLAY, RunAct.DRY_RUN}:
        raise NotAuthenticGroup
    newest = select(func.max(dead_letter.c.id)).where(*is_for(fingerprint, command.act))
    if (last := session.scalar(newest)) is None:
        raise NothingToDo
    is_canary = command.act is RunAct.REPLAY
    now = clock.now()
    row = {
        **{each: getattr(command, each) for each in ("act", "by", "rate", "tolerate")},
        "fingerprint": fingerprint,
        "because": command.reason,
        "state": RunState.RUNNING,
        "sample": json.dumps(_sample(session, fingerprint) if is_canary else []),
        "step": 0 if is_canary else 1,
        "last": last,
        "started_at": now,
        "due_at": now,
    }
    started = session.execute(_START, row).first()
    if started is None:
        raise GroupBusy
    for each in (STARTED, SIGNAL):
        wake(session, each)
    return started


def is_for(fingerprint: str, act: str) -> tuple[Any, ...]:
    """Return the conditions of a group's letters that something can be done to."""
    state = State.DISCARDED if act == RunAct.RESTORE else State.OPEN
    return dead_letter.c.fingerprint == fingerprint, dead_letter.c.state == state


def _sample(session: Session, fingerprint: str) -> list[int]:
    ids = select(dead_letter.c.id).where(*is_for(fingerprint, RunAct.REPLAY))
    ends = dead_letter.c.id.asc(), dead_letter.c.id.desc()
    found = [session.scalars(ids.order_by(end).limit(SAMPLE)).all() for end in ends]
    return sorted({each for some in found for each in some})


def find_run(run_id: int, session: Session, *, for_update: bool = False) -> Row[Any]:
    """Return a run's row; raises RunNotFound."""
    mine = select(run).where(run.c.id == run_id)
    if for_update:
        mine = mine.with_for_update()
    found = session.execute(mine).first() if 0 < run_id <= LARGEST_ID else None
    if found is None:
        raise RunNotFound(f"There is no run {run_id}.")
    return found


def list_runs(session: Session, fingerprint: str, limit: int) -> list[Run]:
    """Return the newest runs of a group, the newest first."""
    mine = select(run).where(run.c.fingerprint == fingerprint)
    rows = session.execute(mine.order_by(run.c.id.desc()).limit(limit))
    return [Run.model_validate(row) for row in rows]


def stop_run(session: Session, run_id: int, command: StopRun) -> Row[Any]:
    """Stop a run after the letter in flight, and return it; raises RunNotFound, NotRunning."""
    found = find_run(run_id, session, for_update=True)
    if found.state != RunState.RUNNING:
        raise NotRunning(f"Run {run_id} is {found.state}.")
    end(session, run_id, RunState.STOPPED, f"{command.by}: {command.reason}")
    return find_run(run_id, session)


def end(session: Session, run_id: int, state: RunState, why: str) -> None:
    """End a run."""
    ended = {"state": state, "ended_at": clock.now(), "ended_why": why}
    session.execute(update(run).where(run.c.id == run_id).values(ended))
