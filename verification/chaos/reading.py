"""Fills the books: from the services' databases, from the lines that were printed, and from the mails."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from verification.chaos.books import Books, plain

ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
LINE = re.compile(rf"Notification for Order ({ID})")
ORDER = re.compile(ID.encode())
RECIPIENT = re.compile(rb"^Delivered-To: (\S+)", re.MULTILINE)
PULLED = re.compile(r"(\d+) of OrderCreated had not come through the broker")
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
    """Reads a service's database beside the service; it may be gone and come back between two questions."""

    def __init__(self, url: str) -> None:
        self._engine: AsyncEngine = create_async_engine(url, poolclass=NullPool)

    async def number(self, statement: str) -> int:
        """Ask for a number."""
        async with self._engine.connect() as connection:
            return int(await connection.scalar(text(statement)) or 0)

    async def rows(self, statement: str) -> AsyncIterator[tuple[object, ...]]:
        """Ask for rows, and give one after the other."""
        async with self._engine.connect() as connection:
            async for row in await connection.stream(text(statement)):
                yield tuple(row)


async def under_way(readers: Mapping[str, Reader]) -> int:
    """Count the rows of both services that are not at their end."""
    numbers = [
        await readers[service].number(statement)
        for service, statements in UNDER_WAY.items()
        for statement in statements
    ]
    return sum(numbers)


async def read_records(books: Books, readers: Mapping[str, Reader]) -> None:
    """Read what both services of ours have stored."""
    order, notification = readers["order"], readers["notification"]
    async for identity, shown in order.rows(
        "SELECT id, notification_state FROM orders"
    ):
        books.write("orders", [(plain(identity), shown)])
    events = "SELECT event_id, event, state FROM outbox WHERE topic = 'OrderCreated'"
    async for identity, event, state in order.rows(events):
        subject = json.loads(str(event))["subject"]
        books.write("event", [(str(identity), plain(subject), state)])
    taken = f"SELECT event_id FROM inbox WHERE reaction = '{REACTION}'"  # noqa: S608
    async for (identity,) in notification.rows(taken):
        books.write("taken", [(str(identity),)])
    told = "SELECT order_id, state, version FROM notification"
    async for identity, state, version in notification.rows(told):
        books.write("notification", [(plain(identity), state, version)])
    await _read_held(books, notification)
    for reader in (order, notification):
        await _read_dead_letters(books, reader)


async def _read_held(books: Books, reader: Reader) -> None:
    held = (
        "SELECT order_id, version, keyed, in_doubt_since IS NOT NULL, reason"
        " FROM notification WHERE state = 'HELD'"
    )
    async for identity, *why in reader.rows(held):
        books.write("held", [(plain(identity), *why)])


async def _read_dead_letters(books: Books, reader: Reader) -> None:
    async for reason, body in reader.rows("SELECT reason, body FROM dead_letter"):
        forged = isinstance(body, bytes) and FORGED.encode() in body
        books.write("dead_letter", [(reason, forged)])


async def read_orders(books: Books, reader: Reader) -> None:
    """Read the orders alone, as a program has them that keeps nothing else."""
    async for (identity,) in reader.rows("SELECT id FROM orders"):
        books.write("orders", [(plain(identity), "")])


def read_output(books: Books, log: Path) -> None:
    """Read the lines that customers were told; and what the service says of the pull, as it says it."""
    with log.open(errors="replace") as lines:
        for line in lines:
            told = LINE.finditer(line)
            books.write("told", ((plain(each[1]), "line") for each in told))
            if pulled := PULLED.search(line):
                books.write("said", [("pulled", int(pulled[1]))])


def read_mails(books: Books, folder: Path) -> None:
    """Read whom the mail server has mails for, and of which orders they tell."""
    books.write("told", _mails(folder))


def _mails(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.glob("*.eml"):
        head, _, body = path.read_bytes().partition(b"\r\n\r\n")
        recipient = RECIPIENT.search(head)
        # Longer lines are broken, be it in the middle of an id.
        order = ORDER.search(body.replace(b"=\r\n", b""))
        if recipient and order:
            yield plain(order[0].decode()), recipient[1].decode()
