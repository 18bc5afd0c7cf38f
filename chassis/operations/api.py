"""`GET /api/operations`: how a service is, by its database, its sidecar and its own memory, within two seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from chassis.http import Router, health
from chassis.operations import process
from chassis.operations.look import Look
from chassis.operations.model import Operations, Stored
from chassis.operations.problems import find_problems
from chassis.operations.process import Watched
from chassis.operations.stored import Asked, heads, read_stored
from chassis.runtime import clock

PATIENCE = 2.0
"""Seconds that the database has for its part: some twenty queries, and not one as for /readyz."""

Observe = Callable[[], Awaitable[Operations]]


def observer(watched: Watched) -> Observe:
    """Return what looks at a service; however many ask at once, each part is asked once."""
    parts, reactions = watched.parts, [each.reaction for each in watched.reconcilers]

    async def ask_database() -> Stored:
        newest = heads(parts.name, parts.migrations)
        asked = Asked(parts.name, reactions, newest, watched.tallies)
        return await parts.database.read(lambda session: read_stored(session, asked))

    database: Look[Stored] = Look(ask_database, PATIENCE)
    sidecar: Look[dict[str, Any]] = Look(parts.sidecar.metadata, health.PATIENCE)

    async def observe() -> Operations:
        # Once, and of nobody's time to answer: it reads the migrations' files.
        await asyncio.to_thread(heads, parts.name, parts.migrations)
        (stored, no_database), (loaded, no_sidecar) = await asyncio.gather(
            database(), sidecar()
        )
        missing = health.absent(no_database, no_sidecar, loaded, watched.needs)
        now, pubsub = clock.now(), parts.settings.pubsub_name
        rates, latencies = watched.rates.show()
        shown = process.show_sidecar(loaded, pubsub) if loaded is not None else None
        seen = Operations(
            service=parts.name,
            at=now,
            since=watched.inbox.arrivals.since,
            problems=[],
            missing=[*missing, *health.ended(watched.tasks)],
            database_silence=no_database,
            stored=stored,
            sidecar_silence=no_sidecar,
            sidecar=shown,
            subscriptions=[*process.show_subscriptions(watched, shown, now)],
            reactions=[*process.show_reactions(watched, stored, now)],
            rates=rates,
            latencies=latencies,
            loops=[*process.show_loops(watched)],
            versions=process.versions(stored.database if stored else None),
        )
        return seen.model_copy(update={"problems": find_problems(seen)})

    return observe


def router(observe: Observe) -> Router:
    """Return the route of a service that is looked at so."""
    made = Router(tags=["Operations"])

    @made.get("/api/operations")
    async def get_operations() -> Operations:
        """Show how the service is.

        What is wrong comes first, each in one sentence with what to do. It answers within two seconds even where
        the database or the sidecar does not: their parts are null then. Numbers stop at 10,000.
        """
        return await observe()

    return made
