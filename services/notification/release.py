"""Release, or discard, many notifications, whether the service runs or not, at a rate, until Ctrl-C.

python -m services.notification.release --by "Ada Lovelace" --reason "no mail came" ORDER_ID ...
python -m services.notification.release --by "Ada Lovelace" --reason "after the rebuild" --all-held --rate 20
python -m services.notification.release --by "Ada Lovelace" --reason "a test" --discard ORDER_ID ...
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.database.exclusive import in_use
from chassis.errors import Rejected
from chassis.runtime import load
from chassis.runtime.rate_limit import STOPPED, at_rate, positive, stop_on_signal
from chassis.service import migrate
from chassis.text import escaped
from services.notification.app import Settings, make_parts
from services.notification.commands.discard_notification import (
    DiscardNotification,
    discard_notification,
)
from services.notification.commands.release_notification import (
    ReleaseNotification,
    release_notification,
)
from services.notification.model import IS_IN_TROUBLE, Notification, State


def find_held(session: Session) -> Sequence[UUID]:
    """Return the orders whose notifications are HELD, the oldest first."""
    held = and_(Notification.state == State.HELD, IS_IN_TROUBLE)
    found = select(Notification.order_id).where(held).order_by(Notification.id)
    return session.scalars(found).all()


async def release_all(
    database: Database,
    orders: Iterable[UUID],
    command: ReleaseNotification,
    rate: float,
    stop: asyncio.Event,
) -> tuple[int, int]:
    """Release at most `rate` a second until `stop`; return how many were released, and how many refused.

    Or discard them, where that is the command.
    """
    released = refused = 0
    async for order_id in at_rate(orders, rate, stop):
        try:
            await database.write(
                lambda session: _decide(order_id, command, session)  # noqa: B023
            )
            released += 1
        except Rejected as error:
            refused += 1
            sys.stderr.write(f"{escaped(str(error))}\n")
    return released, refused


def _decide(order_id: UUID, command: ReleaseNotification, session: Session) -> object:
    if isinstance(command, DiscardNotification):
        return discard_notification(order_id, command, session)
    return release_notification(order_id, command, session)


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, ReleaseNotification]:
    """Return the parsed command line; end the process if it is not valid."""
    parser = argparse.ArgumentParser(prog="python -m services.notification.release")
    parser.add_argument("orders", nargs="*", type=UUID, metavar="ORDER_ID")
    parser.add_argument("--all-held", action="store_true", help="all that are held")
    instead = "discard them: they are never sent"
    parser.add_argument("--discard", action="store_true", help=instead)
    parser.add_argument("--rate", type=positive, default=10, help="how many a second")
    parser.add_argument("--by", required=True, help="who releases them")
    parser.add_argument("--reason", required=True, help="why")
    options = parser.parse_args(arguments)
    if bool(options.orders) == options.all_held:
        parser.error("name orders, or say --all-held")
    try:
        kind = DiscardNotification if options.discard else ReleaseNotification
        command = kind(by=options.by, reason=options.reason)
    except ValidationError as error:
        parser.error(str(error))
    return options, command


async def main(arguments: Sequence[str]) -> int:
    """Release what the command line names, in the environment's database; return the exit status."""
    options, command = parse(arguments)
    parts = make_parts(load(Settings))
    database = parts.database
    await migrate(parts)
    try:
        with stop_on_signal() as stop:
            async with in_use(database):
                orders = options.orders or await database.read(find_held)
                released, refused = await release_all(
                    database, orders, command, options.rate, stop
                )
    finally:
        await database.close()
    done = "discarded" if options.discard else "released"
    sys.stdout.write(f"{released:,} {done}, {refused:,} refused.\n")
    if stop.is_set():
        return STOPPED
    return os.EX_DATAERR if refused else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
