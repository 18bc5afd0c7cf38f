"""Our services with a safeguard taken out, run for real; in production code there is no switch for any of it."""

import json
import os
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Response
from sqlalchemy import FromClause, Table
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause, create_cloud_event
from chassis.dapr.sidecar import Entry
from chassis.database import insert
from chassis.event import Event
from chassis.http import Router, Unit
from chassis.inbox import Arrival
from chassis.inbox import inbox as inbox_module
from chassis.outbox import outbox as outbox_module
from chassis.reconciler import Reconciler
from services.notification.app import create_app as create_notification
from services.notification.reactions import (
    notify_customer_on_order_created as reaction_module,
)
from services.order.app import create_app as create_order
from services.order.commands import create_order as command_module
from services.order.commands.create_order import Accepted, CreateOrder

OUTBOX, INBOX, PULL = SAFEGUARDS = ("outbox", "inbox", "pull")
WITHOUT = "PLAYGROUND_WITHOUT"
"""The environment variable that names the safeguards to take out, with commas between."""

_unpublished: dict[UUID, tuple[str, Entry]] = {}


def order() -> FastAPI:
    """Return the order service without the safeguards that the environment names."""
    take_out(os.environ[WITHOUT].split(","))
    return create_order()


def notification() -> FastAPI:
    """Return the notification service without the safeguards that the environment names."""
    take_out(os.environ[WITHOUT].split(","))
    return create_notification()


def take_out(
    safeguards: Collection[str], patch: Callable[[object, str, object], None] = setattr
) -> None:
    """Take safeguards out of the services that this process makes from now on."""
    if OUTBOX in safeguards:
        patch(command_module, "append", _remember)
        patch(command_module, "router", _publishing())
    if INBOX in safeguards:
        patch(inbox_module, "claim", _claim_again)
        patch(reaction_module, "add", _add_if_new)
    if PULL in safeguards:
        patch(Reconciler, "step", _pull_nothing)


def _remember(
    session: Session, event: Event, *, subject: UUID, cause: Cause, version: int = 1
) -> str:
    """Keep an event in memory until its order is committed, in place of an outbox row; return its id."""
    envelope = create_cloud_event(
        event,
        service=session.info["service"],
        subject=subject,
        cause=cause,
        version=version,
        keys=session.info["keys"],
    )
    stored = outbox_module.row(event, envelope)
    event_id = str(stored["event_id"])
    _unpublished[subject] = stored["topic"], Entry(event_id, stored["event"])
    return event_id


def _publishing() -> Router:
    router = Router(tags=["Orders"], scope="orders:write")

    @router.post("/api/order", status_code=201, response_model=Accepted)
    async def post_order(command: CreateOrder, unit: Unit) -> Response:
        """Place an order as programs without an outbox do: commit, then publish."""
        answer = await unit.run(
            lambda session: command_module.create_order(
                command, session, unit.trace, unit.subject
            )
        )
        order_id = UUID(json.loads(bytes(answer.body))["orderId"])
        # A customer who tries again is answered from the Idempotency-Key: there is nothing left to publish.
        if order_id in _unpublished:
            topic, entry = _unpublished.pop(order_id)
            pubsub = unit.parts.settings.pubsub_name
            await unit.parts.sidecar.publish(pubsub, topic, [entry])
        return answer

    return router


_claim = inbox_module.claim


def _claim_again(
    session: Session, reaction: str, ids: Collection[str], arrival: Arrival
) -> set[str]:
    """Note what arrived, so that the pull knows it, and refuse nothing."""
    _claim(session, reaction, ids, arrival)
    return set(ids)


def _add_if_new(session: Session, table: FromClause, row: dict[str, Any]) -> None:
    assert isinstance(table, Table)
    # The unique key of an order's notification would stop what the inbox no longer does.
    session.execute(insert(table).on_conflict_do_nothing(), row)


async def _pull_nothing(_self: Reconciler) -> bool:
    return False
