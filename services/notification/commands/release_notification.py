"""Release a notification that is HELD, FAILED or DISCARDED: an operator decided that it is sent after all."""

from collections.abc import Collection
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http import OPERATE, Body, By, Line, Router, Unit, View, refuses
from services.notification import outcomes
from services.notification.model import Notification, NotificationNotFound, State

router = Router(tags=["Notifications"], scope=OPERATE)

RELEASABLE = (State.HELD, State.FAILED, State.DISCARDED)


class ReleaseNotification(Body):
    """Who releases a notification, and why."""

    by: By
    reason: Annotated[
        Line,
        Field(
            min_length=1,
            max_length=500,
            examples=["The customer says that no mail came."],
        ),
    ]


class Released(View):
    """A notification that waits to be sent again; on the console it is sent."""

    order_id: UUID
    state: State
    released_at: Timestamp
    released_by: str
    release_reason: str


class NotReleasable(Rejected):
    """Only a notification that is held, has failed or was discarded can be released."""

    status = 409


def release_notification(
    order_id: UUID, command: ReleaseNotification, session: Session
) -> Released:
    """Make an order's notification READY again, or send it; raises NotificationNotFound, NotReleasable.

    A mail is sent as if it had never been tried; to a mail API, with the key that it always had.
    """
    found = lock(order_id, session, RELEASABLE, NotReleasable)
    which = Notification.id == found.id
    outcomes.release(session, which, command.by, command.reason)
    session.refresh(found)
    return Released.model_validate(found)


def lock(
    order_id: UUID,
    session: Session,
    states: Collection[State],
    refusal: type[Rejected],
) -> Notification:
    """Return the notification of an order; of two who decide about it at once, the second finds it decided.

    Raises NotificationNotFound, and the refusal where it is in none of these states.
    """
    mine = select(Notification).where(Notification.order_id == order_id)
    found = session.scalar(mine.with_for_update())
    if found is None:
        raise NotificationNotFound(
            f"There is no notification for order {order_id} yet.", orderId=str(order_id)
        )
    if found.erased_at:
        raise refusal(
            f"The customer of order {order_id} was erased.", orderId=str(order_id)
        )
    if found.state not in states:
        raise refusal(
            f"The notification for order {order_id} is {found.state}.",
            orderId=str(order_id),
            state=found.state,
        )
    return found


@router.post("/api/notification/{orderId}/release", response_model=Released)
@refuses(NotificationNotFound, NotReleasable)
async def post_release(
    orderId: UUID,  # noqa: N803 - its name on the wire
    command: ReleaseNotification,
    unit: Unit,
) -> Response:
    """Release a notification that is held, has failed or was discarded.

    It is sent after all. If it had arrived without anybody knowing, its customer may get it twice, except
    from a mail API that still knows its key.
    """
    return await unit.run(
        lambda session: release_notification(orderId, command, session), alone=True
    )
