"""Reckon from the stored figures what a number of orders a second needs: the tables of docs/scale.md.

python -m verification.benchmark.scale writes them into the page; a test compares it.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from chassis.database.engine import READERS, WRITERS
from toolchain.runfile import ROOT

FIGURES = ROOT / "docs" / "performance"
PAGE = ROOT / "docs" / "scale.md"
CONTESTANT = "ours-postgresql"
LONE, FULL = "200 orders/s", "8 clients"
"""The loads that were measured: orders that share little, and as many as the machine carries."""
RATES = (10, 1_000, 100_000, 1_000_000)
LONE_UP_TO = 200
HALF = 0.5
"""The share of its limit up to which a part is loaded: the rest is for bursts, and for a part that is away."""
MAIL_SECONDS = 0.05
NODES = 3
"""Nodes of the broker: a quorum queue has a copy on each."""
ONE_QUEUE = 15_603
"""Messages a second of one quorum queue on two processors (docs/performance.md)."""
ONE_PRIMARY = 50e6
"""Bytes of WAL a second of one PostgreSQL and its standby: half of what a network of 1 Gbit/s carries."""
CONNECTIONS = READERS + WRITERS + 1
"""Of one process: its pool, and the connection of the lock that it holds while it runs."""
AT_LEAST = 2
"""Replicas, so that one may be away."""
DAY, EVENTS_ARE_KEPT = 86_400, 7
"""Seconds, and days (RETENTION_DAYS)."""
PARTS = (
    "order app",
    "order sidecar",
    "broker",
    "notification sidecar",
    "notification app",
    "database",
)
REMAINS = ("order.orders", "notification.notification")


@dataclass(frozen=True)
class Cost:
    """What one order costs under one load: CPU ms by part, and the figures of cost.json."""

    cpu: dict[str, float]
    other: dict[str, float]

    @property
    def kept(self) -> dict[str, float]:
        """The bytes that remain of an order in each table, with its indexes."""
        kept = ((name, each) for name, each in self.other.items() if "kept" in name)
        return {name.removeprefix("kept "): each for name, each in kept}

    @property
    def for_good(self) -> float:
        """The bytes that no retention removes."""
        return sum(self.kept.get(table, 0) for table in REMAINS)

    @property
    def of_events(self) -> float:
        """The bytes that the retention removes."""
        return sum(self.kept.values()) - self.for_good

    @property
    def between_hosts(self) -> float:
        """The bytes between machines: broker and database with their copies; a sidecar is beside its app."""
        copies = self.other["network broker"] / 2 * (NODES - 1)
        own = self.other["network broker"] + self.other["network database"]
        return own + copies + self.other["WAL bytes"]


def costs() -> dict[str, Cost]:
    """Read the stored figures; the CPU time is the median of the rounds on a quiet machine."""
    rounds = json.loads((FIGURES / "rabbitmq.json").read_text())["measured"]
    lone, full = json.loads((FIGURES / "cost.json").read_text())["measured"]
    return {
        LONE: Cost(_cpu(rounds, LONE), lone["per_order"]),
        FULL: Cost(_cpu(rounds, FULL), full["per_order"]),
    }


def _cpu(rounds: list[dict[str, Any]], load: str) -> dict[str, float]:
    mine = [r["cpu_ms"] for r in rounds if (r["contestant"], r["load"]) == (CONTESTANT, load)]  # fmt: skip
    return {part: median(each.get(part, 0) for each in mine) for part in PARTS}


@dataclass(frozen=True)
class Need:
    """What a number of orders a second needs."""

    rate: int
    cost: Cost

    def busy(self, *parts: str) -> float:
        """Return how many processors these parts keep busy."""
        return self.rate * sum(self.cost.cpu[each] for each in parts) / 1000

    def replicas(self, app: str) -> int:
        """Return how many processes of a service are half busy; one has one interpreter, so one processor."""
        return max(AT_LEAST, math.ceil(self.busy(app) / HALF))

    @property
    def wal(self) -> float:
        """The bytes of WAL a second."""
        return self.rate * self.cost.other["WAL bytes"]

    @property
    def events(self) -> float:
        """The bytes of all events that are kept."""
        return self.rate * DAY * EVENTS_ARE_KEPT * self.cost.of_events

    @property
    def mailers(self) -> int:
        """The processes of the notification service where every order has a mail: each sends one at a time."""
        return max(AT_LEAST, math.ceil(self.rate * MAIL_SECONDS / HALF))

    @property
    def connections(self) -> int:
        """The connections of both services to their databases, without a pooler."""
        apps = ("order app", "notification app")
        return CONNECTIONS * sum(map(self.replicas, apps))


ROWS: tuple[tuple[str, Callable[[Need], str]], ...] = (
    ("processors busy, all parts, one copy", lambda n: _short(n.busy(*PARTS))),
    ("order service, processes half busy", lambda n: f"{n.replicas('order app'):,}"),
    ("notification service, processes half busy", lambda n: f"{n.replicas('notification app'):,}"),
    ("the same where every order has a mail by SMTP", lambda n: f"{n.mailers:,}"),
    ("sidecars, processors busy", lambda n: _short(n.busy("order sidecar", "notification sidecar"))),
    ("broker, three nodes, processors busy", lambda n: _short(NODES * n.busy("broker"))),
    ("quorum queues, half loaded", lambda n: str(math.ceil(n.rate / (ONE_QUEUE * HALF)))),
    ("databases, processors busy", lambda n: _short(n.busy("database"))),
    ("WAL, MB/s", lambda n: _short(n.wal / 1e6)),
    ("fsyncs of the WAL a second, of all databases", lambda n: _short(n.rate * n.cost.other["WAL fsyncs"])),
    ("primaries, each with a standby", lambda n: str(math.ceil(n.wal / ONE_PRIMARY))),
    ("connections to databases", lambda n: f"{n.connections:,}"),
    ("network between machines, MB/s", lambda n: _short(n.rate * n.cost.between_hosts / 1e6)),
    ("orders and notifications, GB a day, for good", lambda n: _short(n.rate * DAY * n.cost.for_good / 1e9)),
    ("events, inbox and outbox, GB, for seven days", lambda n: _short(n.events / 1e9)),
)  # fmt: skip


def needs() -> list[Need]:
    """Return what each of the rates needs; few orders share little, many share as much as was measured."""
    found = costs()
    return [Need(r, found[LONE if r <= LONE_UP_TO else FULL]) for r in RATES]


def _short(number: float) -> str:
    if number >= 100:
        return f"{float(f'{number:.3g}'):,.0f}"
    return f"{number:.2g}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def need_table() -> Iterator[str]:
    """Write what each rate needs."""
    yield _line("", *(f"{rate:,} orders/s" for rate in RATES))
    yield _line(*["---"] * (len(RATES) + 1))
    for name, cell in ROWS:
        yield _line(name, *map(cell, needs()))


def cost_table() -> Iterator[str]:
    """Write what one order costs."""
    found = costs()
    yield _line("one order", *found)
    yield _line(*["---"] * (len(found) + 1))
    for part in PARTS:
        shown = (f"{each.cpu[part]:.3g}" for each in found.values())
        yield _line(f"CPU ms, {part}", *shown)
    names = [name for name in found[FULL].other if not name.startswith("kept")]
    for name in names:
        shown = (_short(each.other.get(name, 0)) for each in found.values())
        yield _line(f"{name}{' bytes' * (name[:4] in {'disk', 'netw'})}", *shown)
    for table in found[FULL].kept:
        shown = (_short(each.kept.get(table, 0)) for each in found.values())
        yield _line(f"bytes kept in `{table}`, with indexes", *shown)


TABLES = {"what one order costs": cost_table, "what each needs": need_table}


def written(page: str) -> str:
    """Return the page with its tables as the figures make them."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        after = rest.partition(end)[2]
        text = "\n".join(table())
        page = f"{before}{begin}{text}\n{end}{after}"
    return page


def main(page: Path = PAGE) -> None:
    """Write the tables into the page."""
    page.write_text(written(page.read_text()))


if __name__ == "__main__":
    main()
