"""What goes wrong with each kind of broker: how it behaves by itself, and how often which fault comes."""

from dataclasses import dataclass, field

from verification.simulation.forgeries import FORGERIES, REPLAY

Span = tuple[float, float]
"""From so many seconds to so many."""
Weights = dict[str, dict[str, int]]
"""How often each act of each kind of fault is drawn, beside the others."""


@dataclass(frozen=True)
class Habits:
    """How a broker and its component are when no fault happens to a message.

    It takes `transit` seconds until a message is there, `again` until what was not acknowledged comes again, and
    `after_sidecar` until what a sidecar held when it ended does. With this chance each, a message comes
    twice (`doubles`), and what is under way while the sidecar ends is gone (`nacks`). Where it keeps the
    order, a message that is not acknowledged holds up those behind it.
    """

    transit: Span = (0.001, 0.02)
    again: Span = (0.2, 2.0)
    after_sidecar: Span = (0.0, 0.5)
    doubles: float = 0.0
    nacks: float = 0.0
    keeps_order: bool = False


@dataclass(frozen=True)
class Profile:
    """A kind of broker."""

    habits: Habits
    own: Weights = field(default_factory=dict)
    has_common: bool = True

    @property
    def faults(self) -> Weights:
        """Everything that may go wrong with it."""
        return {**(COMMON if self.has_common else {}), **self.own}


COMMON: Weights = {
    "crash": {"order": 9, "notification": 9},
    "send": {
        "drop before": 1,
        "drop after": 2,
        "lose the answer": 1,
        "hang": 1,
        "slow": 1,
        "refuse once": 1,
        "refuse permanently": 1,
    },
    "ask": {
        "down": 1,
        "hang": 1,
        "empty": 1,
        "cut": 1,
        "slow": 1,
        "garbage": 1,
        "another version": 1,
        "an old one": 1,
    },
    "order": {"lose the answer": 1, "empty": 1},
    "clock": {
        "order back": 1,
        "order forward": 1,
        "notification back": 1,
        "notification forward": 1,
    },
    "sidecar": {"order": 1, "notification": 1},
    "stop": {"order": 1, "notification": 1},
    "pause": {"order": 1, "notification": 1},
    "disk": {"order": 1, "notification": 1},
    "commit": {"full": 2},
    "begin": {"locked": 2},
}
"""What may go wrong with every broker."""
FORGED = {"forge the source": 1, "unsigned": 1, "malformed": 1, REPLAY: 1}
PUBLISH = {"down": 1, "lose the answer": 2, "hang": 1}

PROFILES = {
    # The component answers 204 for what the broker never confirmed, a queue loses what nobody subscribes to, and
    # what is under way when the sidecar ends is refused without being queued again.
    "rabbitmq": Profile(
        Habits(nacks=0.3),
        {
            "publish": {**PUBLISH, "false": 3, "refuse one": 1},
            "message": {"delay": 2, "duplicate": 2, **FORGED},
            "delivery": {"acknowledge": 3, "again": 1},
            "broker": {"down": 1, "wiped": 1},
        },
    ),
    # What takes long is handed to a second worker, and a killed sidecar's share is taken over late.
    "redis": Profile(
        Habits(after_sidecar=(0.0, 20.0), doubles=0.05),
        {
            "publish": PUBLISH,
            "message": {"park": 2, "delay": 2, **FORGED},
            "delivery": {"again": 3, "acknowledge": 2},
            "broker": {"down": 1, "wiped": 1},
        },
    ),
    # In order. A subscription may stand still until the sidecar's next start, and a rebalance brings
    # again what was acknowledged.
    "kafka": Profile(
        Habits(keeps_order=True, after_sidecar=(0.0, 3.0), doubles=0.02),
        {
            "publish": PUBLISH,
            "message": {"park": 2, "duplicate": 3, **FORGED},
            "delivery": {"again": 3},
            "broker": {"down": 1, "stands still": 3},
        },
    ),
    # What was not acknowledged comes again half a minute later; a connection that was away for long is
    # given up, and a power failure loses what was accepted.
    "jetstream": Profile(
        Habits(after_sidecar=(0.0, 30.0), doubles=0.02),
        {
            "publish": {**PUBLISH, "false": 1},
            "message": {"park": 3, "duplicate": 2, **FORGED},
            "delivery": {"again": 3},
            "broker": {"down": 2, "stands still": 1, "wiped": 1},
        },
    ),
    # What was not acknowledged comes again only on the next connection, and a queue that is full drops.
    "mqtt": Profile(
        Habits(again=(20.0, 40.0), after_sidecar=(0.0, 1.0), doubles=0.05),
        {
            "publish": PUBLISH,
            "message": {"drop": 2, "park": 3, "duplicate": 2, **FORGED},
            "delivery": {"again": 2},
            "broker": {"down": 1, "wiped": 1},
        },
    ),
    # In any order, and more than once; what was tried too often is deleted.
    "snssqs": Profile(
        Habits((0.01, 3.0), again=(5.0, 10.0), after_sidecar=(0.0, 10.0), doubles=0.2),
        {
            "publish": PUBLISH,
            "message": {"drop": 1, "duplicate": 3, "park": 2, **FORGED},
            "delivery": {"again": 3},
            "broker": {"down": 1},
        },
    ),
    "worst": Profile(
        Habits((0.001, 3.0), after_sidecar=(0.0, 20.0), doubles=0.1, nacks=0.5),
        {
            "publish": {**PUBLISH, "false": 4, "refuse one": 1},
            "message": {"drop": 3, "park": 2, "delay": 1, "duplicate": 2, **FORGED},
            "delivery": {"acknowledge": 4, "again": 2},
            "broker": {"down": 1, "wiped": 2, "stands still": 1},
        },
    ),
    # Somebody knows the broker's password: forgeries come before the authentic events, replays after them.
    "forged": Profile(
        Habits(), {"message": dict.fromkeys([*sorted(FORGERIES), REPLAY], 3)}
    ),
}
"""Each is named after its broker, or after what is worst about it; a seed picks one."""
