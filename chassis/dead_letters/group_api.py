"""The API of groups of dead letters: do something to all letters of one, and see what became of each."""

from typing import Annotated

from fastapi import Path, Query, Response
from sqlalchemy.orm import Session

from chassis.dead_letters.groups import (
    A_FINGERPRINT,
    Group,
    GroupNotFound,
    GroupQuery,
    find_group,
    list_groups,
)
from chassis.dead_letters.history import Action, ActionQuery, list_actions
from chassis.dead_letters.runs import (
    GroupBusy,
    NotAuthenticGroup,
    NothingToDo,
    NotRunning,
    Run,
    RunNotFound,
    StartRun,
    StopRun,
    find_run,
    list_runs,
    start_run,
    stop_run,
)
from chassis.http import OPERATE, Created, Page, Read, Router, Unit, View, refuses

Named = Annotated[str, Path(pattern=A_FINGERPRINT)]
RUNS = 20
"""Runs that are shown with their group."""

router = Router(tags=["Dead letters"], scope=OPERATE)


class GroupShown(View):
    """A group, and what was done to it lately, newest first."""

    group: Group
    runs: list[Run]


@router.get("/api/dead-letter-group")
async def get_dead_letter_groups(
    query: Annotated[GroupQuery, Query()], read: Read
) -> Page[Group]:
    """List groups of dead letters: those of one reaction that failed for the same reason.

    The group that grew last comes first.
    """
    return await read(lambda session: list_groups(query, session))


@router.get("/api/dead-letter-group/{fingerprint}")
@refuses(GroupNotFound)
async def get_dead_letter_group(fingerprint: Named, read: Read) -> GroupShown:
    """Show one group, and its last runs."""
    return await read(
        lambda session: GroupShown(
            group=Group.model_validate(find_group(fingerprint, session)),
            runs=list_runs(session, fingerprint, RUNS),
        )
    )


@router.post(
    "/api/dead-letter-group/{fingerprint}/run", status_code=201, response_model=Run
)
@refuses(GroupNotFound, GroupBusy, NotAuthenticGroup, NothingToDo)
async def post_run(fingerprint: Named, command: StartRun, unit: Unit) -> Response:
    """Replay, dry-run, discard or restore all letters of a group, one run at a time.

    A replay is a canary: a dry run of the 8 oldest and 8 newest letters first, then steps of 1, 2, 4, 8 … 64
    letters at the rate. It halts as soon as more than `tolerate` per cent of a step's letters have failed. It
    resumes by itself when the service was stopped or killed.
    """

    def work(session: Session) -> Created:
        started = Run.model_validate(start_run(session, fingerprint, command))
        return Created(started, f"../../dead-letter-run/{started.id}")

    return await unit.run(work, alone=True)


@router.get("/api/dead-letter-run/{id}")
@refuses(RunNotFound)
async def get_run(
    id: int,  # noqa: A002 - its name on the wire
    read: Read,
) -> Run:
    """Show how far a run is, and why it ended."""
    return await read(lambda session: Run.model_validate(find_run(id, session)))


@router.get("/api/dead-letter-run/{id}/letters")
@refuses(RunNotFound)
async def get_run_letters(
    id: int,  # noqa: A002 - its name on the wire
    query: Annotated[ActionQuery, Query()],
    read: Read,
) -> Page[Action]:
    """List what became of each letter of a run, newest first."""

    def work(session: Session) -> Page[Action]:
        find_run(id, session)
        return list_actions(session, query, run_id=id)

    return await read(work)


@router.post("/api/dead-letter-run/{id}/stop", response_model=Run)
@refuses(RunNotFound, NotRunning)
async def post_stop_run(
    id: int,  # noqa: A002 - its name on the wire
    command: StopRun,
    unit: Unit,
) -> Response:
    """Stop a run after the letter in flight; what is done stays done."""
    return await unit.run(
        lambda session: Run.model_validate(stop_run(session, id, command)), alone=True
    )
