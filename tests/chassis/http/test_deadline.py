"""A database that does not answer: whoever asks hears so in seconds, and what has become of the request."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from fastapi import Response
from sqlalchemy.orm import Session

from chassis.database.engine import READERS, WRITERS
from chassis.http import Unit, units
from tests.chassis.http.thing_api import Api, CreateThing, create_thing


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "ANSWERS_WITHIN", 0.5)


@asynccontextmanager
async def busy(
    threads: int, ask: Callable[[Callable[[Session], None]], object]
) -> AsyncIterator[None]:
    """Keep so many threads of the database busy, with what they are asked."""
    are_busy, may_end = threading.Barrier(threads + 1), threading.Event()

    def hold(_session: Session) -> None:
        are_busy.wait(30)
        assert may_end.wait(30)

    held = [asyncio.ensure_future(ask(hold)) for _ in range(threads)]  # type: ignore[call-overload]
    await asyncio.to_thread(are_busy.wait, 30)
    try:
        yield
    finally:
        may_end.set()
        await asyncio.gather(*held)


def writers_of(api: Api) -> int:
    """Return how many transactions write at a time."""
    return WRITERS if api.database.is_shared else 1


async def test_a_query_that_is_not_answered_is_503_and_changed_nothing(
    api: Api,
) -> None:
    async with busy(READERS, api.database.read):
        answer = await asyncio.wait_for(api.http.get("/api/thing"), 20)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:problem-type:database-unavailable"


async def test_a_command_that_has_not_begun_in_time_is_refused_and_never_carried_out(
    api: Api,
) -> None:
    await api.http.get("/api/thing")
    async with busy(writers_of(api), api.database.write):
        answer = await asyncio.wait_for(_create(api), 20)

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:problem-type:database-unavailable"
    await api.database.write(lambda _session: None)
    assert await api.count() == 0


async def test_a_command_of_unknown_outcome_says_so_and_its_key_still_works(
    api: Api,
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    @api.app.post("/api/slow", status_code=201)
    async def post_slow(command: CreateThing, unit: Unit) -> Response:
        def work(session: Session) -> object:
            made = create_thing(command, session)
            has_begun.set()
            assert may_end.wait(30)
            return made

        return await unit.run(work)  # type: ignore[arg-type]

    key = {"idempotency-key": str(uuid4())}
    async with asyncio.timeout(60):
        unknown = await _create(api, "/api/slow", key)
        assert has_begun.is_set()
        may_end.set()
        again = await _create(api, "/api/slow", key)

    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "1")
    assert unknown.json()["type"] == "urn:problem-type:outcome-unknown"
    assert (again.status_code, again.json()) == (201, {"thingName": "a"})
    assert await api.count() == 1


async def _create(
    api: Api, path: str = "/api/thing", headers: dict[str, str] | None = None
) -> httpx.Response:
    return await api.http.post(path, json={"thingName": "a"}, headers=headers)
