"""Release many notifications, whether the service runs or not, one after another at a rate, until Ctrl-C.

python -m services.notification.release --by "Ada Lovelace" --reason "no mail came" ORDER_ID ...
python -m services.notification.release --by "Ada Lovelace" --reason "after the rebuild" --all-held --rate 20
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select

from chassis.database.unit_of_work import Database
from chassis.errors import Rejected
from chassis.runtime.rate_limit import STOPPED, at_a_rate, interrupted
from chassis.runtime.settings import load
from chassis.service import service
from chassis.service.lifecycle import migrate
from services.notification.app import Settings
from services.notification.commands.release_notification import (
    ReleaseNotification,
    release_notification,
)
from services.notification.model import Notification, State

PAGE = 100


async def held(database: Database) -> AsyncIterator[UUID]:
    """Give the orders whose notifications are held, in the order in which they came."""
    after: UUID | None = None
    while True:
        page = select(Notification).where(Notification.state == State.HELD)
        if after is not None:
            page = page.where(Notification.id > after)
        async with database.read() as session:
            found = await session.scalars(page.order_by(Notification.id).limit(PAGE))
            rows = found.all()
        for each in rows:
            yield each.order_id
        if len(rows) < PAGE:
            return
        after = rows[-1].id


async def release_all(
    database: Database,
    orders: AsyncIterator[UUID],
    command: ReleaseNotification,
    rate: float,
    stop: asyncio.Event,
) -> tuple[int, int]:
    """Release at most `rate` a second until it is to stop; tell how many were, and how many could not be."""
    released = refused = 0
    async for order_id in at_a_rate(orders, rate, stop):
        try:
            async with database.write() as session:
                await release_notification(order_id, command, session)
            released += 1
        except Rejected as error:
            refused += 1
            sys.stderr.write(f"{error}\n")
    return released, refused


async def each_of(orders: Sequence[UUID]) -> AsyncIterator[UUID]:
    """Give these orders."""
    for each in orders:
        yield each


def read(arguments: Sequence[str]) -> tuple[argparse.Namespace, ReleaseNotification]:
    """Read the command line; ends the process where it is not one."""
    parser = argparse.ArgumentParser(prog="python -m services.notification.release")
    parser.add_argument("orders", nargs="*", type=UUID, metavar="ORDER_ID")
    parser.add_argument("--all-held", action="store_true", help="all that are held")
    parser.add_argument("--rate", type=float, default=10, help="how many a second")
    parser.add_argument("--by", required=True, help="who releases them")
    parser.add_argument("--reason", required=True, help="why")
    told = parser.parse_args(arguments)
    if bool(told.orders) == told.all_held or not told.rate > 0:
        parser.error("name orders or --all-held, and a rate above 0")
    try:
        command = ReleaseNotification(by=told.by, reason=told.reason)
    except ValidationError as error:
        parser.error(str(error))
    return told, command


async def main(arguments: Sequence[str]) -> int:
    """Release what the command line says, in the database of the environment; give the exit status."""
    told, command = read(arguments)
    parts = service.parts("notification", load(Settings), None)
    await migrate(parts.name, parts.database.url)
    try:
        with interrupted() as stop:
            orders = held(parts.database) if told.all_held else each_of(told.orders)
            done = await release_all(parts.database, orders, command, told.rate, stop)
    finally:
        await parts.database.close()
    sys.stdout.write(f"{done[0]:,} released, {done[1]:,} refused.\n")
    if stop.is_set():
        return STOPPED
    return os.EX_DATAERR if done[1] else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
