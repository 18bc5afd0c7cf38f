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
        "It carries messages from one sidecar to the other. Without it ours accepts orders, which wait in the"
        " outbox. The ordinary program publishes in the request: it refuses them, and now and then loses one.",
    ),
    "order sidecar": Words(
        "Order sidecar",
        "Orders come in and messages leave through it. A customer whose answer it cut off orders again: ours knows"
        " the Idempotency-Key, the ordinary program places a second order.",
    ),
    "order": Words(
        "Order app",
        "It accepts orders. Customers who get no answer try again: ours answers from what it committed, the"
        " ordinary program may have published already, and does so again.",
    ),
    "notification sidecar": Words(
        "Notification sidecar",
        "It takes messages from the broker and delivers them. What it has delivered and not acknowledged comes"
        " again: the inbox refuses it, the ordinary program notifies twice.",
    ),
    "notification": Words(
        "Notification app",
        "It notifies customers. What it was at comes again when it is back: ours has committed it or not, and the"
        " inbox knows; the ordinary program cannot tell.",
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
