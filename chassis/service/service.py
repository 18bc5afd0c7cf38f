"""What every service is made of: an app with its database, its sidecar, its doors and its manners."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from weakref import WeakValueDictionary

from fastapi import APIRouter, FastAPI

from chassis import errors
from chassis.dapr.sidecar import Sidecar
from chassis.dapr.tokens import SidecarGuard, shared_secret
from chassis.database.unit_of_work import Database
from chassis.dead_letters import api as dead_letter_api
from chassis.feed import api as feed_api
from chassis.feed import feed
from chassis.feed.consumers import Readers
from chassis.feed.long_transactions import FeedBound
from chassis.http import health, openapi
from chassis.http.request_guard import RequestGuard
from chassis.inbox.inbox import AnyReaction
from chassis.inbox.subscriptions import Subscriptions, read_tuning
from chassis.outbox.backlog import Backlog
from chassis.outbox.relay import Relay
from chassis.reconciler.reconciler import Reconciler
from chassis.runtime.loop import Loop
from chassis.runtime.settings import ServiceSettings
from chassis.service.lifecycle import Start, migrate
from chassis.service.retention import (
    Housekeeping,
    forget_attempts,
    forget_expired,
    forget_read_events,
    forget_settled_letters,
    forget_taken_in,
)

HOW_TO_CALL = (
    "Through Dapr, each path has `/v1.0/invoke/{name}/method` before it. Whatever is wrong with a request is "
    "answered with a problem document (RFC 9457) that names it."
)


@dataclass(frozen=True)
class Parts:
    """What a service stands on: its name (the app-id), its settings, its database and its sidecar."""

    name: str
    settings: ServiceSettings
    database: Database
    sidecar: Sidecar


def parts(name: str, settings: ServiceSettings, sidecar: Sidecar | None) -> Parts:
    """Make what a service stands on; a test brings a sidecar of its own."""
    database = Database(settings.database_url, name, str(settings.dapr_http_port))
    return Parts(name, settings, database, sidecar or Sidecar(settings.sidecar_url))


def create(
    parts: Parts,
    *,
    routers: Sequence[APIRouter],
    reactions: Sequence[AnyReaction],
    loops: Sequence[Loop] = (),
    needs: frozenset[str] = frozenset(),
) -> FastAPI:
    """Make a service's app: it migrates its database, then serves, with its loops beside it.

    `routers` are its own table of contents: what it can be asked and told. Each of the reactions hears its
    event in both ways: pushed by the broker, where the event is pushed at all, and pulled from its sender.
    `needs` names the sidecar's components, besides pub/sub, without which the service is not ready.
    """
    settings, database = parts.settings, parts.database
    secret = shared_secret(settings.feed_secret_file)
    pull = [
        Reconciler(database, parts.sidecar, each, secret).loop() for each in reactions
    ]
    relay = Relay(database, parts.sidecar, settings.pubsub_name)
    own = [relay.loop(), *pull, _housekeeping(parts).loop(), *_watch(database)]
    app = without_doors(parts, [*own, *loops])
    tuning = read_tuning(settings.subscription_file)
    subscriptions = Subscriptions(app, database, settings.pubsub_name, tuning)
    heard = subscriptions.hear(parts.name, reactions)
    app.state.secret = secret
    app.state.readers = Readers(database)
    app.state.turns = WeakValueDictionary()
    app.state.backlog = Backlog(database, settings.backlog_limit)
    app.state.needs = needs | {settings.pubsub_name} | heard
    app.state.reactions = {each.name: each for each in reactions}
    for router in (*routers, dead_letter_api.router, feed_api.router, health.router):
        app.include_router(router)
    return app


def _watch(database: Database) -> list[Loop]:
    return [FeedBound(database).loop()] if database.is_shared else []


def _housekeeping(parts: Parts) -> Housekeeping:
    kept = timedelta(days=parts.settings.retention_days)
    jobs = (
        forget_read_events(kept),
        forget_taken_in,
        forget_attempts,
        forget_settled_letters,
        forget_expired,
    )
    return Housekeeping(parts.database, jobs)


def without_doors(parts: Parts, loops: Sequence[Loop]) -> FastAPI:
    """Make an app with its database, its sidecar, its loops and its manners, into which no event comes."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await migrate(parts.name, parts.database.url)
        await feed.adopt(parts.database)
        try:
            async with parts.sidecar, _running(loops) as app.state.tasks:
                yield
        finally:
            await parts.database.close()

    app = FastAPI(
        title=f"{parts.name.capitalize()} service",
        description=HOW_TO_CALL.format(name=parts.name),
        generate_unique_id_function=attrgetter("name"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.database, app.state.sidecar = parts.database, parts.sidecar
    app.state.loops = loops
    app.state.needs = frozenset()
    app.add_middleware(RequestGuard)
    app.add_middleware(SidecarGuard, token=parts.settings.token)
    app.add_middleware(Start)
    errors.install(app)
    openapi.install(app)
    return app


@asynccontextmanager
async def _running(loops: Sequence[Loop]) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in loops]
    try:
        yield tasks
    finally:
        await asyncio.gather(
            *(loop.stop(task) for loop, task in zip(loops, tasks, strict=True))
        )
