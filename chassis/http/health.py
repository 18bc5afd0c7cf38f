"""Liveness and readiness: /healthz is the event loop alone, /readyz is everything that the service needs."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.access import OPEN
from chassis.dapr import SidecarUnavailable
from chassis.errors import NotReady
from chassis.http.app import Router
from chassis.http.openapi import HEALTH, refuses
from chassis.parts import Parts

T = TypeVar("T")
PATIENCE = 0.8
"""Seconds that /readyz waits for the database and the sidecar: probes wait for one."""


def router(
    parts: Parts,
    needs: Collection[str],
    tasks: Sequence[asyncio.Task[None]],
    degraded: Callable[[], str],
) -> Router:
    """Return the routes of a service that needs these components and subscriptions, and runs these tasks.

    `degraded` returns what does not work, and is made good for: a service that were not ready for it would be
    cut off from what it pulls.
    """
    made = Router(tags=[HEALTH], scope=OPEN)

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
        comes within a second. `degraded` names a subscription that delivers nothing: its events are pulled.
        """
        (_, database), (loaded, sidecar) = await asyncio.gather(
            within(parts.database.read(_ask)), within(parts.sidecar.metadata())
        )
        missing = [*absent(database, sidecar, loaded, needs), *ended(tasks)]
        if missing:
            raise NotReady("; ".join(missing), missing=missing)
        said = degraded()
        return {"status": "ready", "degraded": said} if said else {"status": "ready"}

    return made


async def within(
    asking: Awaitable[T], patience: float = PATIENCE
) -> tuple[T | None, str | None]:
    """Return an answer that comes in time, or None and why there is none."""
    try:
        async with asyncio.timeout(patience):
            return await asking, None
    except TimeoutError:
        return None, f"no answer within {patience} s"
    except SidecarUnavailable as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return None, type(error).__name__


def _ask(session: Session) -> None:
    session.execute(text("SELECT 1"))


def absent(
    database: str | None,
    sidecar: str | None,
    loaded: Mapping[str, Any] | None,
    needs: Collection[str],
) -> list[str]:
    """Return what is missing, by the silences of the database and of the sidecar, or by what that has loaded."""
    silent = (("the database", database), ("the sidecar", sidecar))
    lacking = _lacks(loaded, needs) if loaded is not None else ()
    return [*(f"{what}: {why}" for what, why in silent if why), *lacking]


def _lacks(loaded: Mapping[str, Any], needs: Collection[str]) -> list[str]:
    # The sidecar's own health says 204 without its components, so its list of them is read instead.
    there = {each["name"] for each in loaded.get("components") or []}
    there |= {
        f"subscription to {each['topic']}" for each in loaded.get("subscriptions") or []
    }
    return [f"the sidecar has no {need}" for need in sorted(set(needs) - there)]


def ended(tasks: Sequence[asyncio.Task[None]]) -> list[str]:
    """Return the loops that have ended."""
    return [f"the {each.get_name()}: it has ended" for each in tasks if each.done()]
