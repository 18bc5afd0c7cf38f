"""What the page says of each switch: what it does, what one should see, and why."""

from collections.abc import Mapping
from typing import NamedTuple

from verification.playground.courier import DELAY


class Words(NamedTuple):
    """A switch as people read it."""

    title: str
    story: str


PARTS: Mapping[str, Words] = {
    "broker": Words(
        "Broker",
        "It carries messages from one sidecar to the other. Without it ours still accepts orders: each waits in"
        " the outbox. The ordinary program publishes in the request: it refuses them, and may lose those on the"
        " way.",
    ),
    "order sidecar": Words(
        "Order sidecar",
        "Orders come in and messages leave through it. Nobody can order while it is down; what it had accepted and"
        " not passed on is lost to the ordinary program, and ours publishes it again from the outbox.",
    ),
    "order": Words(
        "Order app",
        "It accepts orders. Killed between its commit and its answer, ours knows the customer's second try by its"
        " Idempotency-Key; the ordinary program places the order twice.",
    ),
    "notification sidecar": Words(
        "Notification sidecar",
        "It takes messages from the broker and delivers them. Killed before it acknowledges one, it is given it"
        " again: the inbox refuses what it already has, and the ordinary program notifies twice.",
    ),
    "notification": Words(
        "Notification app",
        "It notifies customers. While it is gone its sidecar has nobody to deliver to, and may give up or lose"
        " count: ours asks the order service for what is missing (the pull).",
    ),
}
MESSAGES: Mapping[str, Words] = {
    "drop": Words(
        "Drop every second message",
        "The delivery is acknowledged and thrown away just before the notification app, as a broker would that"
        " loses it. Ours pulls it from the order service's feed some seconds later; nobody else ever misses it.",
    ),
    "duplicate": Words(
        "Deliver every message twice",
        "Every broker does this after an acknowledgement that was lost. The inbox has stored the message's id with"
        " its notification, in one transaction, and refuses the second; the ordinary program notifies twice.",
    ),
    "delay": Words(
        "Delay every second message",
        f"It is held for {DELAY:.0f} s. Ours pulls it meanwhile, and when the message comes after all, the inbox"
        " knows it. The ordinary program is late and no worse: without a pull nothing overtakes.",
    ),
}
SAFEGUARDS: Mapping[str, Words] = {
    "outbox": Words(
        "Outbox",
        "Without it the order service commits the order, then publishes in the request. Kill the broker: what was"
        " committed and not published is lost, and no pull finds it, since the feed is the outbox.",
    ),
    "inbox": Words(
        "Inbox",
        "Without it the notification service acts on whatever arrives. Deliver twice, or delay so that pull and"
        " message both come: customers are notified twice.",
    ),
    "pull": Words(
        "Pull",
        "Without it the broker alone decides. Drop messages: they stay in the outbox as published, nobody asks for"
        " them, and their customers hear nothing.",
    ),
}
COUNTERS: Mapping[str, Words] = {
    "accepted": Words("Accepted", "answered 201"),
    "notified": Words("Notified", "line printed, or SENT"),
    "stuck": Words("Not yet", "on the way, or stuck"),
    "lost": Words("Lost", "had the time, and no line"),
    "twice": Words("Twice", "more than one line"),
    "surplus": Words("Placed twice", "one order became two"),
    "unprinted": Words("Cut off", "SENT, line lost by a kill"),
}
