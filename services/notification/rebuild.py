"""Rebuild a database that is new, was wiped or is a restored backup: its records, and not their effects.

While the service is stopped, and its sidecar runs: python -m services.notification.rebuild
Nobody is notified again: what a backup has as still to be sent is held first. Then every order placed up to now
gets its notification, SENT where the order service knows that it was, and HELD where nobody knows (recovery.py),
until an operator releases it (release.py). A rebuild that broke off continues when it is started again.
"""

import asyncio
import os
import sys
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.dapr import SidecarUnavailable
from chassis.database.exclusive import InUse, alone
from chassis.feed.feed import CursorExpired, FeedChanged
from chassis.inbox import Inbox, Reaction
from chassis.parts import Parts
from chassis.reconciler import FeedClient, Reconciler, rebuild_of
from chassis.reconciler import cursor as feed_cursor
from chassis.runtime import load
from chassis.service import migrate
from chassis.text import escaped
from contracts.order_created import OrderCreated
from services.notification.app import Settings, make_parts
from services.notification.model import Notification, State
from services.notification.reactions import notify_customer_on_order_created
from services.notification.recovery import held, hold_all, recover


def restore_notification(
    event: OrderCreated, envelope: CloudEvent, session: Session
) -> None:
    """Store the notification of an order as one that is not sent by itself."""
    session.add(held(event, envelope))


RESTORING = Reaction(
    OrderCreated,
    restore_notification,
    known_as=notify_customer_on_order_created.reaction.name,
)
END = rebuild_of(RESTORING)
"""Under this name the cursor is stored up to which an unfinished rebuild goes."""


async def rebuild(parts: Parts) -> None:
    """Restore everything ordered up to now; raises InUse, SidecarUnavailable."""
    async with alone(parts.database):
        end = await parts.database.read(partial(feed_cursor.find, reaction=END))
        if end is None:
            end = await _begin(parts)
        await _restore(parts, end)
        await parts.database.write(partial(feed_cursor.forget, reaction=END))
    _print(
        f"Rebuilt: {await _count(parts):,} notifications, {await _count(parts, State.SENT):,} of them "
        f"known as sent, and {await _count(parts, State.HELD):,} held until they are released."
    )


async def _begin(parts: Parts) -> str:
    # The end is stored before the first event is restored: until the rebuild is finished, the service pulls
    # nothing. In the same transaction everything open is held: what is made later is to be sent as ever.
    end = await _high_water_mark(parts)

    def begin(session: Session) -> None:
        hold_all(session)
        _store_end(session, end)

    await parts.database.write(begin)
    return end


async def _restore(parts: Parts, end: str) -> None:
    while True:
        try:
            await _restore_events(parts, end)
            await recover(parts, end)
        except (FeedChanged, CursorExpired):
            # The order service's database was replaced meanwhile, and its feed lacks this end.
            _print("The feed of the order service has changed: rebuilding up to now.")
            end = await _high_water_mark(parts)
            await parts.database.write(partial(_store_end, end=end))
        else:
            return


async def _high_water_mark(parts: Parts) -> str:
    feed = FeedClient(parts.sidecar, OrderCreated, parts.secret)
    return await feed.high_water_mark() or ""


def _store_end(session: Session, end: str) -> None:
    feed_cursor.forget(session, END)
    if end:  # an empty feed has none, and is restored at once
        feed_cursor.move(session, END, None, end)


async def _restore_events(parts: Parts, end: str) -> None:
    inbox = Inbox(parts.database, parts.keys)
    reconciler, more = Reconciler(parts, inbox, RESTORING, end), bool(end)
    while more:
        more = await reconciler.step()
        _print(f"{await _count(parts):,} notifications restored")


async def _count(parts: Parts, state: State | None = None) -> int:
    counted = select(func.count()).select_from(Notification)
    mine = counted if state is None else counted.where(Notification.state == state)
    return await parts.database.read(lambda session: session.scalar(mine)) or 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> int:
    """Rebuild the environment's database; return the exit status."""
    parts = make_parts(load(Settings))
    await migrate(parts)
    try:
        async with parts.sidecar:
            await rebuild(parts)
    except (InUse, SidecarUnavailable) as error:
        said = escaped(str(error))
        sys.stderr.write(f"{said}. What is done stays done.\n")
        return os.EX_TEMPFAIL
    finally:
        await parts.database.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
