"""The notifications: those that wait for an operator first, to be released or discarded, some at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from fastapi import Response
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.http import OPERATE, Read, View
from chassis.pages import Form, PageRouter, faults, filled, page, see_other
from services.notification.commands.decide_about_many import (
    DecideAboutMany,
    decide_about_many,
    find_newest,
    kind_of,
)
from services.notification.commands.discard_notification import (
    DISCARDABLE,
    discard_notification,
)
from services.notification.commands.release_notification import (
    RELEASABLE,
    ReleaseNotification,
    release_notification,
)
from services.notification.model import (
    IS_IN_TROUBLE,
    OF_OPERATORS,
    Notification,
    State,
)
from services.notification.views.notification_overview import (
    NotificationQuery,
    list_notification_overviews,
)

router = PageRouter(Path(__file__).parents[1] / "templates", scope=OPERATE)
PER_PAGE = 50
MOST = 1000
"""Notifications of a state that are counted."""
OF_ALL = "-all"
"""What an act ends with that is about all of a reason, and not those that are selected."""
SHOWN = 5
"""Decisions about all of a reason that are shown."""
SELECTED = "order-"
"""What the names of the boxes begin with; the order's id follows."""


class Decide(ReleaseNotification):
    """What is decided about the notifications that were selected, by whom, and why."""

    act: Literal["release", "discard"]


class Decided(View):
    """What became of the notifications that somebody decided about."""

    done: int
    refused: list[str]


@dataclass(frozen=True)
class Sent:
    """A form that was sent: its fields, what is wrong with them, and what became of it."""

    fields: Mapping[str, str]
    errors: Mapping[str, str]
    decided: Decided | None = None


@router.get("/")
async def get_notifications_page(read: Read) -> Response:
    """Show the notifications of a state, newest first."""
    return await _shown(read, Sent({}, {}))


@router.post("/")
async def post_notifications_page(form: Form) -> Response:
    """Release or discard the notifications that were selected."""
    selected, given = _selected(form.fields)
    if given.get("act", "").endswith(OF_ALL):
        return await _decide_about_all(form, given)
    given.pop("like", None)
    try:
        orders = [UUID(each) for each in selected]
        command = Decide.model_validate(given)
    except ValidationError as error:
        return await _shown(form, Sent(form.fields, faults(error)))
    except ValueError as error:
        return await _shown(form, Sent(form.fields, {"order": str(error)}))
    if not orders:
        return await _shown(form, Sent(form.fields, {"order": "Select at least one."}))
    answer = await form.run(
        lambda session: decide(orders, command, session), alone=True
    )
    decided = Decided.model_validate_json(bytes(answer.body))
    return await _shown(form, Sent({}, {}, decided))


async def _decide_about_all(form: Form, given: Mapping[str, str]) -> Response:
    state = form.query_params.get("state")
    act = given["act"].removesuffix(OF_ALL)
    try:
        said = {**given, "act": act, "state": state}
        command = DecideAboutMany.model_validate(said)
    except ValidationError as error:
        return await _shown(form, Sent(form.fields, faults(error)))
    await form.run(lambda session: decide_about_many(command, session), alone=True)
    return see_other(f"?state={command.state}")


def _selected(fields: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the ids of the orders that were selected, and the other fields."""
    marks = [name for name in fields if name.startswith(SELECTED)]
    given = {name: fields[name] for name in fields if name not in marks}
    listed, every = given.pop("listed", ""), given.pop("every", "")
    return listed.split() if every else [m.removeprefix(SELECTED) for m in marks], given


def decide(orders: list[UUID], command: Decide, session: Session) -> Decided:
    """Release, or discard, the notifications of these orders; say which refuse that, and why."""
    act: Any = release_notification
    if command.act == "discard":
        act = discard_notification
    refused: list[str] = []
    for each in sorted(orders):  # two who decide about the same ones do not deadlock
        try:
            act(each, command, session)
        except Rejected as error:
            refused.append(str(error))
    return Decided(done=len(orders) - len(refused), refused=refused)


async def _shown(read: Read, sent: Sent) -> Response:
    try:
        given: dict[str, object] = {**filled(read.query_params)}
        if orders := read.query_params.getlist("order"):
            given["order"] = orders
        query, wrong = NotificationQuery.model_validate(given), {}
    except ValidationError as error:
        query, wrong = NotificationQuery(), faults(error)
    counts, found, decisions = await read(
        lambda session: (
            _count(session),
            list_notification_overviews(query, session),
            find_newest(session, SHOWN),
        )
    )
    # Of one order, its state now: whoever follows its link need not know that.
    asked = {query.state} if query.state else set()
    states = {each.state for each in found.items} if query.order else asked
    is_wrong = wrong or sent.errors
    return page(
        read,
        "notifications.html",
        422 if is_wrong else 200,
        query=query,
        wrong=wrong,
        sent=sent,
        counts=counts,
        most=MOST,
        found=found,
        kinds={kind_of(each.reason): each.reason for each in found.items},
        decisions=decisions,
        can_release=bool(states & {*RELEASABLE}),
        can_discard=bool(states & {*DISCARDABLE}),
    )


def _count(session: Session) -> dict[State, int]:
    # By the small index, and no further than that there are many.
    counts = {}
    for state in OF_OPERATORS:
        mine = select(Notification.id).where(Notification.state == state, IS_IN_TROUBLE)
        some = mine.limit(MOST).subquery()
        counts[state] = session.scalar(select(func.count()).select_from(some)) or 0
    return counts
