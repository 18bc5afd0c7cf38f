"""A service, put together: an app with its database, its sidecar, its inbox, its outbox and its loops."""

import asyncio
import gc
import logging
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy.exc import SQLAlchemyError

from chassis import dead_letters, feed, http, operations, pages
from chassis.access import (
    Access,
    CodeFlow,
    Issuer,
    LoopbackOnly,
    check_address,
    fetching,
)
from chassis.dapr import Sidecar
from chassis.dapr.tokens import SidecarGuard, load_feed_secret
from chassis.database import Database, is_unavailable
from chassis.database import migrate as migrations
from chassis.database.exclusive import in_use
from chassis.feed.long_transactions import LongTransactions
from chassis.http import health
from chassis.http.app import ApiRoute, scope_of
from chassis.inbox import AnyReaction, Inbox
from chassis.inbox.subscriptions import Subscriptions, Tuning
from chassis.keys import Keyring
from chassis.operations import Tallies, Watched, no_tallies
from chassis.outbox import Backlog, Relay
from chassis.parts import Parts
from chassis.reconciler import Reconciler
from chassis.runtime import Loop, ServiceSettings, logs
from chassis.runtime.ending import when_asked_to_end
from chassis.runtime.settings import EX_CONFIG, reveal
from chassis.runtime.telemetry import Tracer
from chassis.service.exporter import Exporter
from chassis.service.retention import Retention

_log = logging.getLogger(__name__)

NEW_OBJECTS = 20_000
"""New objects after which the interpreter looks for cycles: at its own 700, every few requests pay for a look."""


def make_parts(
    name: str,
    settings: ServiceSettings,
    migrations: Path | None,
    sidecar: Sidecar | None = None,
) -> Parts:
    """Return the parts of a service: `name` is its app-id, `migrations` the folder of its migrations, if any.

    A test brings a sidecar of its own.
    """
    logs.configure(name, settings.log_level, settings.log_format)
    access = _access(settings)
    keys = Keyring(settings.secrets_folder, name)
    port = str(settings.dapr_http_port)
    database = Database(settings.database_url, name, port, keys)
    tracer = _open_tracer(name, settings)
    database.info["tracer"] = tracer
    token = reveal(settings.dapr_api_token)
    sidecar = sidecar or Sidecar(settings.sidecar_url, token=token)
    sidecar.is_traced = tracer is not None
    return Parts(
        name=name,
        settings=settings,
        migrations=migrations,
        database=database,
        sidecar=sidecar,
        keys=keys,
        secret=load_feed_secret(settings.secrets_folder / "feed.secret"),
        backlog=Backlog(database, settings.backlog_limit),
        access=access,
        sign_in=_sign_in(settings, access),
        tracer=tracer,
    )


def _open_tracer(name: str, settings: ServiceSettings) -> Tracer | None:
    if not settings.otel_exporter_otlp_endpoint:
        return None
    # Imported here: whoever traces nothing does not pay for it, in time or memory.
    from chassis.runtime.span_exporter import open_tracer  # noqa: PLC0415

    return open_tracer(name, settings)


def _access(settings: ServiceSettings) -> Access | None:
    issuer, audience = settings.oidc_issuer, settings.oidc_audience
    return Access(Issuer(issuer), audience) if issuer and audience else None


def _sign_in(settings: ServiceSettings, access: Access | None) -> CodeFlow | None:
    client, url = settings.oidc_client_id, settings.public_url
    if access is None or client is None or url is None:
        return None
    return CodeFlow(access, client, f"{url}signed-in")


def create(  # noqa: PLR0913 - a service, put together in one call
    parts: Parts,
    *,
    routers: Sequence[http.Router],
    reactions: Sequence[AnyReaction] = (),
    loops: Sequence[Loop] = (),
    needs: frozenset[str] = frozenset(),
    tallies: Tallies = no_tallies,
) -> FastAPI:
    """Return a service's app: it migrates its database, then serves, with its loops beside it.

    `routers` are its commands, queries and pages. Each reaction's event arrives both ways: pushed by the broker,
    where it is pushed at all, and pulled from its sender. `needs` are the sidecar's components, besides
    pub/sub, without which the service is not ready; `tallies` counts its own records for Operations.
    """
    _check(reactions, routers)
    pubsub, file = parts.settings.pubsub_name, parts.settings.subscription_file
    inbox = Inbox(parts.database, parts.keys)
    reconcilers = [Reconciler(parts, inbox, each) for each in reactions]
    letters = dead_letters.Letters.of(parts, inbox, reactions)
    own = [*_own_loops(parts, reconcilers, letters), *loops]
    tasks: list[asyncio.Task[None]] = []
    exporter, rates = Exporter(parts, reactions), operations.Rates()
    app = _app(parts, exporter, rates, own, tasks)
    subscriptions = Subscriptions(app, inbox, pubsub, Tuning.read(file))
    needed = needs | {pubsub} | subscriptions.subscribe(parts.name, reactions)
    seen = Watched(parts, inbox, reconcilers, own, tasks, needed, tallies, rates)
    exporter.observe = observe = operations.Observer(seen)
    every = (
        *routers,
        *dead_letters.routers(app, letters),
        feed.router(parts),
        health.router(
            parts, needed, tasks, lambda: inbox.arrivals.degraded(seen.topics)
        ),
        *pages.ROUTERS,
        *operations.routers(observe),
    )
    _route(app, every)
    return app


def _route(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    pages.install(app, routers)
    # Before /docs, and not with `include_router`: FastAPI would match every request to them twice.
    app.router.routes[:0] = [route for router in routers for route in router.routes]
    _check_scopes(app)


def _check(reactions: Sequence[AnyReaction], routers: Sequence[http.Router]) -> None:
    _check_names(reactions)
    _check_routes(routers)


def _check_names(reactions: Sequence[AnyReaction]) -> None:
    for name, number in Counter(each.name for each in reactions).items():
        if number > 1:
            raise ValueError(
                f"two reactions are named {name}: the inbox tells them apart by it"
            )


def _check_routes(routers: Sequence[http.Router]) -> None:
    # A router of FastAPI checks no body, and hands its routes a request that is no unit of work.
    for each in iter_route_contexts([r for router in routers for r in router.routes]):
        route = each.original_route
        if isinstance(route, APIRoute) and not isinstance(route, ApiRoute):
            raise TypeError(
                f"{each.path} is on a router of FastAPI: it needs a chassis.http.Router"
            )


def _check_scopes(app: FastAPI) -> None:
    for each in iter_route_contexts(app.routes):
        if scope_of(each.original_route) is None:
            raise TypeError(
                f"{each.path} states no scope: its Router, or `needs`, must"
            )


def _own_loops(
    parts: Parts, reconcilers: Sequence[Reconciler], letters: dead_letters.Letters
) -> list[Loop]:
    database, settings = parts.database, parts.settings
    loops = [
        Relay(database, parts.sidecar, settings.pubsub_name).loop(),
        Retention(database, settings.retention_days).loop(),
        dead_letters.Runner(letters).loop(),
        *(each.loop() for each in reconcilers),
    ]
    if database.is_shared:
        loops.append(LongTransactions(database).loop())
    return loops


def _app(
    parts: Parts,
    exporter: Exporter,
    rates: operations.Rates,
    loops: Sequence[Loop],
    tasks: list[asyncio.Task[None]],
) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            check_address(parts.access)
            exporter.listen()
            await migrate(parts)
        except SystemExit as ended:
            # Starlette and uvicorn would make a traceback of it, and exit status 3.
            logs.flush()
            os._exit(int(ended.code or 0))
        await feed.open_feed(parts.database)
        try:
            with _hurried(app, parts):
                async with (
                    in_use(parts.database),
                    parts.sidecar,
                    fetching(parts.access),
                    exporter.serving(),
                    rates.reading(),
                    _running(loops, tasks),
                ):
                    yield
        finally:
            await parts.database.close()
            if parts.tracer:
                await parts.tracer.close()

    gc.set_threshold(NEW_OBJECTS)
    app = http.create_api(parts.name, lifespan)
    app.state.parts = parts
    app.add_middleware(SidecarGuard, token=reveal(parts.settings.app_api_token))
    app.add_middleware(LoopbackOnly, access=parts.access)
    return app


@contextmanager
def _hurried(app: FastAPI, parts: Parts) -> Iterator[None]:
    """Keep what would hold up the end of the process from doing so."""
    live = app.state.live = pages.Live()

    def hurry() -> None:
        live.stop()
        parts.database.patience.end()

    with when_asked_to_end(hurry):
        yield


@asynccontextmanager
async def _running(
    loops: Sequence[Loop], tasks: list[asyncio.Task[None]]
) -> AsyncIterator[None]:
    for each in loops:
        each.is_database_away = is_unavailable
    tasks += [asyncio.create_task(loop.run(), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        stopping = (loop.stop(task) for loop, task in zip(loops, tasks, strict=True))
        await asyncio.gather(*stopping)


async def migrate(parts: Parts) -> None:
    """Bring the database to the newest migration of the service and of the chassis.

    Raises SystemExit with status 75 where the database is unavailable: whoever supervises the process starts it
    again; and with status 78 where starting again will not help.
    """
    try:
        url = parts.database.url
        await asyncio.to_thread(migrations.upgrade, parts.name, url, parts.migrations)
    except migrations.WrongDatabase as error:
        _end(EX_CONFIG, str(error), error)
    except (SQLAlchemyError, OSError) as error:
        text = str(error).split("\n")[0]
        if is_unavailable(error) or isinstance(error, OSError):
            _end(os.EX_TEMPFAIL, f"the database is unavailable: {text}", error)
        remedy = "check DATABASE_URL and the role's rights"
        _end(EX_CONFIG, f"the database cannot be used ({remedy}): {text}", error)


def _end(status: int, text: str, error: Exception) -> None:
    _log.error(text)
    _log.debug("caused by", exc_info=error)
    sys.exit(status)
