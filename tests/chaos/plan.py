"""Which faults there will be, by a seed: the same seed is the same plan."""

import random
from dataclasses import dataclass

PARTS = (
    "order",
    "notification",
    "order sidecar",
    "notification sidecar",
    "broker",
    "mail",
)
"""What can be killed, terminated, held still, and taken away for a while."""
SIGNALS = ("kill", "terminate", "stop", "down")
LINK_FAULTS = ("cut", "refuse", "slow", "silent", "mute", "cut after")
MESSAGES = ("duplicates", "forged")


@dataclass(frozen=True)
class Fault:
    """One fault: what is done to which part or link, for so many seconds, after a pause."""

    kind: str
    part: str
    seconds: float
    pause: float


@dataclass(frozen=True)
class Setting:
    """What a run is made on; links are the connections that a proxy stands in."""

    broker: str = "rabbitmq"
    database: str = "sqlite"
    mail: str = "smtp"
    longest: float = 8.0

    @property
    def parts(self) -> tuple[str, ...]:
        """Everything that can be killed."""
        return (*PARTS, "database") if self.database == "postgresql" else PARTS

    @property
    def links(self) -> tuple[str, ...]:
        """Every connection with a proxy in it; Kafka's clients go to where Kafka says it is, past a proxy."""
        links = ["mail"]
        if self.broker != "kafka":
            links.append("broker")
        if self.database == "postgresql":
            links.append("database")
        return tuple(links)


def kinds(setting: Setting) -> list[tuple[str, str]]:
    """List every kind of fault on everything that it can be done to."""
    found = [(kind, part) for part in setting.parts for kind in SIGNALS]
    found += [(kind, f"{link} link") for link in setting.links for kind in LINK_FAULTS]
    found += [(kind, "broker") for kind in ("wipe", *MESSAGES)]
    return found + [("purge", "broker")] * (setting.broker == "rabbitmq")


def make(seed: int, number: int, setting: Setting) -> list[Fault]:
    """Choose so many faults; no kind comes a second time before each was there once."""
    chance = random.Random(seed)
    chosen: list[tuple[str, str]] = []
    while len(chosen) < number:
        possible = kinds(setting)
        chosen += chance.sample(possible, len(possible))
    return [
        Fault(
            kind,
            part,
            round(chance.uniform(1, setting.longest), 2),
            round(chance.uniform(0.2, 2), 2),
        )
        for kind, part in chosen[:number]
    ]
