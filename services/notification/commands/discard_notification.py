"""Discard a notification that was not sent: an operator decided that it never is, which a release can undo."""

from uuid import UUID

from fastapi import Response
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http import OPERATE, Router, Unit, View, refuses
from services.notification import outcomes
from services.notification.commands.release_notification import (
    ReleaseNotification,
    lock,
)
from services.notification.model import Notification, NotificationNotFound, State

router = Router(tags=["Notifications"], scope=OPERATE)

DISCARDABLE = (State.HELD, State.FAILED, State.UNKNOWN)


class DiscardNotification(ReleaseNotification):
    """Who discards a notification, and why."""


class Discarded(View):
    """A notification that is not sent."""

    order_id: UUID
    state: State
    discarded_at: Timestamp
    discarded_by: str
    discard_reason: str


class NotDiscardable(Rejected):
    """Only a notification that is held, has failed, or may have been sent can be discarded."""

    status = 409


def discard_notification(
    order_id: UUID, command: ReleaseNotification, session: Session
) -> Discarded:
    """Make an order's notification DISCARDED; raises NotificationNotFound, NotDiscardable."""
    found = lock(order_id, session, DISCARDABLE, NotDiscardable)
    which = Notification.id == found.id
    outcomes.discard(session, which, command.by, command.reason)
    session.refresh(found)
    return Discarded.model_validate(found)


@router.post("/api/notification/{orderId}/discard", response_model=Discarded)
@refuses(NotificationNotFound, NotDiscardable)
async def post_discard_notification(
    orderId: UUID,  # noqa: N803 - its name on the wire
    command: DiscardNotification,
    unit: Unit,
) -> Response:
    """Discard a notification that is held, has failed, or of which nobody knows whether it was sent.

    It is not sent, and its order shows it as failed, with who and why. A release sends it after all.
    """
    return await unit.run(
        lambda session: discard_notification(orderId, command, session), alone=True
    )
