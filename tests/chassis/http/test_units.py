"""Units of work: one transaction a command, answered after its commit; errors as what they are."""

import asyncio
import sqlite3
import threading
from urllib.parse import urljoin

import httpx
import psycopg
import pytest
from fastapi import Response
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from chassis.database.engine import WRITERS
from chassis.database.transient import CommitFailed
from chassis.http import Unit, View, units
from tests.chassis.http.thing_api import ADD, Api
from tests.support.eventually import eventually

DAPR = "http://localhost:3500/v1.0/invoke/things/method"


async def creates(api: Api, name: str = "a") -> httpx.Response:
    """Create a thing."""
    return await api.http.post("/api/thing", json={"thingName": name})


async def test_a_command_is_committed_before_it_is_answered(api: Api) -> None:
    answer = await creates(api)

    assert (answer.status_code, answer.json()) == (201, {"thingName": "a"})
    assert answer.headers["content-type"] == "application/json"
    assert await api.count() == 1


async def test_a_location_can_be_followed_directly_and_through_dapr(api: Api) -> None:
    location = (await creates(api)).headers["location"]

    here = urljoin("http://app/api/thing", location)
    assert (await api.http.get(here)).json() == {"thingName": "a"}
    assert urljoin(f"{DAPR}/api/thing", location) == f"{DAPR}/api/thing/a"


async def test_a_full_backlog_refuses_commands_and_no_queries(api: Api) -> None:
    api.limit_backlog(-1)

    refused = await creates(api)

    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:problem-type:backlog-full"
    assert (await api.http.get("/api/thing")).json()["count"] == 0


async def test_more_commands_than_may_wait_are_refused_at_once_and_the_others_carried_out(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "MOST_WAITING", 3)
    are_busy, may_end = (
        threading.Barrier((WRITERS if api.database.is_shared else 1) + 1),
        threading.Event(),
    )

    def hold(_: Session) -> None:
        are_busy.wait(30)
        may_end.wait(30)

    writers = [
        asyncio.create_task(api.database.write(hold))
        for _ in range(are_busy.parties - 1)
    ]
    await asyncio.to_thread(are_busy.wait, 30)
    sent = [asyncio.create_task(creates(api)) for _ in range(5)]

    async def two_are_answered() -> bool:
        return sum(each.done() for each in sent) == 2

    await eventually(two_are_answered, "two are refused")
    refused = [each.result() for each in sent if each.done()]
    may_end.set()
    answers = await asyncio.gather(*sent)
    await asyncio.gather(*writers)

    assert {each.status_code for each in refused} == {503}
    assert {each.json()["type"] for each in refused} == {"urn:problem-type:overloaded"}
    assert {each.headers["retry-after"] for each in refused} == {"1"}
    assert sorted(each.status_code for each in answers) == [201] * 3 + [503] * 2
    assert await api.count() == 3


async def test_a_command_that_runs_alone_is_not_refused_for_those_that_wait(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator's: it shares its place with the relay and the pull, which are no sign of overload."""
    monkeypatch.setattr(units, "MOST_WAITING", 0)

    @api.app.post("/api/alone")
    async def post_alone(unit: Unit) -> Response:
        return await unit.run(lambda _: View(), alone=True)

    assert (await creates(api)).status_code == 503
    api.limit_backlog(-1)
    assert (await api.http.post("/api/alone")).status_code == 200


def failing(api: Api, error: Exception) -> None:
    """Add a route whose command writes, and then raises this error."""

    def fail(session: Session) -> View:
        session.execute(ADD, {"name": "a"})
        raise error

    @api.app.post("/api/failure")
    async def post_failure(unit: Unit) -> Response:
        return await unit.run(fail)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("the handler's own"),
        ConnectionResetError(),
        BrokenPipeError(),
        ZeroDivisionError(),
        ProgrammingError("SELEC", {}, sqlite3.OperationalError("a syntax error")),
    ],
    ids=repr,
)
async def test_an_error_of_a_handler_is_no_outage_of_the_database(
    api: Api, error: Exception
) -> None:
    failing(api, error)

    answer = await api.http.post("/api/failure")

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:problem-type:internal-error"
    assert await api.count() == 0


async def test_an_outage_of_the_database_is_said_with_a_time_to_wait(api: Api) -> None:
    gone = psycopg.OperationalError("the server closed the connection unexpectedly")
    failing(api, OperationalError("SELECT 1", {}, gone))

    answer = await api.http.post("/api/failure")

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:problem-type:database-unavailable"
    assert answer.headers["retry-after"] == "1"


async def test_a_commit_of_unknown_outcome_is_answered_with_a_time_to_wait(
    api: Api,
) -> None:
    failing(api, CommitFailed("the connection was lost"))

    answer = await api.http.post("/api/failure")

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:problem-type:outcome-unknown"
    assert answer.headers["retry-after"] == "1"


async def test_a_query_field_that_is_unknown_is_refused(api: Api) -> None:
    answer = await api.http.get("/api/thing?limit=7&namedlike=a")

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "namedlike", "detail": "Extra inputs are not permitted"}
    ]
    known = await api.http.get("/api/thing?limit=7&namedLike=a")
    assert known.json() == {"count": 0, "limit": 7}
