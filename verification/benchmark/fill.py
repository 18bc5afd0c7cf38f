"""Fills both services' databases with orders that have come to their end: what a shop has after some months.

All is as the services leave it: published, handled, notified and shown, every cursor at the end, nothing expired.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Connection,
    bindparam,
    insert,
    select,
    text,
)

from chassis.database.engine import Utc, open_engine
from chassis.feed.consumers import consumer
from chassis.feed.cursor import Cursor
from chassis.inbox import AnyReaction
from chassis.outbox.outbox import feed, outbox
from chassis.reconciler.cursor import feed_cursor
from services.notification.reactions import erase_customer_on_order_erased as erase
from services.notification.reactions import notify_customer_on_order_created as notify
from services.order.reactions import show_notification
from tests.support.database import upgrade

BATCHES = 20
AGE = timedelta(hours=20)
EVENT = '{"filled": "' + "x" * 740 + '"}'
"""As long as the services' own."""
CONSUMERS: dict[str, tuple[str, list[AnyReaction]]] = {
    "order": ("notification", [notify.reaction, erase.reaction]),
    "notification": (
        "order",
        [
            show_notification.on_notification_sent,
            show_notification.on_notification_failed,
            show_notification.on_notification_released,
        ],
    ),
}
"""By the service that publishes: who pulls from it, and for which reactions."""

_OUTBOX = (
    'INSERT INTO outbox ("transaction", event_id, topic, event, size, state, attempt, refusals, created_at)'
    " SELECT {xid}, '{topic}-filled-' || i, '{topic}', :event, 750, '{state}', 1, 0, :at FROM n"
)
_INBOX = (
    "INSERT INTO inbox (reaction, event_id, handled_at)"
    " SELECT '{reaction}', '{handled}-filled-' || i, :at FROM n"
)
TABLES = {
    "order": (
        # Every other order is one customer's own; the others are from the time without access control.
        "INSERT INTO orders (id, created_event, customer_name, name_key, created_at, owner,"
        " notification_state, notification_version)"
        " SELECT {uuid}, {uuid}, 'Jane Doe', 'jane doe', :at, CASE WHEN i % 2 = 0 THEN 'jane' END,"
        " 'SENT', 1 FROM n",
        "INSERT INTO idempotency_key (scope, key, fingerprint, status, headers, body, created_at)"
        " SELECT '/api/order', 'filled-' || i, :empty, 201, '', :empty, :at FROM n",
        _OUTBOX,
        _INBOX,
    ),
    "notification": (
        "INSERT INTO notification (id, order_id, customer_name, created_at, channel, state, attempt, keyed,"
        " sent_at)"
        " SELECT {uuid}, {uuid}, 'Jane Doe', :at, 'console', 'SENT', 1, :no, :at FROM n",
        _OUTBOX,
        _INBOX,
    ),
}
"""What each service stores of an order; `n` has their numbers."""
NAMES = {
    "order": {
        "topic": "OrderCreated",
        "state": "PUBLISHED",
        "handled": "NotificationSent",
        "reaction": show_notification.on_notification_sent.name,
    },
    "notification": {
        "topic": "NotificationSent",
        "state": "PULL_ONLY",
        "handled": "OrderCreated",
        "reaction": notify.reaction.name,
    },
}
DIALECTS = {
    "sqlite": {"uuid": "printf('%012x70008%015x', :ms, i)", "xid": "0"},
    "postgresql": {
        "uuid": "(lpad(to_hex(:ms), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid",
        "xid": "pg_current_xact_id()::text::bigint",
    },
}
_NUMBERS = (
    "WITH RECURSIVE n(i) AS (SELECT CAST(:first AS bigint)"
    " UNION ALL SELECT i + 1 FROM n WHERE i < :last) "
)


def fill(urls: dict[str, str], orders: int) -> None:
    """Migrate both services' databases, whose URLs these are, and store so many orders in each."""
    ends = {}
    for service, url in urls.items():
        upgrade(service, url)
        engine = open_engine(url)
        for number in range(BATCHES):
            with engine.begin() as connection:
                _insert(connection, service, orders, number)
        with engine.begin() as connection:
            ends[service] = _end(connection)
        engine.dispose()
    for service, url in urls.items():
        engine = open_engine(url)
        with engine.begin() as connection:
            _move_cursors(connection, service, ends)
        # SQLite's services run without statistics of its tables.
        if engine.dialect.name == "postgresql":
            with engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            ) as connection:
                connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()


def _insert(connection: Connection, service: str, orders: int, number: int) -> None:
    first, last = (orders * each // BATCHES for each in (number, number + 1))
    at = datetime.now(UTC) - AGE * (1 - number / BATCHES)
    ms = int(at.timestamp() * 1000)
    values = {"first": first + 1, "last": last, "at": at, "ms": ms}
    names = {**DIALECTS[connection.dialect.name], **NAMES[service]}
    typed: dict[str, BindParameter[Any]] = {
        "at": bindparam("at", type_=Utc),
        "ms": bindparam("ms", type_=BigInteger),
        "no": bindparam("no", value=False, type_=Boolean),
        "empty": bindparam("empty", value=b""),
        "event": bindparam("event", value=EVENT),
    }
    for table in TABLES[service]:
        statement = text(_NUMBERS + table.format(**names))
        used = [each for name, each in typed.items() if f":{name}" in statement.text]
        connection.execute(statement.bindparams(*used), values)


def _end(connection: Connection) -> Cursor:
    place = select(outbox.c.transaction, outbox.c.position, outbox.c.event_id)
    newest = place.order_by(outbox.c.position.desc()).limit(1)
    feed_id = connection.execute(select(feed.c.id)).scalar_one()
    return Cursor(feed_id, *connection.execute(newest).one())


def _move_cursors(
    connection: Connection, service: str, ends: dict[str, Cursor]
) -> None:
    for publisher, (name, reactions) in CONSUMERS.items():
        end = ends[publisher]
        for each in reactions:
            if name == service:
                row = {"reaction": each.name, "cursor": str(end)}
                connection.execute(insert(feed_cursor).values(row))
            if publisher == service:
                acknowledged = {
                    "consumer": f"{name}/{each.name}",
                    "topic": each.event.topic(),
                    "transaction": end.transaction,
                    "position": end.position,
                    "acknowledged_at": datetime.now(UTC),
                }
                connection.execute(insert(consumer).values(acknowledged))
