"""Liveness and readiness: /healthz is the event loop alone, /readyz is everything that the service needs."""

import asyncio
from collections.abc import Collection, Sequence

from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.dapr import Sidecar, SidecarUnavailable
from chassis.database import Database
from chassis.errors import NotReady
from chassis.http.openapi import HEALTH, refuses
from chassis.parts import Parts

PATIENCE = 0.8
"""Seconds that /readyz waits for the database and the sidecar: probes wait for one."""


def router(
    parts: Parts, needs: Collection[str], tasks: Sequence[asyncio.Task[None]]
) -> APIRouter:
    """Return the routes of a service that needs these components and subscriptions, and runs these tasks."""
    made = APIRouter(tags=[HEALTH])

    @made.get("/healthz")
    async def is_alive() -> dict[str, str]:
        """Show that the service is alive.

        Answered at once while its event loop turns; Dapr asks here whether to deliver to this app.
        """
        return {"status": "alive"}

    @made.get("/readyz")
    @refuses(NotReady)
    async def is_ready() -> dict[str, str]:
        """Show whether the service is ready.

        It needs its database, its sidecar and the sidecar's components; 503 names what is missing. The answer
        comes within a second.
        """
        in_database, in_sidecar = await asyncio.gather(
            _missing_database(parts.database),
            _missing_in_sidecar(parts.sidecar, needs),
        )
        missing = [*in_database, *in_sidecar, *_missing_tasks(tasks)]
        if missing:
            raise NotReady("; ".join(missing), missing=missing)
        return {"status": "ready"}

    return made


async def _missing_database(database: Database) -> list[str]:
    try:
        async with asyncio.timeout(PATIENCE):
            await database.read(_ask)
    except TimeoutError:
        return [f"the database: no answer within {PATIENCE} s"]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return [f"the database: {type(error).__name__}"]
    return []


def _ask(session: Session) -> None:
    session.execute(text("SELECT 1"))


async def _missing_in_sidecar(sidecar: Sidecar, needs: Collection[str]) -> list[str]:
    # The sidecar's own health says 204 without its components, so its list of them is read instead.
    try:
        async with asyncio.timeout(PATIENCE):
            loaded = await sidecar.metadata()
    except TimeoutError:
        return [f"the sidecar: no answer within {PATIENCE} s"]
    except SidecarUnavailable as error:
        return [f"the sidecar: {error}"]
    there = {each["name"] for each in loaded.get("components") or []}
    there |= {
        f"subscription to {each['topic']}" for each in loaded.get("subscriptions") or []
    }
    return [f"the sidecar has no {need}" for need in sorted(set(needs) - there)]


def _missing_tasks(tasks: Sequence[asyncio.Task[None]]) -> list[str]:
    return [f"the {each.get_name()}: it has ended" for each in tasks if each.done()]
