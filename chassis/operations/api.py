"""`GET /api/operations`: how a service is, by its database, its sidecar and its own memory, within two seconds."""

import asyncio
from typing import Any

from chassis.http import OPERATE, Router, health
from chassis.operations import process
from chassis.operations.look import Look
from chassis.operations.model import Operations, Stored
from chassis.operations.problems import find_problems
from chassis.operations.process import Watched
from chassis.operations.stored import Asked, heads, read_stored
from chassis.runtime import clock

PATIENCE = 2.0
"""Seconds that the database has for its part: some twenty queries, and not one as for /readyz."""


class Observer:
    """Looks at a service; however many ask at once, its database and its sidecar are each asked once."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._database: Look[Stored] = Look(self._ask_database, PATIENCE)
        metadata = watched.parts.sidecar.metadata
        self._sidecar: Look[dict[str, Any]] = Look(metadata, health.PATIENCE)

    async def _ask_database(self) -> Stored:
        watched, parts = self._watched, self._watched.parts
        reactions = [each.reaction for each in watched.reconcilers]
        newest = heads(parts.name, parts.migrations)
        asked = Asked(parts.name, reactions, newest, watched.tallies)
        return await parts.database.read(lambda session: read_stored(session, asked))

    async def __call__(self) -> Operations:
        """Return how the service is."""
        watched, parts = self._watched, self._watched.parts
        # Once, and of nobody's time to answer: it reads the migrations' files.
        await asyncio.to_thread(heads, parts.name, parts.migrations)
        (stored, no_database), (loaded, no_sidecar) = await asyncio.gather(
            self._database(), self._sidecar()
        )
        missing = health.absent(no_database, no_sidecar, loaded, watched.needs)
        now, pubsub = clock.now(), parts.settings.pubsub_name
        sidecar = process.show_sidecar(loaded, pubsub) if loaded is not None else None
        rates, latencies = watched.rates.show()
        seen = Operations(
            service=parts.name,
            at=now,
            since=watched.inbox.arrivals.since,
            problems=[],
            missing=[*missing, *health.ended(watched.tasks)],
            database_silence=no_database,
            stored=stored,
            sidecar_silence=no_sidecar,
            sidecar=sidecar,
            subscriptions=[*process.show_subscriptions(watched, sidecar, now)],
            reactions=[*process.show_reactions(watched, stored, now)],
            rates=rates,
            latencies=latencies,
            loops=[*process.show_loops(watched)],
            versions=process.versions(stored.database if stored else None),
        )
        return seen.model_copy(update={"problems": find_problems(seen)})


def router(observe: Observer) -> Router:
    """Return the route of a service that is looked at so."""
    made = Router(tags=["Operations"], scope=OPERATE)

    @made.get("/api/operations")
    async def get_operations() -> Operations:
        """Show how the service is.

        What is wrong comes first, each in one sentence with what to do. It answers within two seconds even where
        the database or the sidecar does not: their parts are null then. Numbers stop at 10,000.
        """
        return await observe()

    return made
