"""What a run has left in its databases, on the console and in the mailbox, and what of it must not be.

Nothing here reads a log: what was accepted is compared with what is there.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.support.mail_server import Mail
from verification.simulation.world import World

Rows = list[sqlite3.Row]
NOTIFY = "notify_customer_on_order_created"
SHOW = {
    "NotificationSent": "show_notification_on_notification_sent",
    "NotificationFailed": "show_notification_on_notification_failed",
    "NotificationReleased": "show_notification_on_notification_released",
}
ENDS = {"SENT", "FAILED", "HELD"}


def read(folder: Path, service: str, *tables: str) -> list[Rows]:
    """Return whole tables of a service."""
    url = f"file:{folder}/{service}.db?mode=ro"
    with closing(sqlite3.connect(url, uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [
            connection.execute(f"SELECT * FROM {each} ORDER BY rowid").fetchall()
            for each in tables
        ]


@dataclass
class Ledger:
    """Everything that a run has left, read at one moment."""

    world: World
    unprinted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Read all tables."""
        self.outbox: dict[str, Rows] = {}
        self.inbox: dict[str, Rows] = {}
        self.cursors: dict[str, str] = {}
        self.dead: list[str] = []
        self.forged: set[bytes] = set()
        self.orders = self._read("order", "orders")
        self.notifications = self._read("notification", "notification")

    def _read(self, service: str, its_own: str) -> Rows:
        tables = ("outbox", "inbox", "feed_cursor", "dead_letter")
        sent, handled, cursors, dead, own = read(
            self.world.folder, service, *tables, its_own
        )
        self.outbox[service], self.inbox[service] = sent, handled
        self.cursors |= {row["reaction"]: row["cursor"] for row in cursors}
        forged = {*self.world.broker.forged}
        kept = {row["body"] for row in dead if not row["authentic"]}
        self.forged |= forged & kept
        letters = [row for row in dead if row["body"] not in forged & kept]
        self.dead += [f"{service}: {row['reason']}" for row in letters]
        return own

    def is_settled(self) -> bool:
        """Return whether nothing is under way any more."""
        return not self.world.broker.under_way and not [*self.stuck()]

    def stuck(self) -> Iterator[str]:
        """Yield what has not come to its end."""
        for row in [*self.outbox["order"], *self.outbox["notification"]]:
            if row["state"] not in {"PUBLISHED", "PULL_ONLY"}:
                yield f"stuck: {row['topic']} {row['event_id']} is {row['state']}"
        for row in self.notifications:
            if row["state"] not in ENDS:
                yield f"stuck: notification {row['order_id']} is {row['state']}"
        missing = len(self.orders) - len(self.notifications)
        if missing > 0:
            yield f"lost: {missing} orders without a notification"
        yield from self._behind()

    def _behind(self) -> Iterator[str]:
        places = [("order", "OrderCreated", NOTIFY)]
        places += [("notification", topic, name) for topic, name in SHOW.items()]
        for sender, topic, reaction in places:
            ids = [row["event_id"] for row in self.outbox[sender]]
            of_topic = {
                r["event_id"] for r in self.outbox[sender] if r["topic"] == topic
            }
            cursor = self.cursors.get(reaction, "").rpartition(".")[2]
            read_to = ids.index(cursor) + 1 if cursor in ids else 0
            if of_topic & set(ids[read_to:]):
                yield f"stuck: {reaction} has not read the feed of {sender} to its end"

    def violations(self) -> list[str]:
        """Return everything that must not be."""
        found = [*self.stuck(), *(f"dead letter: {each}" for each in self.dead)]
        known = Counter(_id(row["id"]) for row in self.orders)
        found += [
            f"lost: order {each.id} was accepted, and there are {known[each.id]}"
            for each in self.world.accepted
            if known[each.id] != 1
        ]
        for row in self.orders:
            found += self._of_order(row)
        for note in self.notifications:
            if _id(note["order_id"]) not in known:
                found.append(f"invented: a notification of {note['order_id']}")
        return [*found, *self._mails_of_nobody(), *self._forged()]

    def _forged(self) -> Iterator[str]:
        for body, acknowledged in self.world.broker.forged.items():
            if acknowledged and body not in self.forged:
                yield f"lost: {body!r} was acknowledged, and is no dead letter"

    def _of_order(self, order: sqlite3.Row) -> Iterator[str]:
        order_id = _id(order["id"])
        created = [
            row["event_id"]
            for row in self.outbox["order"]
            if json.loads(row["event"])["subject"] == order_id
        ]
        handled = [
            row
            for row in self.inbox["notification"]
            if row["reaction"] == NOTIFY and row["event_id"] in created
        ]
        notes = [r for r in self.notifications if _id(r["order_id"]) == order_id]
        for what, number in (
            ("OrderCreated", len(created)),
            ("inbox row", len(handled)),
            ("notification", len(notes)),
        ):
            if number != 1:
                word = "lost" if number == 0 else "twice"
                yield f"{word}: order {order_id} has {number} of {what}"
        if len(notes) == 1:
            yield from self._of_notification(order, notes[0])

    def _of_notification(self, order: sqlite3.Row, note: sqlite3.Row) -> Iterator[str]:
        order_id, state = _id(order["id"]), note["state"]
        name, email = note["customer_name"], note["customer_email"]
        if (name, email) != (order["customer_name"], order["customer_email"]):
            yield f"mixed up: {order_id} is of {name} ({email})"
        shown = order["notification_state"], order["notification_version"]
        if shown != (state, note["version"]):
            yield f"stuck: order {order_id} shows {shown}, and it is {state}"
        yield from self._lines(order_id, name, state)
        if note["channel"] == "console":
            if state != "SENT":
                yield f"lost: {order_id} ended as {state} on the console"
            return
        yield from self._mails(order, state)

    def _lines(self, order_id: str, name: str, state: str) -> Iterator[str]:
        about = [each for each in self.world.lines if order_id in each]
        yield from (f"mixed up: {each}" for each in about if f" {name}," not in each)
        lines = len(about)
        if lines > 1:
            yield f"twice: {lines} lines about {order_id}"
        if not lines and state == "SENT" and order_id not in self.unprinted:
            yield f"lost: no line about {order_id}"
        if lines and state != "SENT":
            yield f"invented: a line about {order_id}, which is {state}"

    def _mails(self, order: sqlite3.Row, state: str) -> Iterator[str]:
        order_id, recipient = _id(order["id"]), order["customer_email"]
        mails = [each for each in self.world.sidecars.mails if order_id in each.subject]
        unknown = sum(self._outcomes(order_id).count(e) for e in ("UNKNOWN", "HELD"))
        is_resent = self.world.schedule.unknown_mail == "resend"
        by_api = self.world.schedule.mails_by_api
        if len(mails) > 1 + unknown * is_resent * (not by_api):
            yield f"twice: {len(mails)} mails about {order_id}, {unknown} unknown"
        if state == "SENT" and not mails:
            yield f"lost: no mail about {order_id}"
        if state == "HELD" and not self._may_be_held(order_id, unknown, is_resent):
            yield f"lost: {order_id} is held after {unknown} unknown outcomes"
        if state == "FAILED" and not self._was_refused(order_id):
            yield f"lost: {order_id} has failed, and nobody has refused it"
        expected = (recipient,), order["customer_name"]
        yield from (f"mixed up: {each}" for each in mails if not _is(each, *expected))

    def _may_be_held(self, order_id: str, unknown: int, is_resent: bool) -> bool:  # noqa: FBT001
        if not self.world.schedule.mails_by_api:
            return unknown >= 1 + is_resent
        # Only where a clock that was set hides for how long it is in doubt, or a second try was refused.
        clocks = any(each.what == "clock" for each in self.world.schedule.faults)
        return clocks or self._was_refused(order_id)

    def _was_refused(self, order_id: str) -> bool:
        return any(order_id in each for each in self.world.sidecars.refused_permanently)

    def _outcomes(self, order_id: str) -> list[str]:
        events = [json.loads(row["event"]) for row in self.outbox["notification"]]
        return [
            each["data"].get("outcome", "SENT")
            for each in events
            if each["subject"] == order_id
        ]

    def _mails_of_nobody(self) -> Iterator[str]:
        known = [_id(row["id"]) for row in self.orders]
        for mail in self.world.sidecars.mails:
            if not any(each in mail.subject for each in known):
                yield f"invented: a mail `{mail.subject}`"


def sent_and_unprinted(world: World) -> set[str]:
    """Return the orders whose notification is SENT and has no line: their process died in between."""
    (rows,) = read(world.folder, "notification", "notification")
    sent = [_id(row["order_id"]) for row in rows if row["state"] == "SENT"]
    return {each for each in sent if not any(each in line for line in world.lines)}


def _is(mail: Mail, recipients: tuple[str], name: str) -> bool:
    words = name, mail.subject.rpartition(" ")[2]
    return mail.recipients == recipients and all(each in mail.text for each in words)


def _id(stored: Any) -> str:  # noqa: ANN401 - SQLite has no UUIDs
    return str(UUID(stored))
