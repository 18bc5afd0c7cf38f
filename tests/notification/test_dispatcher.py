"""The dispatcher: what is ready is sent, and its line is printed once, after that is committed."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from chassis.cloud_event import Cause, envelop
from chassis.database import Database
from contracts.order_created import OrderCreated
from services.notification.channels import Console
from services.notification.dispatcher import Dispatcher
from services.notification.model import Channel, Notification, State
from services.notification.outcomes import claim, fence, mark_sent
from services.notification.reactions.notify_customer_on_order_created import (
    notify_customer_on_order_created,
)
from tests.support.database import migrated

ORDER = UUID("0198c0de-0000-7000-8000-000000000001")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LINE = f"Notification for Order {ORDER}: Dear Jane Doe, your order was created at 2026-01-31T08:15:30.123Z.\n"

pytestmark = pytest.mark.usefixtures("each_database")


async def with_one_ready(folder: Path) -> Database:
    """Make a database with one notification that is ready."""
    database = migrated("notification", folder)
    data = {
        "orderId": ORDER,
        "customerName": "Jane Doe",
        "createdAt": "2026-01-31T09:15:30.123+01:00",
    }
    async with database.write() as session:
        event = OrderCreated.model_validate(data)
        envelope = envelop(event, service="order", subject=ORDER, cause=Cause(TRACE))
        await notify_customer_on_order_created(event, envelope, session)
    return database


async def stored(database: Database) -> Sequence[Notification]:
    """Give all notifications."""
    async with database.read() as session:
        return (await session.scalars(select(Notification))).all()


async def test_a_notification_is_sent_and_its_line_is_printed_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database = await with_one_ready(tmp_path)
    dispatcher = Dispatcher(database, Channel.CONSOLE, Console(), batch=100)

    assert [await dispatcher.step() for _ in range(3)] == [True, False, False]

    (notification,) = await stored(database)
    assert notification.state == State.SENT
    assert notification.sent_at
    assert capfd.readouterr().out == LINE
    await database.close()


async def test_a_notification_is_committed_as_sending_before_anything_leaves(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database = await with_one_ready(tmp_path)

    async with database.write() as session:
        await claim(session, "a dispatcher", Channel.CONSOLE, 1)

    (notification,) = await stored(database)
    assert (notification.state, notification.owner) == (State.SENDING, "a dispatcher")
    assert capfd.readouterr().out == ""
    await database.close()


async def test_what_a_dead_process_was_sending_is_sent_by_the_next(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database = await with_one_ready(tmp_path)
    async with database.write() as session:
        lost = await claim(session, database.owner, Channel.CONSOLE, 1)
    dispatcher = Dispatcher(database, Channel.CONSOLE, Console(), batch=100)

    await dispatcher.reclaim()
    assert await dispatcher.step()

    async with database.write() as session:
        assert await mark_sent(session, fence(database.owner, lost)) == []
    assert capfd.readouterr().out == LINE
    await database.close()
