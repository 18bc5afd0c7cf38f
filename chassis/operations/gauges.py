"""What Operations shows, as gauges for Prometheus; a part that did not answer has none."""

import tomllib
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from prometheus_client.core import Metric

from chassis.operations.model import Evidence, Operations, Severity, Stored
from chassis.runtime.metrics import Shown, Values

TARGET = Shown(
    "target_info",
    "What is scraped; always 1.",
    ("service_name", "service_version", "service_instance_id", "dapr_runtime_version"),
)
READY = Shown("service_ready", "Whether the service is ready, as /readyz says: 1 or 0.")
PROBLEMS = Shown(
    "operations_problems",
    "Problems that /operations names, by severity.",
    ("severity",),
)
DATABASE_UP = Shown(
    "database_up", "Whether the database answered within two seconds: 1 or 0."
)
SIDECAR_UP = Shown(
    "sidecar_up", "Whether the sidecar answered within a second: 1 or 0."
)
SUBSCRIPTIONS = Shown(
    "subscription_alive",
    "0 where the sidecar does not list it, or delivers nothing of what is published; else 1.",
    ("topic",),
)
CURSORS = Shown(
    "feed_cursor_behind_seconds",
    "For how long a reaction's cursor has been behind the feed that it pulls.",
    ("reaction",),
)
BACKLOG = Shown(
    "outbox_backlog_events", "Events that wait for the broker, up to 10,000."
)
OLDEST = Shown(
    "outbox_oldest_age_seconds",
    "Age of the oldest event that waits for the broker; 0 where none does.",
)
PARKED = Shown(
    "outbox_parked_events",
    "Events that are parked: the broker refused each by itself; up to 10,000.",
)
HIDDEN = Shown(
    "outbox_hidden_events",
    "Events that a long transaction of the database hides from their consumers.",
)
LETTERS = Shown(
    "dead_letters_open",
    "Dead letters that nobody has replayed or discarded, up to 10,000.",
    ("reaction",),
)
CONSUMERS = Shown(
    "feed_consumer_behind_seconds",
    "Age of the first event that a consumer of this service's feed has not acknowledged.",
    ("consumer",),
)
RECORDS = Shown(
    "service_records",
    "The service's own records in states that pass or need somebody, up to 10,000.",
    ("state",),
)
RECORDS_OLDEST = Shown(
    "service_records_oldest_age_seconds",
    "Since when the oldest record in a state is there, or is due; 0 where none is.",
    ("state",),
)


def show(seen: Operations, instance: str) -> Iterator[Metric]:
    """Yield the gauges of what was seen of this instance of a service."""
    runtime = seen.sidecar.version if seen.sidecar else None
    about = seen.service, _version(), instance, runtime or ""
    yield TARGET.family({about: 1})
    yield READY.family({(): not seen.missing})
    yield DATABASE_UP.family({(): seen.stored is not None})
    yield SIDECAR_UP.family({(): seen.sidecar is not None})
    severities = [each.severity for each in seen.problems]
    yield PROBLEMS.family({(each,): severities.count(each) for each in Severity})
    yield SUBSCRIPTIONS.family(_subscriptions(seen))
    behind: Values = {
        (each.name,): each.behind_for
        for each in seen.reactions
        if each.behind_for is not None
    }
    yield CURSORS.family(behind)
    if seen.stored:
        yield from _stored(seen, seen.stored)


def _subscriptions(seen: Operations) -> Values:
    dead = {Evidence.MISSING, Evidence.SILENT}
    known = [each for each in seen.subscriptions if each.state != Evidence.UNKNOWN]
    return {(each.topic,): each.state not in dead for each in known}


def _stored(seen: Operations, stored: Stored) -> Iterator[Metric]:
    def age(at: datetime | None) -> float:
        return max(0.0, (seen.at - at).total_seconds()) if at else 0.0

    outbox, letters = stored.outbox, {each.name: 0 for each in seen.reactions}
    letters |= {each.reaction: each.open.number for each in stored.dead_letters}
    yield BACKLOG.family({(): outbox.waiting.number})
    yield OLDEST.family({(): age(outbox.oldest)})
    yield PARKED.family({(): outbox.parked.number})
    yield HIDDEN.family({(): outbox.hidden})
    yield LETTERS.family({(name,): number for name, number in letters.items()})
    yield CONSUMERS.family({(each.name,): age(each.since) for each in stored.consumers})
    yield RECORDS.family({(each.name,): each.count.number for each in stored.own})
    yield RECORDS_OLDEST.family({(each.name,): age(each.oldest) for each in stored.own})


@cache
def _version() -> str:
    """Return the version of this project: as it is installed, or as its source says."""
    if installed := metadata.packages_distributions().get(__name__.partition(".")[0]):
        return metadata.version(installed[0])
    project = Path(__file__).parents[2] / "pyproject.toml"
    return str(tomllib.loads(project.read_text())["project"]["version"])
