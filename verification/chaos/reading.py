"""Fills the books: from the services' databases, from the lines that were printed, and from the mails."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from verification.chaos.books import Books, plain

ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
LINE = re.compile(rf"Notification for Order ({ID})")
ORDER = re.compile(ID.encode())
RECIPIENT = re.compile(rb"^(?:Delivered-To|X-RcptTo): (\S+)", re.MULTILINE)
"""As this project's mail server writes it, and as the one in containers does."""
FORGED = "forged by the rig"
"""What is in every event that the rig makes up."""
REACTION = "notify_customer_on_order_created"
UNDER_WAY = {
    "order": (
        "SELECT count(*) FROM outbox WHERE state IN ('PENDING', 'LEASED', 'PARKED')",
        "SELECT count(*) FROM orders WHERE notification_state IN ('WAITING', 'UNKNOWN')",
    ),
    "notification": (
        "SELECT count(*) FROM notification WHERE state IN ('READY', 'SENDING', 'UNKNOWN')",
        "SELECT count(*) FROM outbox WHERE state IN ('PENDING', 'LEASED', 'PARKED')",
    ),
}


class Reader:
    """Reads a service's database beside the service; it may go and come back between two queries."""

    def __init__(self, url: str) -> None:
        with_driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self._engine = create_engine(with_driver, poolclass=NullPool)

    def rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, without all of them in memory."""
        with self._engine.connect() as connection:
            streamed = connection.execution_options(stream_results=True)
            for row in streamed.execute(text(statement)):
                yield tuple(row)

    async def all(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query; the event loop does not wait for them."""
        return await asyncio.to_thread(lambda: [*self.rows(statement)])

    async def number(self, statement: str) -> int:
        """Return the number that a query finds."""
        ((found,),) = await self.all(statement)
        return int(found or 0)


async def under_way(readers: Mapping[str, Reader]) -> int:
    """Return how many rows of both services are not at their end."""
    numbers = [
        await readers[service].number(statement)
        for service, statements in UNDER_WAY.items()
        for statement in statements
    ]
    return sum(numbers)


def read_records(books: Books, readers: Mapping[str, Reader]) -> None:
    """Record what both of our services have stored."""
    order, notification = readers["order"], readers["notification"]
    shown = order.rows("SELECT id, notification_state FROM orders")
    books.write("orders", ((plain(each), state) for each, state in shown))
    books.write("event", _events(order))
    handled = f"SELECT event_id, arrival FROM inbox WHERE reaction = '{REACTION}'"
    books.write("handled", notification.rows(handled))
    states = notification.rows("SELECT order_id, state, version FROM notification")
    books.write("notification", ((plain(each), *more) for each, *more in states))
    held = notification.rows(
        "SELECT order_id, version, keyed, in_doubt_since IS NOT NULL, reason"
        " FROM notification WHERE state = 'HELD'"
    )
    books.write("held", ((plain(each), *why) for each, *why in held))
    for reader in (order, notification):
        letters = reader.rows("SELECT reason, body FROM dead_letter")
        books.write("dead_letter", ((why, _is_forged(body)) for why, body in letters))


def _events(order: Reader) -> Iterator[tuple[object, ...]]:
    stored = "SELECT event_id, event, state FROM outbox WHERE topic = 'OrderCreated'"
    for identity, event, state in order.rows(stored):
        yield identity, plain(json.loads(event)["subject"]), state


def _is_forged(body: bytes) -> bool:
    return FORGED.encode() in body


def read_output(books: Books, log: Path) -> None:
    """Record the lines that customers received."""
    with log.open(errors="replace") as lines:
        for line in lines:
            printed = LINE.finditer(line)
            books.write("received", ((plain(each[1]), "line") for each in printed))


def read_mails(books: Books, folder: Path) -> None:
    """Record whom the mail server has mails for, and about which orders."""
    books.write("received", _mails(folder))


def _mails(folder: Path) -> Iterator[tuple[str, str]]:
    # The one in containers keeps a Maildir.
    for path in (*folder.glob("*.eml"), *folder.glob("mail/new/*")):
        mail = path.read_bytes().replace(b"\r\n", b"\n")
        head, _, body = mail.partition(b"\n\n")
        recipient = RECIPIENT.search(head)
        # Longer lines are broken, be it in the middle of an id.
        order = ORDER.search(body.replace(b"=\n", b""))
        if recipient and order:
            yield plain(order[0].decode()), recipient[1].decode()
