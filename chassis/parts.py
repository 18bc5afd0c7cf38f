"""The parts of a service as one typed object."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from chassis.access import Access, CodeFlow
from chassis.cloud_event import Keys
from chassis.dapr import Sidecar
from chassis.database import Database
from chassis.outbox import Backlog
from chassis.runtime.settings import ServiceSettings
from chassis.runtime.telemetry import Tracer

InFlight = MutableMapping[tuple[str, str], asyncio.Lock]
"""A lock for each Idempotency-Key in use in this process, by its scope and key."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A service's name (its app-id), settings, migrations, database, sidecar, keys and secrets."""

    name: str
    settings: ServiceSettings
    migrations: Path | None
    database: Database
    sidecar: Sidecar
    keys: Keys
    secret: str
    """What a consumer sends to read the feed; never a signing key."""
    backlog: Backlog
    # None where there is no access control: everything is allowed.
    access: Access | None = None
    # None where nobody signs in on the pages.
    sign_in: CodeFlow | None = None
    # None where nothing is traced.
    tracer: Tracer | None = None
    # A lock is dropped when no request holds it or waits for it.
    in_flight: InFlight = field(default_factory=WeakValueDictionary)
