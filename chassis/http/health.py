"""Liveness and readiness: /healthz is the event loop alone, /readyz is everything that the service needs."""

import asyncio
from collections.abc import Awaitable, Collection, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.dapr import Sidecar, SidecarUnavailable
from chassis.errors import NotReady
from chassis.http.app import Router
from chassis.http.openapi import HEALTH, refuses
from chassis.parts import Parts

PATIENCE = 0.8
"""Seconds that /readyz waits for the database and the sidecar: probes wait for one."""


def router(
    parts: Parts, needs: Collection[str], tasks: Sequence[asyncio.Task[None]]
) -> Router:
    """Return the routes of a service that needs these components and subscriptions, and runs these tasks."""
    made = Router(tags=[HEALTH])

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
        database, sidecar = await asyncio.gather(
            _within("the database", parts.database.read(_ask)),
            _within("the sidecar", _lacks(parts.sidecar, needs)),
        )
        missing = [*database, *sidecar, *_ended(tasks)]
        if missing:
            raise NotReady("; ".join(missing), missing=missing)
        return {"status": "ready"}

    return made


async def _within(what: str, asking: Awaitable[list[str]]) -> list[str]:
    try:
        async with asyncio.timeout(PATIENCE):
            return await asking
    except TimeoutError:
        return [f"{what}: no answer within {PATIENCE} s"]
    except SidecarUnavailable as error:
        return [f"{what}: {error}"]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return [f"{what}: {type(error).__name__}"]


def _ask(session: Session) -> list[str]:
    session.execute(text("SELECT 1"))
    return []


async def _lacks(sidecar: Sidecar, needs: Collection[str]) -> list[str]:
    # The sidecar's own health says 204 without its components, so its list of them is read instead.
    loaded = await sidecar.metadata()
    there = {each["name"] for each in loaded.get("components") or []}
    there |= {
        f"subscription to {each['topic']}" for each in loaded.get("subscriptions") or []
    }
    return [f"the sidecar has no {need}" for need in sorted(set(needs) - there)]


def _ended(tasks: Sequence[asyncio.Task[None]]) -> list[str]:
    return [f"the {each.get_name()}: it has ended" for each in tasks if each.done()]
