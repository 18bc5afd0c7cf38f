"""Where an order is: accepted, published, received, sent, shown; and if it is stuck, why, and what to do."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy.orm import Session

from chassis.event import Timestamp
from chassis.http import Read, Router, View, refuses
from chassis.inbox.dead_letter import one_line
from chassis.inbox.journey import (
    Handling,
    StoredEvent,
    find_event,
    find_handling,
    find_oldest_open,
)
from chassis.runtime import clock
from contracts.order_created import OrderCreated
from services.order.model import NotificationState
from services.order.notification_service import NotificationPart, Part, ask
from services.order.views.order_overview import (
    OrderNotFound,
    find_order_overview,
)
from services.order.views.why import Known, explain

router = Router(tags=["Orders"], scope="orders:read")

STAGES = ("accepted", "published", "received", "sent", "shown")
"""The stages of an order's way."""
REACTIONS = {
    "NotificationSent": "show_notification_on_notification_sent",
    "NotificationFailed": "show_notification_on_notification_failed",
    "NotificationReleased": "show_notification_on_notification_released",
}
"""Whose inbox says when the order showed what an event said; a reaction's name is data."""


class Stage(View):
    """A stage of an order's way; one that is reached has no time where nobody knows it."""

    name: Annotated[str, Field(examples=["published"])]
    reached: bool
    at: Timestamp | None


class OrderJourney(View):
    """An order's way to its customer and back, with what the notification service knows of it."""

    order_id: UUID
    stages: Annotated[
        list[Stage], Field(description="accepted, published, received, sent, shown")
    ]
    done: bool
    why: Annotated[str, Field(description="Where it is, and why, in one sentence")]
    next: Annotated[str, Field(description="What to do, or nothing")]
    blocked_by: Annotated[Part | None, Field(description="The part in its way")]
    event: StoredEvent | None
    received: Handling
    notification: NotificationPart | None


def find_order_journey(
    order_id: UUID, session: Session, owner: str | None = None
) -> Known:
    """Return what this service itself knows of an order, of its owner's if there is one; raises OrderNotFound."""
    order = find_order_overview(order_id, session, owner)
    topic = OrderCreated.topic()
    return Known(
        order=order,
        event=find_event(session, topic, order_id, order.created_at),
        oldest_open=find_oldest_open(session),
        now=clock.now(),
    )


def describe(known: Known) -> OrderJourney:
    """Return the journey that follows from what is known."""
    found = explain(known)
    return OrderJourney(
        order_id=known.order.order_id,
        stages=[*_stages(known)],
        done=known.order.notification.state is NotificationState.SENT,
        why=one_line(found.why),  # it quotes brokers and mail servers
        next=found.next,
        blocked_by=found.part,
        event=known.event,
        received=known.reply.received,
        notification=known.reply.notification,
    )


def _stages(known: Known) -> Iterator[Stage]:
    order, event, shown = known.order, known.event, known.order.notification
    is_shown = shown.state is NotificationState.SENT
    notified = known.reply.notification
    sent_at = notified.sent_at if notified else shown.at if is_shown else None
    received_at = known.reply.received.handled_at
    is_received = bool(notified or shown.state is not NotificationState.WAITING)
    published_at = event.published_at if event else None
    yield Stage(name="accepted", reached=True, at=order.created_at)
    yield Stage(name="published", reached=published_at is not None, at=published_at)
    yield Stage(name="received", reached=is_received, at=received_at)
    yield Stage(name="sent", reached=sent_at is not None, at=sent_at)
    shown_at = known.showing.handled_at if is_shown else None
    yield Stage(name="shown", reached=is_shown, at=shown_at)


@router.get("/api/order/{orderId}/journey")
@refuses(OrderNotFound)
async def get_order_journey(orderId: UUID, read: Read) -> OrderJourney:  # noqa: N803 - its name on the wire
    """Show where an order is, and if it is stuck, why and what to do.

    It asks the notification service, for four seconds at most: where that does not answer, what is known here is
    shown, with the part that is down.
    """
    return describe(await follow(read, orderId))


async def follow(read: Read, order_id: UUID) -> Known:
    """Return what is known of an order, here and at the notification service; raises OrderNotFound."""
    known = await read(
        lambda session: find_order_journey(order_id, session, read.owner)
    )
    event_id = known.event.event_id if known.event else None
    parts = read.parts
    reply = await ask(parts.sidecar, parts.secret, order_id, event_id)
    known = replace(known, reply=reply)
    if reply.sent is None and not reply.reports:
        return known
    return await read(lambda session: _with_handlings(known, session))


def _with_handlings(known: Known, session: Session) -> Known:
    def handling(topic: str, event: StoredEvent) -> Handling:
        return find_handling(session, REACTIONS.get(topic, ""), event.event_id)

    sent, reports = known.reply.sent, known.reply.reports
    return replace(
        known,
        showing=handling("NotificationSent", sent) if sent else Handling(),
        reports=[(each, handling(each.topic, each.event)) for each in reports],
    )
