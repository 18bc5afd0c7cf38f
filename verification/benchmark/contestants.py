"""Who takes part, each entered in the same way: two apps on servers of their own."""

import re
from dataclasses import dataclass, replace

VARIANT = re.compile(r"([a-z-]+)(?:\+(\d+))?(?::(\d+))?")


@dataclass(frozen=True)
class Contestant:
    """A program: its folder in `peers` (None is ours), what it runs on, and which brokers it can use.

    Ours may begin with so many orders that are `stored`; on PostgreSQL each service has `replicas`. Services and
    sidecars export the spans of the share of orders that is `traced`.
    """

    name: str
    peer: str | None
    database: str = "sqlite"
    sidecars: bool = True
    brokers: tuple[str, ...] = ("rabbitmq", "redis", "kafka")
    stored: int = 0
    replicas: int = 1
    traced: float = 0


ALL = (
    Contestant("ours", None),
    Contestant("ours-postgresql", None, database="postgresql"),
    Contestant("ours-traced", None, traced=0.1),
    Contestant("ours-traced-all", None, traced=1),
    Contestant("ordinary", "ordinary"),
    Contestant("faststream", "faststream", sidecars=False, brokers=("rabbitmq",)),
    Contestant(
        "faststream-outbox",
        "outbox",
        "postgresql",
        sidecars=False,
        brokers=("rabbitmq",),
    ),
)
BY_NAME = {each.name: each for each in ALL}


def entered(name: str) -> Contestant:
    """Return a contestant, or a variant of one: ours+1000000 (orders stored), ours-postgresql:2 (replicas)."""
    found = VARIANT.fullmatch(name)
    if not found or found[1] not in BY_NAME:
        raise ValueError(f"{name} is none of {', '.join(BY_NAME)}")
    stored, replicas = int(found[2] or 0), int(found[3] or 1)
    chosen = replace(BY_NAME[found[1]], name=name, stored=stored, replicas=replicas)
    if stored and chosen.peer:
        raise ValueError(f"{name}: only ours stores orders")
    if replicas > 1 and chosen.database == "sqlite":
        raise ValueError(f"{name}: replicas share a PostgreSQL")
    return chosen
