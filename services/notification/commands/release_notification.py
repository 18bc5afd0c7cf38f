"""Release a notification that is held or has failed: it is sent after all, because somebody decided so."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import WriteSession, announce
from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http.idempotency import KEY_REFUSALS, Idempotent, takes_a_key
from chassis.http.models import Body, Line, View
from chassis.http.problems import refusals
from services.notification import outcomes
from services.notification.model import (
    Notification,
    NotificationNotFound,
    State,
    signal_of,
)

router = APIRouter(tags=["Notifications"], route_class=Idempotent)

RELEASABLE = (State.HELD, State.FAILED)


class ReleaseNotification(Body):
    """Who releases a notification, and why."""

    by: Annotated[Line, Field(min_length=1, max_length=100, examples=["Ada Lovelace"])]
    reason: Annotated[
        Line,
        Field(
            min_length=1,
            max_length=500,
            examples=["The customer says that no mail came."],
        ),
    ]


class Released(View):
    """A notification that waits to be sent again."""

    order_id: UUID
    state: State
    released_at: Timestamp
    released_by: str
    release_reason: str


class NotReleasable(Rejected):
    """Only a notification that is held, or has failed, can be released."""

    status = 409


async def release_notification(
    order_id: UUID, command: ReleaseNotification, session: AsyncSession
) -> Notification:
    """Make the notification for an order ready again; raises NotificationNotFound, NotReleasable.

    It is sent as if it never had been, by a mail API with the key that it always had.
    """
    # Locked: two who release it at the same time take turns, and the second finds it released.
    mine = select(Notification).where(Notification.order_id == order_id)
    found = await session.scalar(mine.with_for_update())
    if found is None:
        raise NotificationNotFound(
            f"There is no notification for order {order_id} yet.", orderId=str(order_id)
        )
    if found.state not in RELEASABLE:
        raise NotReleasable(
            f"The notification for order {order_id} is {found.state}.",
            orderId=str(order_id),
            state=found.state,
        )
    which = Notification.id == found.id
    await outcomes.release(session, which, command.by, command.reason)
    announce(session, signal_of(found.channel))
    await session.refresh(found)
    return found


@router.post(
    "/api/notification/{orderId}/release",
    responses=refusals(NotificationNotFound, NotReleasable, *KEY_REFUSALS),
    dependencies=[takes_a_key],
)
async def post_release(
    orderId: UUID,  # noqa: N803 - its name on the wire
    command: ReleaseNotification,
    session: WriteSession,
) -> Released:
    """Release a notification that is held or has failed.

    It is sent after all. Where it had arrived without anybody knowing, its customer may get it twice: an API
    that knows a mail by its key, for as long as it keeps the key, does not send it again.
    """
    return Released.model_validate(
        await release_notification(orderId, command, session)
    )
