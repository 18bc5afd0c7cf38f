"""What the tests were run on, in a few lines at the end: counted from the names of those that passed."""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable

from toolchain.dapr import programs
from toolchain.machine import this_machine
from toolchain.servers import postgresql

ROWS = {
    "databases": ("sqlite", "postgresql"),
    "sidecars": ("simulated", "daprd"),
    "brokers": ("rabbitmq", "redis", "kafka"),
}
"""The parameters by which a test says what it is run on: of each_database, dapr, and system."""


def summary(passed: Iterable[str]) -> list[str]:
    """Return on which parts these tests were run, and how many on each."""
    counted = Counter(
        part
        for nodeid in passed
        for part in set(re.findall(r"[a-z]+", _variant(nodeid)))
    )
    lines = []
    for row, parts in ROWS.items():
        shown = [f"{_shown(part)} {counted[part]}" for part in parts if counted[part]]
        if shown:
            lines.append(f"{row + ':':<11}{', '.join(shown)}")
    return lines


def _variant(nodeid: str) -> str:
    return nodeid.partition("[")[2]


def _shown(part: str) -> str:
    return {
        "sqlite": f"SQLite {sqlite3.sqlite_version}:",
        "postgresql": f"PostgreSQL {_postgresql()}:",
        "simulated": "simulated:",
        "daprd": f"daprd {_daprd()}:",
        "rabbitmq": "RabbitMQ:",
        "redis": "Redis:",
        "kafka": "Kafka:",
    }[part]


def _postgresql() -> str:
    found = postgresql.installed(this_machine())
    return str(postgresql.version_of(found)) if found else ""


def _daprd() -> str:
    return programs.version_of(this_machine().programs / programs.SIDECAR.name) or ""
