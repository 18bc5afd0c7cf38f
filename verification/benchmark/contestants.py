"""Who takes part, each entered in the same way: two apps on servers of their own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contestant:
    """A program: its folder in `peers` (None is ours), what it runs on, and which brokers it can use."""

    name: str
    peer: str | None
    database: str = "sqlite"
    sidecars: bool = True
    brokers: tuple[str, ...] = ("rabbitmq", "redis", "kafka")


ALL = (
    Contestant("ours", None),
    Contestant("ours-postgresql", None, database="postgresql"),
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
