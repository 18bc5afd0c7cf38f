"""What the notification service knows of an order, asked through Dapr; or which part does not answer."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from uuid import UUID

from chassis.dapr import Answer, Sidecar, SidecarUnavailable
from chassis.event import Timestamp
from chassis.http import View
from chassis.inbox.journey import Handling, Report, StoredEvent

T = TypeVar("T")
APP_ID = "notification"
PATIENCE = 4.0
"""Seconds that an answer may take: a service that hangs gives none, and daprd tries for three to reach one."""
MOMENT = 0.5
"""Seconds that a list of orders waits for what the notification service knows of them."""

Part = Literal[
    "order sidecar",
    "notification sidecar",
    "notification app",
    "notification app or its sidecar",
    "broker",
    "mail channel",
]
"""What may stand in an order's way."""


@dataclass(frozen=True)
class Silence:
    """The part that does not answer, and what was heard instead."""

    part: Part
    heard: str


NO_ANSWER = "nothing answers within four seconds"
# What daprd says where it does not reach a service (tests/conformance/test_asking.py), and what that means.
SAID = {
    "error invoking app channel": Silence(
        "notification app", "its sidecar cannot reach it"
    ),
    "no host found": Silence("notification sidecar", "nobody has heard of it lately"),
    "Error while dialing": Silence("notification sidecar", "it takes no connection"),
    "connection is closing": Silence("notification sidecar", "its connection is lost"),
    NO_ANSWER: Silence("notification app or its sidecar", NO_ANSWER),
}


class NotificationPart(View):
    """An order's notification, as far as its service has said."""

    state: str
    channel: str
    attempt: int
    reason: str | None
    due_at: Timestamp | None
    sent_at: Timestamp | None
    released_at: Timestamp | None
    released_by: str | None = None
    release_reason: str | None = None


class Reply(View):
    """What the notification service knows of an order, or why that is not known."""

    received: Handling = Handling()
    notification: NotificationPart | None = None
    sent: StoredEvent | None = None
    reports: Sequence[Report] = ()
    silence: Silence | None = None


async def ask(
    sidecar: Sidecar, secret: str, order_id: UUID, event_id: str | None
) -> Reply:
    """Return what the notification service knows of an order, within four seconds."""
    asked = _ask(
        sidecar, secret, f"/{order_id}", {"event": event_id} if event_id else {}
    )
    answer, own = await asyncio.gather(_within(asked), _within(sidecar.metadata()))
    if isinstance(own, str):
        return Reply(silence=Silence("order sidecar", own))
    if isinstance(answer, str):
        known = (silence for text, silence in SAID.items() if text in answer)
        return Reply(silence=next(known, Silence("notification app", answer)))
    return _parse(answer)


async def ask_of(
    sidecar: Sidecar, secret: str, order_ids: Sequence[UUID]
) -> dict[UUID, NotificationPart] | None:
    """Return the notifications of these orders, where they have one; None if nobody says within a MOMENT."""
    if not order_ids:
        return {}
    query = {"order": [str(each) for each in order_ids]}
    answer = await _within(_ask(sidecar, secret, "", query), MOMENT)
    if isinstance(answer, str) or answer.status != 200:
        return None
    items = answer.json()["items"]
    return {UUID(each["orderId"]): NotificationPart(**each) for each in items}


def _ask(
    sidecar: Sidecar, secret: str, path: str, query: Mapping[str, str | list[str]]
) -> Awaitable[Answer]:
    # With the pair's secret: no token of a customer goes on from here.
    headers = {"authorization": f"Bearer {secret}"}
    path = f"internal/notification{path}"
    return sidecar.ask(APP_ID, path, query=query, headers=headers)


async def _within(asking: Awaitable[T], seconds: float = PATIENCE) -> T | str:
    try:
        async with asyncio.timeout(seconds):
            return await asking
    except TimeoutError:
        return NO_ANSWER
    except SidecarUnavailable as error:
        return str(error)


def _parse(answer: Answer) -> Reply:
    heard = f"it answers {answer.status} {answer.text[:200]}"
    not_understood = Reply(silence=Silence("notification app", heard))
    try:
        reply = Reply.model_validate(answer.json())
    except ValueError:  # another version's
        return not_understood
    return reply if answer.status == 200 else not_understood
