"""Runs over the only group of the small service's dead letters, carried out step by step."""

from collections.abc import Callable
from typing import Any

import httpx
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.dead_letters import Runner
from contracts.order_created import OrderCreated
from tests.chassis.dead_letters.letters import Letters, greet

WHY = {"reason": "The bug is mended", "by": "jane"}
FAST = {"rate": 1000}
Json = dict[str, Any]


async def kept(letters: Letters, number: int) -> list[str]:
    """Store so many letters of one group; return the ids of their events."""
    return [(await letters.kept_event())[1] for _ in range(number)]


async def fingerprint(letters: Letters) -> str:
    """Return the fingerprint of the only group."""
    answer = await letters.http.get("/api/dead-letter-group?settled=true")
    (only,) = answer.json()["items"]
    return str(only["fingerprint"])


async def post(letters: Letters, act: str, **more: object) -> httpx.Response:
    """Start to do something to the only group."""
    url = f"/api/dead-letter-group/{await fingerprint(letters)}/run"
    return await letters.http.post(url, json={"act": act, **WHY, **FAST, **more})


async def started(letters: Letters, act: str, **more: object) -> int:
    """Start to do something to the only group; return the run's id."""
    answer = await post(letters, act, **more)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def shown(letters: Letters, run_id: int) -> Json:
    """Return how far a run is."""
    return dict((await letters.http.get(f"/api/dead-letter-run/{run_id}")).json())


async def carried_out(letters: Letters, run_id: int) -> Json:
    """Step a new process's loop until the run has ended; return the run."""
    made = Runner(letters.store)
    await made.resume()
    while await made.step():
        pass
    return await shown(letters, run_id)


async def outcomes(letters: Letters, run_id: int) -> list[tuple[int, str, str]]:
    """Return what became of each letter of a run, oldest first."""
    url = f"/api/dead-letter-run/{run_id}/letters?limit=200"
    items = (await letters.http.get(url)).json()["items"]
    return [(x["letterId"], x["act"], x["outcome"]) for x in reversed(items)]


def fails_for(letters: Letters, fails: Callable[[int], bool]) -> list[int]:
    """Make the reaction fail at some calls, by their number; return the list that notes each call's."""
    calls: list[int] = []

    def act(event: OrderCreated, envelope: CloudEvent, session: Session) -> None:
        greet(event, envelope, session)
        calls.append(len(calls))
        if fails(calls[-1]):
            raise ZeroDivisionError

    letters.act = act
    return calls
