"""The pages `/dead-letters`: groups, one group, one letter, one run; each form is carried out as by the API."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Response
from fastapi import Path as InPath
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.dead_letters import api
from chassis.dead_letters.api import (
    DeadLetterQuery,
    Discard,
    Letters,
    ReplayedBy,
    find_ids,
    shown,
)
from chassis.dead_letters.edit import Edit, InvalidEdit
from chassis.dead_letters.group_api import RUNS, Named
from chassis.dead_letters.groups import Group, GroupQuery, find_group, list_groups
from chassis.dead_letters.history import LARGEST_ID, ActionQuery, list_actions
from chassis.dead_letters.replay import (
    NotReplayable,
    StillFails,
    discard,
    find,
    restore,
)
from chassis.dead_letters.runs import (
    LARGEST_STEP,
    SAMPLE,
    TOLERATED,
    Run,
    StartRun,
    StopRun,
    find_run,
    list_runs,
    start_run,
    stop_run,
)
from chassis.http import OPERATE, Read, Router
from chassis.inbox.dead_letter import State, dead_letter
from chassis.pages import (
    Form,
    PageRouter,
    faults,
    filled,
    fragment,
    page,
    see_other,
    watch,
)

router = PageRouter(Path(__file__).parent / "templates", scope=OPERATE)
Id = Annotated[int, InPath(ge=1, le=LARGEST_ID)]
Cursor = Annotated[int | None, Query(ge=0, le=LARGEST_ID)]
PER_PAGE = 50
RULE = {"sample": SAMPLE, "largest": LARGEST_STEP, "tolerated": TOLERATED}
_row = dead_letter.c
_LISTED = (
    _row.id,
    _row.state,
    _row.attempts,
    _row.received_at,
    _row.reason,
    _row.edited,
)


def routers(app: FastAPI, letters: Letters) -> tuple[Router, Router]:
    """Return the API and the pages of an app that has these dead letters."""
    app.state.dead_letters = letters
    return api.router(letters), router


@router.get("/dead-letters")
async def get_groups_page(read: Read) -> Response:
    """Show the groups of dead letters."""
    given = filled(read.query_params)
    try:
        query, errors = GroupQuery.model_validate_strings(given), {}
    except ValidationError as error:
        query, errors = GroupQuery(), faults(error)
    found = await read(lambda session: list_groups(query, session))
    names = sorted(_letters(read).reactions)
    status = 422 if errors else 200
    context = {"query": query, "found": found, "names": names, "errors": errors}
    return page(read, "dead-letters.html", status, **context)


@router.get("/dead-letters/groups/{fingerprint}")
async def get_group_page(
    fingerprint: Named,
    read: Read,
    state: State = State.OPEN,
    cursor: Cursor = None,
) -> Response:
    """Show one group: what can be done to it, what was done, its letters."""
    query = DeadLetterQuery(
        state=state, group=fingerprint, cursor=cursor, limit=PER_PAGE
    )
    return await _group(read, query, {}, {})


@router.post("/dead-letters/groups/{fingerprint}")
async def post_group_page(fingerprint: Named, form: Form) -> Response:
    """Start to do something to a group."""
    command, errors = form.parse(StartRun)
    if command is None:
        query = DeadLetterQuery(state=State.OPEN, group=fingerprint, limit=PER_PAGE)
        return await _group(form, query, form.fields, errors)
    answer = await form.run(
        lambda session: Run.model_validate(start_run(session, fingerprint, command)),
        alone=True,
    )
    return see_other(f"../runs/{json.loads(bytes(answer.body))['id']}")


async def _group(
    read: Read,
    query: DeadLetterQuery,
    fields: Mapping[str, str],
    errors: Mapping[str, str],
) -> Response:
    def work(session: Session) -> dict[str, Any]:
        fingerprint = query.group or ""
        group = Group.model_validate(find_group(fingerprint, session))
        runs = list_runs(session, fingerprint, RUNS)
        return {"group": group, "runs": runs, **_listed(query, session)}

    known = await read(work)
    context = {"query": query, "fields": fields, "errors": errors, "rule": RULE}
    status = 422 if errors else 200
    return page(read, "dead-letter-group.html", status, **known, **context)


def _listed(query: DeadLetterQuery, session: Session) -> dict[str, Any]:
    # Without the bodies: a page of them may be megabytes.
    ids = find_ids(query, session)
    listed = (
        select(*_LISTED).where(_row.id.in_(ids[:PER_PAGE])).order_by(_row.id.desc())
    )
    rows = session.execute(listed).all()
    return {"rows": rows, "next": rows[-1].id if len(ids) > PER_PAGE else None}


@router.get("/dead-letters/runs/{id}")
async def get_run_page(
    id: Id,  # noqa: A002 - its name in the address
    read: Read,
    cursor: Cursor = None,
) -> Response:
    """Show how far a run is, and what became of each letter."""
    return await _run(read, (id, cursor), {}, {})


# As deep as the page: its links lead from there (chassis/pages/page.py).
@router.get("/dead-letters/runs-live/{id}", response_class=EventSourceResponse)
async def get_live_run(
    id: Id,  # noqa: A002 - its name in the address
    read: Read,
) -> AsyncIterator[ServerSentEvent]:
    """Stream how far a run is."""
    async for each in watch(read, _progress, (id, None)):
        yield each


@router.post("/dead-letters/runs/{id}")
async def post_run_page(
    id: Id,  # noqa: A002 - its name in the address
    form: Form,
) -> Response:
    """Stop a run."""
    command, errors = form.parse(StopRun)
    if command is None:
        return await _run(form, (id, None), form.fields, errors)
    await form.run(
        lambda session: Run.model_validate(stop_run(session, id, command)), alone=True
    )
    return see_other(str(id))


async def _run(
    read: Read,
    which: tuple[int, int | None],
    fields: Mapping[str, str],
    errors: Mapping[str, str],
) -> Response:
    run = await read(lambda session: Run.model_validate(find_run(which[0], session)))
    context = {"run": run, "fields": fields, "errors": errors, "cursor": which[1]}
    progress = await _progress(read, which)
    status = 422 if errors else 200
    return page(read, "dead-letter-run.html", status, progress=progress, **context)


async def _progress(read: Read, which: tuple[int, int | None]) -> str:
    run_id, cursor = which
    query = ActionQuery(limit=PER_PAGE, cursor=cursor)

    def work(session: Session) -> dict[str, Any]:
        run = Run.model_validate(find_run(run_id, session))
        left = Group.model_validate(find_group(run.fingerprint, session))
        became = list_actions(session, query, run_id=run_id)
        return {"run": run, "group": left, "became": became, "cursor": cursor}

    known = await read(work)
    return fragment(read, "dead-letter-progress.html", rule=RULE, **known)


@router.get("/dead-letters/{id}")
async def get_letter_page(
    id: Id,  # noqa: A002 - its name in the address
    read: Read,
) -> Response:
    """Show one dead letter: what came, why it is here, what was done, what can be done."""
    return await _letter(read, id)


@router.post("/dead-letters/{id}/dry-run")
async def post_dry_run_page(
    id: Id,  # noqa: A002 - its name in the address
    form: Form,
) -> Response:
    """Run a letter dry, and show what would become of it."""
    try:
        done = await _letters(form).replay(form, id, "", dry_run=True)
    except (StillFails, NotReplayable) as error:
        return await _letter(form, id, would=f"It would fail: {error}", bad=True)
    outcome = getattr(done, "outcome", "")
    return await _letter(form, id, would=f"It would be {outcome}.", bad=False)


@router.post("/dead-letters/{id}/replay")
async def post_replay_page(
    id: Id,  # noqa: A002 - its name in the address
    form: Form,
) -> Response:
    """Replay a letter."""
    command, errors = form.parse(ReplayedBy)
    if command is None:
        return await _letter(form, id, errors=errors, of="replay", fields=form.fields)
    try:
        await _letters(form).replay(form, id, command.by, dry_run=False)
    except StillFails as error:
        return await _letter(
            form, id, would=f"It still fails: {error}", bad=True, of="replay"
        )
    return see_other(f"../{id}")


@router.post("/dead-letters/{id}/edit")
async def post_edit_page(
    id: Id,  # noqa: A002 - its name in the address
    form: Form,
) -> Response:
    """Edit what a letter is replayed with."""
    command, errors = _edit(form.fields)
    if command is None:
        return await _letter(form, id, errors=errors, of="edit", fields=form.fields)
    try:
        await _letters(form).edit(form, id, command)
    except InvalidEdit as error:
        found: Any = error.members["errors"]
        wrong = {each["field"]: each["detail"] for each in found}
        return await _letter(form, id, errors=wrong, of="edit", fields=form.fields)
    return see_other(f"../{id}")


def _edit(fields: Mapping[str, str]) -> tuple[Edit | None, dict[str, str]]:
    try:
        data = json.loads(fields.get("data", "null"))
    except (ValueError, RecursionError) as error:
        return None, {"data": f"is no JSON: {error}"}
    try:
        return Edit.model_validate({**fields, "data": data}), {}
    except ValidationError as error:
        return None, faults(error)


@router.post("/dead-letters/{id}/discard")
async def post_discard_page(
    id: Id,  # noqa: A002 - its name in the address
    form: Form,
) -> Response:
    """Discard a letter."""
    return await _settle(form, id, "discard")


@router.post("/dead-letters/{id}/restore")
async def post_restore_page(
    id: Id,  # noqa: A002 - its name in the address
    form: Form,
) -> Response:
    """Open a letter again that was discarded."""
    return await _settle(form, id, "restore")


async def _settle(form: Form, letter_id: int, of: str) -> Response:
    command, errors = form.parse(Discard)
    if command is None:
        return await _letter(form, letter_id, errors=errors, of=of, fields=form.fields)
    who, why = command.by, command.reason
    act = discard if of == "discard" else restore
    await form.run(
        lambda session: shown(act(session, letter_id, by=who, because=why)), alone=True
    )
    return see_other(f"../{letter_id}")


async def _letter(read: Read, letter_id: int, **more: Any) -> Response:  # noqa: ANN401 - what the page shows
    def work(session: Session) -> dict[str, Any]:
        letter = shown(find(session, letter_id))
        history = list_actions(session, ActionQuery(limit=200), letter_id=letter_id)
        return {"letter": letter, "history": history.items}

    known = await read(work)
    letter = known["letter"]
    headers, data = _parts(letter.body)
    edited = json.loads(letter.edited) if letter.edited else None
    reaction = _letters(read).reactions.get(letter.reaction)
    nothing = {"would": "", "bad": False, "errors": {}, "of": "", "fields": {}}
    context = {**nothing, **more}
    return page(
        read,
        "dead-letter.html",
        422 if context["errors"] or context["of"] else 200,
        headers=headers,
        body=printable(letter.body),
        data=pretty(data),
        edited=pretty(edited) if edited is not None else None,
        schema=reaction and pretty(reaction.event.model_json_schema()),
        can_edit=bool(headers) and letter.authentic and reaction is not None,
        **known,
        **context,
    )


def _parts(body: str) -> tuple[dict[str, str], Any]:
    """Return the attributes of a CloudEvent and its data; of anything else, no attributes and what there is."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return {}, None
    if not isinstance(event, dict) or "data" not in event:
        return {}, event
    data = event.pop("data")
    return {printable(str(key)): printable(str(event[key])) for key in event}, data


def pretty(value: object) -> str:
    """Return a JSON value as people read it."""
    return printable(json.dumps(value, indent=2, ensure_ascii=False))


def printable(text: str) -> str:
    """Return a text whose control characters, other than line breaks, are written out."""
    shown_as = (
        c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text
    )
    return "".join(shown_as)


def _letters(read: Read) -> Letters:
    letters: Letters = read.app.state.dead_letters
    return letters
