"""Rebuild a database that is new, was wiped, or is an older one: its records, and not their effects.

While the service is stopped, and its sidecar runs: python -m services.notification.rebuild
Nobody is told again: what an older database has as still to be sent is held first. Of each order that was
placed up to now there is a notification afterwards, SENT where the order service knows that it was, and HELD
where nobody knows (recovery.py), until an operator releases it (release.py). It goes on where it was, when it
is begun again.
"""

import asyncio
import os
import sys

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.dapr.sidecar import SidecarUnavailable
from chassis.dapr.tokens import shared_secret
from chassis.inbox.inbox import Reaction
from chassis.reconciler import cursor as feed_cursor
from chassis.reconciler.client import AnotherFeed
from chassis.reconciler.reconciler import Reconciler, rebuild_of
from chassis.runtime.lock import try_lock
from chassis.runtime.settings import load
from chassis.service import service
from chassis.service.lifecycle import migrate
from chassis.service.service import Parts
from contracts.order_created import OrderCreated
from services.notification.app import Settings
from services.notification.model import Notification, State
from services.notification.reactions import notify_customer_on_order_created
from services.notification.reactions.notify_customer_on_order_created import (
    notification_of,
)
from services.notification.recovery import REASON, hold_all, recover, version_now


class StillRunning(Exception):
    """The notification service runs: stop it first (its sidecar goes on), then begin again."""


async def restore_notification(
    event: OrderCreated, envelope: CloudEvent, session: AsyncSession
) -> None:
    """Store the notification of an order as one that is not sent by itself."""
    notification = notification_of(event, envelope)
    notification.state, notification.reason = State.HELD, REASON
    notification.version = version_now()
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
        until = await _bring_back(parts, await _begin(parts))
        async with parts.database.write() as session:
            await feed_cursor.forget(session, rebuild_of(RESTORING), until)
    await _sum_up(parts)


async def _begin(parts: Parts) -> str | None:
    """Give the place up to which to rebuild, the feed's end when it was begun; None of an empty feed.

    It is written down before the first event is restored: until the rebuild is finished, the service takes
    nothing from the feed (chassis/reconciler.py). What is there then is held in the same transaction: what
    the service makes before a rebuild that broke off goes on is to be sent as ever.
    """
    async with parts.database.read() as session:
        begun = await feed_cursor.find(session, rebuild_of(RESTORING))
    if begun:
        return begun
    end = await _reconciler(parts, None).end()
    async with parts.database.write() as session:
        await hold_all(session)
        await _write_down(session, end)
    return end


async def _write_down(session: AsyncSession, end: str | None) -> None:
    if end:
        await feed_cursor.move(session, rebuild_of(RESTORING), None, end)


async def _bring_back(parts: Parts, until: str | None) -> str | None:
    while True:
        try:
            await _restore(parts, until)
            await recover(parts, until)
        except AnotherFeed:
            until = await _reach_for_another_end(parts, until)
        else:
            return until


async def _reach_for_another_end(parts: Parts, until: str | None) -> str | None:
    # The order service's database was replaced meanwhile: the place that was written down is nowhere now.
    _say("The feed of the order service is another one now: up to its end is rebuilt.")
    end = await _reconciler(parts, None).end()
    async with parts.database.write() as session:
        await feed_cursor.forget(session, rebuild_of(RESTORING), until)
        await _write_down(session, end)
    return end


def _reconciler(parts: Parts, until: str | None) -> Reconciler:
    secret = shared_secret(parts.settings.feed_secret_file)
    return Reconciler(
        parts.database, parts.sidecar, RESTORING, secret, settle=0, rebuilt_until=until
    )


async def _restore(parts: Parts, until: str | None) -> None:
    reconciler, more = _reconciler(parts, until), until is not None
    while more:
        more = await reconciler.step()
        _say(f"{await _count(parts):,} notifications are there")


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
