"""The ledger: what was accepted, and what became of each, by the books (verification/chaos/books.py)."""

import math
from dataclasses import dataclass

from services.notification.dispatcher import TOO_LATE
from verification.chaos.books import Books

EXAMPLES = 20
"""So many orders of each finding are named."""
CUT_OFF = 500
"""Lines that a process may have committed as SENT, and not printed, when it ends: a group of deliveries."""
STANDING = """
CREATE TEMP VIEW IF NOT EXISTS standing AS
SELECT accepted.order_id AS order_id, CASE
    WHEN orders.order_id IS NULL THEN 'lost, no row of orders'
    WHEN event.event_id IS NULL THEN 'lost, no OrderCreated'
    WHEN handled.event_id IS NULL THEN 'lost, not in the inbox'
    WHEN notification.state IS NULL THEN 'lost, no notification'
    WHEN notification.state NOT IN ('SENT', 'FAILED', 'HELD') THEN 'stuck, ' || notification.state
    WHEN event.state <> 'PUBLISHED' THEN 'stuck, OrderCreated is ' || event.state
    WHEN orders.shown <> notification.state THEN 'stuck, the order shows ' || orders.shown
    WHEN notification.state = 'SENT' AND channel <> 'line' AND NOT EXISTS (
        SELECT * FROM received
        WHERE received.order_id = accepted.order_id AND received.channel = accepted.channel
    ) THEN 'lost, SENT and no mail'
    ELSE notification.state
END AS became
FROM accepted
LEFT JOIN orders USING (order_id)
LEFT JOIN event USING (order_id)
LEFT JOIN handled USING (event_id)
LEFT JOIN notification USING (order_id)
"""
"""Where each order that was accepted has got to, in one word and why."""
RECEIVED = """
CREATE TEMP VIEW IF NOT EXISTS often AS
SELECT received.order_id AS order_id, channel, count(*) AS times, coalesce(max(version), 1) AS outcomes
FROM received LEFT JOIN notification USING (order_id) GROUP BY received.order_id, channel
"""
# Each unknown outcome of a mail is a version of its own, and allows one mail more.
TWICE = "times > CASE channel WHEN 'line' THEN 1 ELSE max(1, outcomes) END"
NOT_NOTIFIED = """NOT EXISTS (
    SELECT * FROM received WHERE received.order_id = accepted.order_id AND received.channel = accepted.channel
)"""
# Unknown twice, each time to a server that does not deduplicate; or so long ago that no server does.
HELD = f"""
notification LEFT JOIN held USING (order_id) WHERE state = 'HELD' AND NOT coalesce(
    in_doubt AND CASE WHEN keyed THEN reason = '{TOO_LATE}' ELSE held.version >= 2 END, 0)
"""
UNPRINTED = (
    f"standing JOIN accepted USING (order_id) WHERE became = 'SENT' AND {NOT_NOTIFIED}"
)

ASTRAY = "received JOIN accepted USING (order_id) WHERE received.channel NOT IN ('line', accepted.channel)"
SURPLUS = "order_id NOT IN (SELECT order_id FROM accepted)"


@dataclass(frozen=True)
class Received:
    """What customers see, of whatever program: what they were answered, and what they received.

    `not_notified` were answered 201 and received nothing, `twice` received more than is promised, `astray` are
    mails that somebody else got; `again` got a mail once more because its outcome was unknown; `surplus` are
    orders whose id nobody was answered.
    """

    accepted: int
    not_notified: int
    twice: int
    astray: int
    again: int
    surplus: int


@dataclass(frozen=True)
class Records:
    """What our own databases hold of what was accepted.

    `unprinted` are SENT, and their line was never printed; processes that were ended explain `cut_off` of
    them. `unexplained` are HELD after fewer than two unknown outcomes, and with no key that was too old.
    `forged` are dead letters of what the rig made up.
    """

    notified: int
    lost: int
    stuck: int
    failed: int
    held: int
    unprinted: int
    dead_letters: int
    forged: int
    pulled: int
    unexplained: int
    cut_off: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, stuck or refused, and what was held or not printed is explained."""
        wrong = self.lost, self.stuck, self.failed, self.dead_letters, self.unexplained
        return not any(wrong) and self.unprinted <= self.cut_off


@dataclass(frozen=True)
class Ledger:
    """A run in figures; `findings` names some of the orders that should not be in it, and why.

    A program without records of its own is judged by what customers see alone.
    """

    received: Received
    records: Records | None
    findings: dict[str, str]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, doubled, stuck or refused, and all else is explained."""
        received, mine = self.received, self.records
        is_sound = mine is None or mine.is_clean
        return is_sound and not (received.twice or received.astray or received.surplus)


def at_most(count: int, of: int) -> float:
    """Return the share that the true one exceeds with 5 % only; of none in n it is 3/n (the rule of three).

    The mean of the Poisson distribution that gives so few with 5 %, found by halving.
    """
    if not of:
        return 1.0
    low, high = float(count), count + 4 * math.sqrt(count) + 4
    for _ in range(60):
        mean = (low + high) / 2
        low, high = (mean, high) if _so_few(count, mean) > 0.05 else (low, mean)
    return min(1.0, high / of)


def _so_few(count: int, mean: float) -> float:
    logs = (k * math.log(mean) - math.lgamma(k + 1) - mean for k in range(count + 1))
    return sum(math.exp(each) for each in logs)


def judge(books: Books, ended: int = 0) -> Ledger:
    """Compare what was accepted with our own books; so many processes that print were `ended`."""
    received = what_was_received(books)
    books.rows(STANDING)
    became = dict(books.rows("SELECT became, count(*) FROM standing GROUP BY became"))
    letters = dict(
        books.rows("SELECT forged, count(*) FROM dead_letter GROUP BY forged")
    )
    records = Records(
        notified=became.get("SENT", 0),
        lost=_beginning(became, "lost"),
        stuck=_beginning(became, "stuck"),
        failed=became.get("FAILED", 0),
        held=became.get("HELD", 0),
        unprinted=books.number(f"SELECT count(*) FROM {UNPRINTED}"),
        dead_letters=letters.get(0, 0),
        forged=letters.get(1, 0),
        pulled=books.number("SELECT count(*) FROM handled WHERE arrival <> 'PUSHED'"),
        unexplained=books.number(f"SELECT count(*) FROM {HELD}"),
        cut_off=ended * CUT_OFF,
    )
    return Ledger(received, records, _findings(books, records))


def judge_without_records(books: Books) -> Ledger:
    """Compare what was accepted with what was printed and mailed alone."""
    received = what_was_received(books)
    nothing = f"SELECT order_id, 'received nothing' FROM accepted WHERE {NOT_NOTIFIED}"
    return Ledger(received, None, dict(books.rows(f"{nothing} LIMIT {EXAMPLES}")))


def what_was_received(books: Books) -> Received:
    """Count what customers see."""
    books.rows(RECEIVED)
    number = "SELECT count(*) FROM"
    again = "channel <> 'line' AND times > 1 AND NOT"
    return Received(
        accepted=books.number(f"{number} accepted"),
        not_notified=books.number(f"{number} accepted WHERE {NOT_NOTIFIED}"),
        twice=books.number(f"{number} often WHERE {TWICE}"),
        astray=books.number(f"{number} {ASTRAY}"),
        again=books.number(f"{number} often WHERE {again} {TWICE}"),
        surplus=books.number(f"{number} orders WHERE {SURPLUS}"),
    )


def _beginning(became: dict[str, int], word: str) -> int:
    return sum(number for each, number in became.items() if each.startswith(word))


def _findings(books: Books, records: Records) -> dict[str, str]:
    good = "('SENT', 'HELD')"
    asked = [
        f"order_id, became FROM standing WHERE became NOT IN {good} ORDER BY became",
        f"order_id, times || ' times by ' || channel FROM often WHERE {TWICE}",
        f"order_id, 'received by ' || received.channel FROM {ASTRAY}",
        f"order_id, 'an order that nobody was answered' FROM orders WHERE {SURPLUS}",
        "'dead letter ' || rowid, reason FROM dead_letter WHERE NOT forged",
        f"order_id, 'HELD, and nothing explains it: ' || coalesce(reason, '') FROM {HELD}",
    ]
    if records.unprinted > records.cut_off:
        asked.append(
            f"order_id, 'SENT, and no end of a process cut off its line' FROM {UNPRINTED}"
        )
    found = (books.rows(f"SELECT {each} LIMIT {EXAMPLES}") for each in asked)
    return {str(order): str(why) for rows in found for order, why in rows}
