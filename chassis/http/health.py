"""Liveness and readiness: /healthz is the event loop alone, /readyz is all that the service needs."""

from fastapi import APIRouter, Request
from sqlalchemy import text

from chassis.dapr.sidecar import Sidecar, SidecarUnavailable
from chassis.database.unit_of_work import Database
from chassis.errors import NotReady
from chassis.http.problems import refusals

router = APIRouter(tags=["Health"])


@router.get("/healthz")
async def is_alive() -> dict[str, str]:
    """Say that the service is alive.

    Answered at once while its event loop turns; Dapr asks here whether to deliver to this app.
    """
    return {"status": "alive"}


@router.get("/readyz", responses=refusals(NotReady))
async def is_ready(request: Request) -> dict[str, str]:
    """Say whether the service is ready.

    It needs its database, its sidecar and the sidecar's components; 503 names what is missing.
    """
    state = request.app.state
    missing = [
        *await _missing_database(state.database),
        *await _missing_in_sidecar(state.sidecar, state.needs),
        *(
            f"the {task.get_name()}: it has ended"
            for task in state.tasks
            if task.done()
        ),
    ]
    if missing:
        raise NotReady("; ".join(missing), missing=missing)
    return {"status": "ready"}


async def _missing_database(database: Database) -> list[str]:
    try:
        async with database.read() as session:
            await session.execute(text("SELECT 1"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return [f"the database: {type(error).__name__}"]
    return []


async def _missing_in_sidecar(sidecar: Sidecar, needs: frozenset[str]) -> list[str]:
    # The sidecar's own health says 204 without its components, so its list of them is read instead.
    try:
        loaded = await sidecar.metadata()
    except SidecarUnavailable as error:
        return [f"the sidecar: {error}"]
    there = {each["name"] for each in loaded.get("components") or []}
    there |= {
        f"subscription to {each['topic']}" for each in loaded.get("subscriptions") or []
    }
    return [f"the sidecar has no {need}" for need in sorted(needs - there)]
