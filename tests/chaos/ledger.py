"""The ledger: what was accepted, and what became of each of it, as the databases and the outputs tell."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

ORDER = re.compile(
    r"Notification for Order ([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)
MAIL = re.compile(r"^Subject: Your order\s+([0-9a-f-]{36})", re.MULTILINE)
REPAIRED = re.compile(r"(\d+) of OrderCreated had not come through the broker")


@dataclass
class Books:
    """What the two databases, the console and the mail server say; orders by their id in hex."""

    orders: set[str] = field(default_factory=set)
    events: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    notified: dict[str, tuple[str, int]] = field(default_factory=dict)
    open_rows: int = 0
    dead: int = 0
    lines: Counter[str] = field(default_factory=Counter)
    mails: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    # Whether mails go to a server that knows each again: then one that was unknown allows no second.
    deduplicated: bool = False


@dataclass(frozen=True)
class Ledger:
    """The run in figures; lost and twice name the orders that they are about."""

    accepted: int
    notified: int
    lost: dict[str, str]
    twice: dict[str, str]
    stuck: int
    dead_letters: int
    repaired_by_the_pull: int
    sent_without_a_line: int

    @property
    def is_clean(self) -> bool:
        """Tell whether nothing is lost, nothing twice and nothing stuck."""
        return not (self.lost or self.twice or self.stuck)

    def as_json(self) -> dict[str, object]:
        """Give it as JSON can hold it."""
        return asdict(self)

    def table(self) -> str:
        """Give it as people read it."""
        rows = [
            ("accepted", str(self.accepted)),
            ("notified", str(self.notified)),
            ("lost", bound(len(self.lost), self.accepted)),
            ("sent twice", bound(len(self.twice), self.accepted)),
            ("stuck rows", str(self.stuck)),
            ("dead letters", str(self.dead_letters)),
            ("repaired by the pull", str(self.repaired_by_the_pull)),
            ("SENT, line cut off by a kill", str(self.sent_without_a_line)),
        ]
        return "\n".join(f"  {name:<30}{value}" for name, value in rows)


def bound(count: int, of: int) -> str:
    """Give a count, and the share that is excluded with 95 % where it is 0 (the rule of three)."""
    return (
        f"{count} of {of} (< {3 / of:.2g} with 95 %)"
        if of and not count
        else f"{count} of {of}"
    )


def judge(accepted: Iterable[str], books: Books) -> Ledger:
    """Hold what was accepted against the books."""
    wanted = {plain(each) for each in accepted}
    lost = {each: why for each in wanted if (why := _missing(each, books))}
    sent = {each for each, (state, _) in books.notified.items() if state == "SENT"}
    lines = Counter({plain(each): count for each, count in books.lines.items()})
    mails = Counter({plain(each): count for each, count in books.mails.items()})
    twice = {each: f"{n} lines" for each, n in lines.items() if n > 1}
    twice |= {
        each: f"{n} mails"
        for each, n in mails.items()
        # Each unknown outcome is a version of its own, and allows one mail more.
        if n
        > (1 if books.deduplicated else max(1, books.notified.get(each, ("", 1))[1]))
    }
    unseen = sum(not lines[each] and not mails[each] for each in sent)
    return Ledger(
        len(wanted),
        len(wanted & sent),
        lost,
        twice,
        books.open_rows,
        books.dead,
        books.repaired,
        unseen,
    )


def _missing(order: str, books: Books) -> str:
    event = books.events.get(order)
    if order not in books.orders:
        return "no row of orders"
    if event is None:
        return "no OrderCreated"
    if event not in books.taken:
        return "not in the inbox"
    state = books.notified.get(order, ("no notification", 0))[0]
    return "" if state == "SENT" else state


def plain(identity: object) -> str:
    """Give an id as SQLite keeps it."""
    return str(identity).replace("-", "")


async def read(urls: Mapping[str, str], output: str, mails: Path) -> Books:
    """Read the books of a system that has settled."""
    books = Books(lines=Counter(ORDER.findall(output)))
    books.repaired = sum(int(each) for each in REPAIRED.findall(output))
    books.mails = await asyncio.to_thread(_mails, mails)
    orders = await rows(urls["order"], "SELECT id FROM orders")
    books.orders = {plain(each) for (each,) in orders}
    events = "SELECT event_id, event FROM outbox WHERE topic = 'OrderCreated'"
    for identity, event in await rows(urls["order"], events):
        books.events[plain(json.loads(str(event))["subject"])] = str(identity)
    url = urls["notification"]
    inbox = await rows(url, "SELECT event_id FROM inbox")
    books.taken = {str(each) for (each,) in inbox}
    told = await rows(url, "SELECT order_id, state, version FROM notification")
    books.notified = {plain(a): (str(b), int(str(c))) for a, b, c in told}
    books.open_rows = await open_rows(urls)
    books.dead = len(await rows(url, "SELECT id FROM dead_letter"))
    return books


def _mails(folder: Path) -> Counter[str]:
    contents = (path.read_text(errors="replace") for path in folder.glob("*.eml"))
    return Counter(found[1] for each in contents if (found := MAIL.search(each)))


OPEN = {
    "order": (
        "SELECT count(*) FROM outbox WHERE state IN ('PENDING', 'LEASED', 'PARKED')",
        "SELECT count(*) FROM orders WHERE notification_state NOT IN ('SENT', 'FAILED')",
    ),
    "notification": (
        "SELECT count(*) FROM notification WHERE state NOT IN ('SENT', 'FAILED')",
    ),
}


async def open_rows(urls: Mapping[str, str]) -> int:
    """Count what is still on its way."""
    counted = [
        await rows(urls[service], statement)
        for service, statements in OPEN.items()
        for statement in statements
    ]
    return sum(int(str(found[0][0])) for found in counted)


async def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    """Read rows from a service's database."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            found = await connection.execute(text(statement))
            return [tuple(row) for row in found]
    finally:
        await engine.dispose()
