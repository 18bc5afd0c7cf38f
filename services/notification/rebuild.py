"""Rebuild a database that is new, was wiped, or is an older one: its records, and not their effects.

While the service is stopped, and its sidecar runs: python -m services.notification.rebuild
Nobody is told again: of each order that was placed up to now there is a notification afterwards. It is SENT
where the order service knows that it was, and HELD where nobody knows, until an operator releases it
(release.py). It goes on where it was, when it is begun again.
"""

import asyncio
import os
import sys
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import feed_cursor, service
from chassis.cloud_event import CloudEvent
from chassis.inbox import Reaction
from chassis.lock import try_lock
from chassis.reconciler import Reconciler, rebuild_of
from chassis.security import shared_secret
from chassis.service import Parts
from chassis.settings import load
from chassis.sidecar import SidecarUnavailable
from chassis.start import migrate
from contracts.order_created import OrderCreated
from services.notification.app import Settings
from services.notification.model import Notification, State
from services.notification.reactions import notify_customer_on_order_created
from services.notification.reactions.notify_customer_on_order_created import (
    notification_of,
)

REASON = "rebuilt: nobody knows here whether it was sent"
VERSION = 1000
"""What is said of a restored notification is newer than whatever was said of it before."""
PAGE = "200"


class Told(BaseModel):
    """What an order shows of its notification."""

    state: str
    at: datetime | None


class Shown(BaseModel):
    """An order, as far as it matters here."""

    orderId: UUID  # noqa: N815 - its name on the wire
    notification: Told


class Orders(BaseModel):
    """A page of orders, newest first."""

    items: list[Shown]
    next: str | None


class StillRunning(Exception):
    """The notification service runs: stop it first (its sidecar goes on), then begin again."""


async def restore_notification(
    event: OrderCreated, envelope: CloudEvent, session: AsyncSession
) -> None:
    """Store the notification of an order as one that is not sent by itself."""
    notification = notification_of(event, envelope)
    notification.state, notification.reason = State.HELD, REASON
    notification.version = VERSION
    session.add(notification)


RESTORING = Reaction(
    OrderCreated,
    restore_notification,
    known_as=notify_customer_on_order_created.reaction.name,
)


async def rebuild(parts: Parts) -> None:
    """Restore all that was ordered up to now; raises StillRunning, SidecarUnavailable."""
    lock = parts.database.lock_file(RESTORING.name)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        if not try_lock(file):
            raise StillRunning(StillRunning.__doc__)
        until = await _begin(parts)
        if until:
            await _restore(parts, until)
            await _recover(parts)
            async with parts.database.write() as session:
                await feed_cursor.forget(session, rebuild_of(RESTORING), until)
    await _sum_up(parts)


async def _begin(parts: Parts) -> str | None:
    """Give the place up to which to rebuild, the feed's end when it was begun; None of an empty feed.

    It is written down before the first event is restored: until the rebuild is finished, the service takes
    nothing from the feed (chassis/reconciler.py).
    """
    async with parts.database.read() as session:
        begun = await feed_cursor.find(session, rebuild_of(RESTORING))
    end = begun or await _reconciler(parts, None).end()
    if end and not begun:
        async with parts.database.write() as session:
            await feed_cursor.move(session, rebuild_of(RESTORING), None, end)
    return end


def _reconciler(parts: Parts, until: str | None) -> Reconciler:
    secret = shared_secret(parts.settings.feed_secret_file)
    return Reconciler(
        parts.database, parts.sidecar, RESTORING, secret, settle=0, rebuilt_until=until
    )


async def _restore(parts: Parts, until: str) -> None:
    reconciler, more = _reconciler(parts, until), True
    while more:
        more = await reconciler.step()
        _say(f"{await _count(parts):,} notifications are there")


async def _recover(parts: Parts) -> None:
    cursor: str | None = ""
    while cursor is not None:
        page = await _orders(parts, cursor)
        told = [
            {"its_order": each.orderId, "then": each.notification.at}
            for each in page.items
            if each.notification.state == State.SENT
        ]
        await _mark_sent(parts, told)
        cursor = page.next


async def _orders(parts: Parts, cursor: str) -> Orders:
    query = {"limit": PAGE, **({"cursor": cursor} if cursor else {})}
    answer = await parts.sidecar.ask("order", "api/order", query=query, headers={})
    try:
        return Orders.model_validate(answer.json())
    except ValidationError as error:
        raise SidecarUnavailable(
            f"the order service answered {answer.status}, and no orders"
        ) from error


async def _mark_sent(parts: Parts, told: list[dict[str, Any]]) -> None:
    table = Notification.__table__
    restored = (
        update(Notification)
        .where(
            table.c.order_id == bindparam("its_order"),
            table.c.state == State.HELD,
            table.c.reason == REASON,
        )
        .values(state=State.SENT, sent_at=bindparam("then"), reason=None)
    )
    if told:
        async with parts.database.write() as session:
            await (await session.connection()).execute(restored, told)


async def _count(parts: Parts, state: State | None = None) -> int:
    counted = select(func.count()).select_from(Notification)
    mine = counted if state is None else counted.where(Notification.state == state)
    async with parts.database.read() as session:
        return await session.scalar(mine) or 0


async def _sum_up(parts: Parts) -> None:
    _say(
        f"Rebuilt: {await _count(parts):,} notifications, {await _count(parts, State.SENT):,} of them "
        f"known as sent, and {await _count(parts, State.HELD):,} held until they are released."
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> int:
    """Rebuild what the environment names; give the exit status."""
    parts = service.parts("notification", load(Settings), None)
    await migrate(parts.name, parts.database.url)
    try:
        async with parts.sidecar:
            await rebuild(parts)
    except (StillRunning, SidecarUnavailable) as error:
        sys.stderr.write(f"{error}. What is done stays done.\n")
        return os.EX_TEMPFAIL
    finally:
        await parts.database.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
