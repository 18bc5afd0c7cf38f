"""Guided scenarios: orders come in, faults happen at their time, then all settles and is judged."""

from dataclasses import dataclass

Step = tuple[float, str, str]
"""Seconds to wait, then a switch: its verb, and what it is about."""


@dataclass(frozen=True)
class Scenario:
    """A story of about a minute; `without` are the safeguards that are taken out of ours before it begins."""

    name: str
    title: str
    story: str
    steps: tuple[Step, ...]
    rate: int = 20
    without: frozenset[str] = frozenset()


SCENARIOS = (
    Scenario(
        "broker",
        "Kill the broker while orders come in",
        "It is killed twice and comes back with its data. Ours accepts orders all the time and loses none.",
        ((3, "kill", "broker"), (12, "kill", "broker"), (8, "wait", "")),
    ),
    Scenario(
        "order-app",
        "Kill the order app while customers wait",
        "Customers try again. Ours knows each by its Idempotency-Key; the ordinary program places orders twice.",
        (
            (4, "kill", "order"),
            (6, "kill", "order"),
            (6, "kill", "order"),
            (5, "wait", ""),
        ),
    ),
    Scenario(
        "sidecar",
        "Kill the notification sidecar again and again",
        "Messages that it had not acknowledged come again. The inbox refuses them; the ordinary program may not.",
        (
            (4, "kill", "notification sidecar"),
            (8, "kill", "notification sidecar"),
            (8, "kill", "notification sidecar"),
            (6, "wait", ""),
        ),
    ),
    Scenario(
        "duplicates",
        "Every message comes twice",
        "As after an acknowledgement that was lost. The inbox refuses the second one.",
        ((1, "on", "duplicate"), (10, "off", "duplicate")),
    ),
    Scenario(
        "losses",
        "Every second message is lost",
        "The pull brings what is missing, some seconds late; the ordinary program never hears of it.",
        ((1, "on", "drop"), (10, "off", "drop")),
    ),
    Scenario(
        "frozen",
        "Freeze the notification sidecar",
        "It is there and does nothing, the fault that is hardest to see. Orders wait; none is lost or doubled.",
        (
            (3, "freeze", "notification sidecar"),
            (12, "up", "notification sidecar"),
            (5, "wait", ""),
        ),
    ),
    Scenario(
        "without-outbox",
        "Without the outbox",
        "Ours publishes in the request, and the broker goes: orders that were accepted are lost.",
        (
            (2, "down", "broker"),
            (3, "kill", "order"),
            (5, "up", "broker"),
            (6, "wait", ""),
        ),
        without=frozenset({"outbox"}),
    ),
    Scenario(
        "without-inbox",
        "Without the inbox",
        "Ours acts on whatever arrives, and every message comes twice: so do the notifications.",
        ((1, "on", "duplicate"), (8, "off", "duplicate")),
        without=frozenset({"inbox"}),
    ),
    Scenario(
        "without-pull",
        "Without the pull",
        "Ours relies on the broker, and every second message is lost: so are the notifications.",
        ((1, "on", "drop"), (8, "off", "drop")),
        without=frozenset({"pull"}),
    ),
)
BY_NAME = {each.name: each for each in SCENARIOS}
