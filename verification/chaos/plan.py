"""Which faults there will be, by a seed: the same seed is the same plan."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

SIGNALS = ("kill", "terminate", "stop", "down")
"""SIGKILL, SIGTERM, SIGSTOP with a SIGCONT later; and down for a while, with its supervisor."""
KILL_AT_COMMIT, COMMIT_FAILS, COMMIT_UNKNOWN = COMMITS = (
    "kill at commit",
    "commit fails",
    "commit unknown",
)
"""SIGKILL between a COMMIT and its answers; a COMMIT that fails; one that succeeds, and says that it failed."""
ENDS = ("kill", "terminate", "down", KILL_AT_COMMIT)
"""Those after which the process is another one."""
LINK_FAULTS = ("cut", "refuse", "slow", "silent", "mute", "cut after")
MESSAGES = ("duplicates", "forged")
CLOCKS = ("clock back", "clock forward")
APPS = ("order", "notification")
NODES = ("broker 1", "broker 2", "broker 3")
PAIR = ("primary", "standby")
PARTITION, ROLLING, FAIL_OVER, FAIL_OVER_BY_CABLE = (
    "partition",
    "rolling restart",
    "fail over",
    "partition and fail over",
)
"""Of clusters: a node without its cable; each node in turn; the standby promoted, its primary dead or cut off."""
ROLLING_TAKES = 60.0
"""Seconds, about."""
RECOVERY = 4.0
"""Seconds until all works again after a fault, about."""


@dataclass(frozen=True)
class Fault:
    """One fault: what is done to which part or link, for so many seconds, after a pause."""

    kind: str
    part: str
    seconds: float
    pause: float


@dataclass(frozen=True)
class Setting:
    """What a run is made on, and what this machine lets be done to it.

    A fault takes `longest` seconds at most; what is stopped is so for `still` seconds. `clocks`: a process
    can be shown another time of day; `disks`: a small disk can be mounted. `secure`: with tokens, mTLS and
    access control, and so with sentry and an issuer. `clusters`: the broker has three nodes, PostgreSQL a standby,
    which is `synchronous` or not.
    """

    broker: str = "rabbitmq"
    database: str = "sqlite"
    mail: str = "smtp"
    replicas: int = 1
    longest: float = 8.0
    still: float = 60.0
    clocks: bool = False
    disks: bool = False
    ordinary: bool = False
    secure: bool = False
    clusters: bool = False
    synchronous: bool = True

    @property
    def apps(self) -> tuple[str, ...]:
        """Every process of both services: order, notification, order 2, notification 2 ..."""
        numbers = ("", *(f" {each}" for each in range(2, self.replicas + 1)))
        return tuple(f"{app}{number}" for number in numbers for app in APPS)

    @property
    def order_apps(self) -> tuple[str, ...]:
        """Every process of the order service."""
        return tuple(each for each in self.apps if each.startswith("order"))

    @property
    def notification_apps(self) -> tuple[str, ...]:
        """Every process of the notification service."""
        return tuple(each for each in self.apps if each.startswith("notification"))

    @property
    def parts(self) -> tuple[str, ...]:
        """Everything that can be killed."""
        sidecars = (f"{app} sidecar" for app in self.apps)
        return (*self.apps, *sidecars, *self.servers)

    @property
    def servers(self) -> tuple[str, ...]:
        """Every server that the services and their sidecars need."""
        if self.clusters:
            return (*NODES, *PAIR, "mail")
        database = ("database",) * (self.database == "postgresql")
        return ("broker", "mail", *database, *("sentry", "issuer") * self.secure)

    @property
    def links(self) -> tuple[str, ...]:
        """Every connection with a proxy in it; Kafka's clients go to where Kafka says it is, past a proxy."""
        links = ["mail"]
        if self.broker != "kafka":
            links.append("broker")
        if self.database == "postgresql":
            links.append("database")
        return tuple(links)

    @property
    def small_disks(self) -> tuple[str, ...]:
        """The services whose database lies on a small disk of its own."""
        return APPS if self.disks and self.database == "sqlite" else ()


def _of_clusters(setting: Setting) -> list[tuple[str, str]]:
    servers = (*NODES, *PAIR)
    found = [(kind, each) for each in servers for kind in (*SIGNALS, PARTITION)]
    found += [(ROLLING, "broker"), (FAIL_OVER, "primary"), (FAIL_OVER_BY_CABLE, "primary")]  # fmt: skip
    found += [(PARTITION, each) for each in setting.apps]
    parts = (each for each in setting.parts if each not in setting.servers)
    return found + [("kill", each) for each in parts]


def kinds(setting: Setting) -> list[tuple[str, str]]:
    """Return every kind of fault with everything that it can be injected into."""
    if setting.clusters:
        return _of_clusters(setting)
    found = [(kind, part) for part in setting.parts for kind in SIGNALS]
    found += [(kind, f"{link} link") for link in setting.links for kind in LINK_FAULTS]
    found += [(kind, "broker") for kind in ("wipe", *MESSAGES)]
    found += [("purge", "broker")] * (setting.broker == "rabbitmq")
    found += [(kind, app) for app in setting.apps for kind in COMMITS]
    found += [("disk full", app) for app in setting.small_disks]
    return found + [(kind, app) for app in setting.apps * setting.clocks for kind in CLOCKS]  # fmt: skip


def make(
    seed: int, number: int, setting: Setting, only: Sequence[str] = ()
) -> list[Fault]:
    """Return so many faults; no kind comes a second time before each has come once.

    `only` limits them to some: by kind, by part, or by both as in "kill order".
    """
    chance = random.Random(seed)
    possible = [each for each in kinds(setting) if not only or _is_one(each, only)]
    chosen: list[tuple[str, str]] = []
    while possible and len(chosen) < number:
        chosen += chance.sample(possible, len(possible))
    taken = {"stop": setting.still, ROLLING: ROLLING_TAKES}
    return [
        Fault(
            kind,
            part,
            taken.get(kind) or round(chance.uniform(1, setting.longest), 2),
            round(chance.uniform(0.2, 2), 2),
        )
        for kind, part in chosen[:number]
    ]


def lasts(faults: Sequence[Fault]) -> float:
    """Return about how many seconds these faults take: over so long the orders are spread."""
    return sum(each.pause + each.seconds + RECOVERY for each in faults)


def _is_one(fault: tuple[str, str], only: Sequence[str]) -> bool:
    kind, part = fault
    return bool({kind, part, f"{kind} {part}"} & {*only})
