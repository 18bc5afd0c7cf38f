"""What a process knows of itself without asking: its loops, its reactions, what its subscriptions delivered."""

import asyncio
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from chassis import flaws
from chassis.event import Delivery
from chassis.inbox import Inbox
from chassis.operations.model import (
    Component,
    Evidence,
    LoopView,
    ReactionView,
    SidecarView,
    Stored,
    StoredReaction,
    Subscription,
    Tallies,
    no_tallies,
)
from chassis.operations.rates import Rates
from chassis.operations.words import counted, since
from chassis.parts import Parts
from chassis.reconciler import Reconciler
from chassis.runtime import Loop

FRESH = timedelta(seconds=15)
"""How old a feed's newest answer may be for a lag to be known: a reaction asks each second."""
_PACKAGES = ("dapr", "fastapi", "sqlalchemy", "psycopg")


@dataclass(frozen=True)
class Watched:
    """The parts of a running service that Operations looks at.

    `needs` are the components and subscriptions without which it is not ready, as /readyz names them.
    """

    parts: Parts
    inbox: Inbox
    reconcilers: Sequence[Reconciler]
    loops: Sequence[Loop]
    tasks: Sequence[asyncio.Task[None]]
    needs: Collection[str]
    tallies: Tallies = no_tallies
    rates: Rates = field(default_factory=Rates)

    @property
    def topics(self) -> list[str]:
        """The topics that it subscribes to."""
        begins = "subscription to "
        found = (each for each in self.needs if each.startswith(begins))
        return sorted(each.removeprefix(begins) for each in found)


def show_loops(watched: Watched) -> Iterator[LoopView]:
    """Yield what each loop does."""
    ended = {each.get_name() for each in watched.tasks if each.done()}
    for loop in watched.loops:
        status = loop.status()
        yield LoopView.model_validate(
            {**vars(status), "alive": status.name not in ended}
        )


def show_reactions(
    watched: Watched, stored: Stored | None, now: datetime
) -> Iterator[ReactionView]:
    """Yield how far each reaction is."""
    for each in watched.reconcilers:
        own = stored.reactions.get(each.reaction.name) if stored else None
        yield _reaction(watched, each, own, now)


def _reaction(
    watched: Watched,
    reconciler: Reconciler,
    stored: StoredReaction | None,
    now: datetime,
) -> ReactionView:
    reaction = reconciler.reaction
    pushed = reaction.event.delivery is Delivery.PUSH_AND_PULL
    progress = reconciler.progress
    heard_at, events, seconds = progress.answered_at, None, None
    if stored and heard_at and now - heard_at < FRESH:
        events, seconds = progress.behind(stored.cursor)
    return ReactionView(
        name=reaction.name,
        topic=reaction.event.topic(),
        source=reaction.event.source,
        pushed=pushed,
        in_progress=watched.parts.database.waiting(f"deliveries to {reaction.name}"),
        stored=stored,
        behind=events,
        behind_for=seconds,
        answered_at=heard_at,
        grace_period=reconciler.grace_period,
    )


def show_sidecar(loaded: Mapping[str, Any], pubsub: str) -> SidecarView:
    """Return what a sidecar with this metadata has loaded, with the known flaws of its version."""
    components = [
        Component(name=each["name"], type=each["type"], version=each["version"])
        for each in loaded.get("components") or []
    ]
    number = loaded.get("runtimeVersion")
    return SidecarView(
        version=number,
        tested=flaws.TESTED,
        flaws=[*_flaws(number)],
        pubsub=next((each for each in components if each.name == pubsub), None),
        components=components,
        subscriptions=[each["topic"] for each in loaded.get("subscriptions") or []],
    )


def _flaws(number: str | None) -> Iterator[str]:
    try:
        found = [*flaws.known_flaws(number or "")]
    except ValueError:  # one that somebody built without a version
        return
    yield from (" ".join(each.split()) for each in found)


def show_subscriptions(
    watched: Watched, sidecar: SidecarView | None, now: datetime
) -> Iterator[Subscription]:
    """Yield whether each subscription is alive, by what it has delivered."""
    arrivals = watched.inbox.arrivals
    for topic in watched.topics:
        seen = arrivals.of(topic)
        state = _evidence(watched, sidecar, topic)
        last = (
            f"last delivery {since(seen.pushed_at, now)} ago" if seen.pushed_at else ""
        )
        quiet = since(seen.pushed_at or arrivals.since, now)
        missed = counted(seen.missed, "event was", "events were")
        says = {
            Evidence.UNKNOWN: "the sidecar does not answer",
            Evidence.MISSING: "the sidecar does not list it",
            Evidence.SILENT: f"nothing delivered for {quiet} although {missed} published and pulled",
            Evidence.ALIVE: last,
            Evidence.LISTED: f"nothing came by it, and nothing was missed, since the start {quiet} ago",
        }[state]
        if last and state in {Evidence.UNKNOWN, Evidence.MISSING}:
            says = f"{says}; {last}"
        yield Subscription(
            topic=topic,
            state=state,
            says=f"{state.lower()}: {says}",
            pushed=seen.pushed,
            pushed_at=seen.pushed_at,
            pulled=seen.pulled,
        )


def _evidence(watched: Watched, sidecar: SidecarView | None, topic: str) -> Evidence:
    arrivals = watched.inbox.arrivals
    if sidecar is None:
        return Evidence.UNKNOWN
    if topic not in sidecar.subscriptions:
        return Evidence.MISSING
    if arrivals.is_silent(topic):
        return Evidence.SILENT
    return Evidence.ALIVE if arrivals.of(topic).pushed_at else Evidence.LISTED


def versions(database: str | None) -> dict[str, str]:
    """Return the versions of what runs here."""
    packages = {each: version(each) for each in _PACKAGES}
    own = {"python": platform.python_version(), **packages}
    return own if database is None else {**own, "database": database}
