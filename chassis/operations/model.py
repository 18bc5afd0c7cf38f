"""What Operations shows, as the API answers it; a part that does not answer is null, and its silence says why."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from chassis.event import Timestamp
from chassis.http import View

MOST = 10_000
"""Rows that are counted; how many more there are costs as much as it says little."""


class Severity(StrEnum):
    """How urgent a problem is: somebody waits now, somebody will, or nobody does."""

    CRITICAL = "CRITICAL"
    WARNING = "WARNING"
    NOTE = "NOTE"


class Problem(View):
    """What is wrong, in one sentence, and what to do about it."""

    severity: Severity
    what: Annotated[
        str, Field(examples=["12 events wait for the broker, the oldest for 5 min."])
    ]
    do: Annotated[
        str, Field(examples=["See that the broker runs; what waits goes by itself."])
    ]
    address: Annotated[
        str | None,
        Field(description="Where that is done, relative to the service's first page"),
    ] = None


class Count(View):
    """How many there are; `more` than that where counting stopped."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        """Return the number as people read it."""
        return f"{self.number:,}{'+' if self.more else ''}"


class Revision(View):
    """A branch of the migrations: its revision in the database, and the newest in this release."""

    branch: str
    stored: str | None
    code: str


class StoredOutbox(View):
    """The events that the broker does not have."""

    waiting: Count
    oldest: Annotated[
        Timestamp | None, Field(description="When the oldest of them was appended")
    ]
    parked: Annotated[Count, Field(description="Refused by the broker for themselves")]
    parked_reason: str | None
    hidden: Annotated[
        int, Field(description="Committed, but hidden by a long transaction")
    ]
    hidden_by: str | None


class StoredReaction(View):
    """What a reaction has stored about its work."""

    failing: Annotated[
        Count, Field(description="Events on which it has failed, and which are retried")
    ]
    cursor: Annotated[
        str | None, Field(description="Up to where it has compared or pulled the feed")
    ]
    rebuilding: Annotated[bool, Field(description="Whether a rebuild was not finished")]


class DeadLetters(View):
    """The open dead letters of a reaction, or of the dead-letter topic."""

    reaction: str
    open: Count
    oldest: Timestamp | None


class Consumer(View):
    """A reaction of another service that reads this service's feed."""

    name: Annotated[str, Field(examples=["invoicing/send_invoice_on_payment_received"])]
    topic: str
    acknowledged_at: Timestamp
    behind: Annotated[
        int, Field(description="Events of any topic after what it acknowledged")
    ]
    since: Annotated[
        Timestamp | None, Field(description="When the first of them was appended")
    ]


class Tally(View):
    """How many of the service's own records are in a state, and what that asks of an operator, if anything."""

    name: Annotated[str, Field(examples=["HELD"])]
    of: Annotated[str, Field(examples=["Invoices"])]
    count: Count
    oldest: Timestamp | None = None
    problem: Problem | None = None


class Stored(View):
    """What the database says."""

    database: Annotated[str, Field(examples=["SQLite 3.45.1"])]
    revisions: list[Revision]
    processes: Annotated[
        int | None,
        Field(description="Processes of this service; null where that is not known"),
    ]
    outbox: StoredOutbox
    reactions: dict[str, StoredReaction]
    dead_letters: list[DeadLetters]
    consumers: list[Consumer]
    own: list[Tally]


class Component(View):
    """A component that the sidecar has loaded."""

    name: str
    type: Annotated[str, Field(examples=["bindings.smtp"])]
    version: str


class SidecarView(View):
    """What the sidecar says of itself."""

    version: str | None
    tested: Annotated[
        str, Field(description="The version that everything is tested on")
    ]
    flaws: list[str]
    pubsub: Annotated[
        Component | None, Field(description="The component that leads to the broker")
    ]
    components: list[Component]
    subscriptions: list[str]


class Evidence(StrEnum):
    """What is known of a subscription: MISSING at the sidecar, LISTED only, ALIVE, or SILENT though published."""

    MISSING = "MISSING"
    LISTED = "LISTED"
    ALIVE = "ALIVE"
    SILENT = "SILENT"
    UNKNOWN = "UNKNOWN"


class Subscription(View):
    """A subscription, by what it has delivered to this process since its start."""

    topic: str
    state: Evidence
    says: Annotated[str, Field(examples=["alive: last delivery 3 s ago"])]
    pushed: int
    pushed_at: Timestamp | None
    pulled: Annotated[
        int, Field(description="Pulled because nobody had been delivered them")
    ]


class ReactionView(View):
    """A reaction: what waits for it, and how far its pull is behind the feed of the event's sender."""

    name: str
    topic: str
    source: Annotated[str, Field(examples=["shop"])]
    pushed: Annotated[
        bool, Field(description="False for what is only pulled, as its contract says")
    ]
    in_progress: Annotated[int, Field(description="Deliveries that are being handled")]
    stored: StoredReaction | None
    behind: Annotated[
        int | None,
        Field(
            description="Events of any topic that its cursor is behind; null where the feed does not answer"
        ),
    ]
    behind_for: Annotated[float | None, Field(description="Seconds that it is so")]
    answered_at: Annotated[
        Timestamp | None, Field(description="When that feed last answered")
    ]
    grace_period: Annotated[
        float, Field(description="Seconds that a pushed event has before it is pulled")
    ]


class LoopView(View):
    """A background loop of this process; `error` is its newest, which may be over."""

    name: str
    alive: bool
    has_lock: Annotated[
        bool, Field(description="False while another process does its work")
    ]
    failures: Annotated[int, Field(description="Since its last success")]
    failing_for: float
    in_step_for: float
    error: str | None
    error_at: Timestamp | None


class Rate(View):
    """How often something happened, in the newest minute and since the start; named as Prometheus reads it."""

    name: Annotated[str, Field(examples=["inbox_repairs"])]
    about: str
    labels: dict[str, str]
    per_second: float
    total: int


class Latency(View):
    """How long something took, in seconds; null where it has not happened."""

    name: Annotated[str, Field(examples=["messaging_process_duration_seconds"])]
    about: str
    labels: dict[str, str]
    per_second: float
    p50: float | None
    p99: float | None
    total: int
    p50_since_start: float | None
    p99_since_start: float | None


class Operations(View):
    """How a service is: what is wrong first, then what its database, its sidecar and this process say."""

    service: str
    at: Timestamp
    since: Annotated[Timestamp, Field(description="When this process started")]
    problems: list[Problem]
    missing: Annotated[
        list[str], Field(description="What /readyz lacks; empty when it is ready")
    ]
    database_silence: str | None
    stored: Stored | None
    sidecar_silence: str | None
    sidecar: SidecarView | None
    subscriptions: list[Subscription]
    reactions: list[ReactionView]
    rates: list[Rate]
    latencies: list[Latency]
    loops: list[LoopView]
    versions: dict[str, str]


Tallies = Callable[[Session], Sequence[Tally]]
"""Counts a service's own records by state, each at a bounded cost."""


def no_tallies(_session: Session) -> Sequence[Tally]:
    """Return nothing, for a service that counts no records of its own."""
    return ()
