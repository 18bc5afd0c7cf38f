"""The fault for each alert rule: what is done to a running system, and how it is undone."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from verification.chaos.faults import GUEST, inject
from verification.chaos.plan import Fault as ChaosFault
from verification.chaos.stage import Stage

QUEUE = "notification-OrderCreated"
Act = Callable[[Stage], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """A fault that lasts while `act` is entered, and the rules that it has to fire."""

    what: str
    act: Act
    fires: tuple[str, ...]


def down(part: str) -> Act:
    """Take a part down, with its supervisor."""

    @asynccontextmanager
    async def act(stage: Stage) -> AsyncIterator[None]:
        await stage.down(part)
        try:
            yield
        finally:
            await stage.up(part)

    return act


def sql(
    service: str, *statements: str, undo: str = "SELECT 1", every: float = 0
) -> Act:
    """Run statements in a service's database, again and again every so many seconds where that is not 0."""

    @asynccontextmanager
    async def act(stage: Stage) -> AsyncIterator[None]:
        url = stage.real.apps[service].environment["DATABASE_URL"]
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection:
            repeating = asyncio.create_task(_repeat(connection, statements, every))
            try:
                yield
            finally:
                repeating.cancel()
                with suppress(asyncio.CancelledError):
                    await repeating
                await connection.execute(undo.encode())

    return act


async def _repeat(
    connection: psycopg.AsyncConnection[Any], statements: tuple[str, ...], every: float
) -> None:
    while True:
        for each in statements:
            await connection.execute(each.encode())
        await asyncio.sleep(every or 3600)


@asynccontextmanager
async def without_mail_component(stage: Stage) -> AsyncIterator[None]:
    """Start the notification service's sidecar again without the folder of its mail component."""
    part = stage.real.sidecars["notification"]
    usual = part.command
    try:
        await stage.down("notification sidecar")
        part.command = [each for each in usual if "components/mail" not in each]
        await stage.up("notification sidecar")
        yield
    finally:
        await stage.down("notification sidecar")
        part.command = usual
        await stage.up("notification sidecar")


@asynccontextmanager
async def forged(stage: Stage) -> AsyncIterator[None]:
    """Publish events that nobody signed."""
    await inject(stage, ChaosFault("forged", "broker", 0, 0))
    yield
    url = stage.real.apps["notification"].environment["DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True
    ) as connection:
        await connection.execute(
            b"UPDATE dead_letter SET state = 'DISCARDED', discarded_at = now()"
        )


@asynccontextmanager
async def unbound(stage: Stage) -> AsyncIterator[None]:
    """Unbind the queue at the broker: it accepts what is published, and brings it nobody."""
    root = f"{stage.real.own.page}/api"
    async with httpx.AsyncClient(trust_env=False, auth=GUEST) as client:
        listed = (await client.get(f"{root}/queues/%2F/{QUEUE}/bindings")).json()
        bindings = [each for each in listed if each["source"]]
        for each in bindings:
            path = f"{root}/bindings/%2F/e/{each['source']}/q/{QUEUE}"
            await client.delete(f"{path}/{each['properties_key']}")
        try:
            yield
        finally:
            for each in bindings:
                path = f"{root}/bindings/%2F/e/{each['source']}/q/{QUEUE}"
                content = {
                    "routing_key": each["routing_key"],
                    "arguments": each["arguments"],
                }
                await client.post(path, json=content)


@asynccontextmanager
async def starved(stage: Stage) -> AsyncIterator[None]:
    """Stop the order service for 0.8 of each 1.2 seconds."""
    starving = asyncio.create_task(_starve(stage))
    try:
        yield
    finally:
        starving.cancel()
        with suppress(asyncio.CancelledError):
            await starving
        stage.signal("order", signal.SIGCONT)


async def _starve(stage: Stage) -> None:
    while True:
        stage.signal("order", signal.SIGSTOP)
        await asyncio.sleep(0.8)
        stage.signal("order", signal.SIGCONT)
        await asyncio.sleep(0.4)


POISON = (
    "INSERT INTO outbox (event_id, topic, event, size, state, attempt, refusals, created_at)"
    " VALUES ('not-an-object', 'OrderCreated', '\"text\"', 6, 'PENDING', 0, 0, now())"
)
HOLD = (
    "UPDATE notification SET state = 'HELD' WHERE id = (SELECT min(id::text)::uuid FROM notification"
    " WHERE state = 'SENT')"
)
FAULTS = (
    Fault(
        "the notification service is down",
        down("notification"),
        (
            "ServiceDown",
            "ConsumerBehind",
            "OrdersNotifiedLate",
            "OrdersNotifiedLateForLong",
        ),
    ),
    Fault(
        "the notification service's sidecar is down",
        down("notification sidecar"),
        ("SidecarDown",),
    ),
    Fault(
        "the sidecar has no mail component",
        without_mail_component,
        ("ServiceNotReady",),
    ),
    Fault("PostgreSQL is down", down("database"), ("DatabaseDown", "OrdersRefused")),
    Fault("the broker is down", down("broker"), ("OutboxStuck", "LoopStuck")),
    Fault(
        "an event that is no object is in the outbox",
        sql(
            "order", POISON, undo="DELETE FROM outbox WHERE event_id = 'not-an-object'"
        ),
        ("EventsParked",),
    ),
    Fault("forged events are published", forged, ("DeadLettersOpen",)),
    Fault(
        "the queue is not bound to its topic",
        unbound,
        ("EventsRepaired", "SubscriptionSilent"),
    ),
    Fault("the order service gets a third of its time", starved, ("EventLoopLag",)),
    Fault(
        "another relay takes the leases over",
        sql(
            "order",
            "UPDATE outbox SET attempt = attempt + 1 WHERE state = 'LEASED'",
            every=0.002,
        ),
        ("LeasesLost",),
    ),
    Fault("the mail server is down", down("mail"), ("MailNotSent",)),
    Fault(
        "a notification is HELD",
        sql(
            "notification",
            HOLD,
            undo="UPDATE notification SET state = 'SENT' WHERE state = 'HELD'",
        ),
        ("NotificationsNeedYou",),
    ),
    Fault(
        "a transaction stays open",
        sql("order", "BEGIN", "SELECT pg_current_xact_id()", undo="ROLLBACK"),
        ("EventsHidden",),
    ),
)
