"""What every service is made of: an app with its database, its sidecar, its loops and its manners."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter

from fastapi import FastAPI

from chassis import documentation, errors, health, migration, openapi
from chassis.database import Database
from chassis.loop import Loop
from chassis.request_guard import RequestGuard
from chassis.sidecar import Sidecar

HOW_TO_CALL = (
    "Through Dapr, each path has `/v1.0/invoke/{name}/method` before it. Whatever is wrong with a request is "
    "answered with a problem document (RFC 9457) that names it."
)


def create(
    name: str,
    database: Database,
    sidecar: Sidecar,
    *,
    loops: Sequence[Loop],
    needs: frozenset[str],
) -> FastAPI:
    """Make a service's app: it migrates its database, then serves, with its loops beside it.

    `needs` names the sidecar's components, and its subscriptions ("subscription to OrderCreated"),
    without which the service is not ready.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(migration.upgrade, name, database.url)
        try:
            async with sidecar, _running(loops) as app.state.tasks:
                yield
        finally:
            await database.close()

    app = FastAPI(
        title=f"{name.capitalize()} service",
        description=HOW_TO_CALL.format(name=name),
        generate_unique_id_function=attrgetter("name"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.database, app.state.sidecar, app.state.needs = database, sidecar, needs
    app.include_router(health.router)
    app.add_middleware(RequestGuard)
    errors.install(app)
    openapi.install(app)
    documentation.install(app)
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
