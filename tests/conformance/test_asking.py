"""Invocation: what a service is answered by another, and what counts as no answer.

A daprd that has begun to hand an answer on cannot take it back: the service or its sidecar may die, and what
there is so far ends like any other answer, with status 200 and no length.
"""

import asyncio

import pytest

from chassis.dapr import Answer, SidecarUnavailable
from tests.conformance.asked import SECRET
from tests.conformance.real_stage import RealStage
from tests.conformance.stage import ORDER, Stage
from tests.support.eventually import eventually

STATUSES = (200, 201, 400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503)


async def ask(
    dapr: Stage,
    path: str,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    app_id: str = ORDER,
) -> Answer:
    """Ask the probe through the other app's sidecar."""
    return await dapr.other.ask(
        app_id, f"asked/{path}", query=query or {}, headers=headers or {}
    )


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T08:15:30.123+00:00",
        "0:42.7",
        "a+b c%2Fd/e",
        "a&b=c;d?e#f",
        "Zo\u00eb \u5c71\u7530 \U0001f389",
        '"<b>\\',
        "",
    ],
)
async def test_a_query_arrives_as_it_was_asked(dapr: Stage, text: str) -> None:
    answer = await ask(dapr, "echo", {"after": text, "limit": "7"})

    assert answer.status == 200
    assert answer.json()["query"] == {"after": text, "limit": "7"}


async def test_headers_arrive_and_a_secret_among_them(dapr: Stage) -> None:
    sent = {"authorization": SECRET, "x-custom": "a value"}

    headers = (await ask(dapr, "echo", headers=sent)).json()["headers"]

    assert {name: headers[name] for name in sent} == sent


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_of_the_service_is_its_answer(dapr: Stage, status: int) -> None:
    answer = await ask(dapr, f"status/{status}")

    problem = {"type": "about:blank", "title": "Zo\u00eb", "status": status}
    assert (answer.status, answer.json()) == (status, problem)


@pytest.mark.parametrize("count", [1_000, 8_000], ids=["a page", "beyond 4 MiB"])
async def test_an_answer_of_any_size_arrives_whole(dapr: Stage, count: int) -> None:
    answer = await ask(dapr, f"events/{count}")

    assert len(answer.body) > count * 1_000
    assert len(answer.json()["items"]) == count


@pytest.mark.parametrize("status", [200, 204, 401, 404, 500])
async def test_an_empty_answer_counts_as_none(dapr: Stage, status: int) -> None:
    """daprd answers so, with status 200, for a service that it has not reached at all."""
    with pytest.raises(SidecarUnavailable, match=f"not reached: {status}"):
        await ask(dapr, f"text/{status}")


@pytest.mark.parametrize("text", ['{"items": [', "Internal Server Error", "7", "null"])
async def test_an_answer_that_may_be_incomplete_counts_as_none(
    dapr: Stage, text: str
) -> None:
    with pytest.raises(SidecarUnavailable, match="not reached: 200"):
        await ask(dapr, "text/200", {"text": text})


async def test_an_answer_that_is_cut_off_counts_as_none_though_its_status_is_200(
    dapr: Stage,
) -> None:
    with pytest.raises(SidecarUnavailable, match="not reached: 200"):
        await ask(dapr, "cut")

    status, text = dapr.wire.answers[-1]
    assert (status, text[:20]) == (200, '{"items": [{"id": 1}')


async def test_a_service_that_does_not_exist_is_unavailable(dapr: Stage) -> None:
    with pytest.raises(SidecarUnavailable, match="no host found"):
        await ask(dapr, "echo", app_id="nobody")


async def test_a_service_that_is_stopped_is_unavailable_until_it_is_back(
    dapr: Stage,
) -> None:
    async with dapr.app_stopped():
        said = r"error invoking app channel.*refused"
        with pytest.raises(SidecarUnavailable, match=said):
            await ask(dapr, "echo")

    assert (await ask(dapr, "echo")).status == 200


async def test_a_service_that_is_slow_is_unavailable_after_the_deadline(
    dapr: Stage,
) -> None:
    with pytest.raises(SidecarUnavailable, match="TimeoutError"):
        await ask(dapr, "slow")


async def test_a_sidecar_that_is_stopped_cannot_ask(dapr: Stage) -> None:
    async with dapr.sidecar_stopped():
        with pytest.raises(SidecarUnavailable, match="no connection"):
            await ask(dapr, "echo")

    assert (await ask(dapr, "echo")).status == 200


async def test_a_sidecar_that_does_not_answer_cannot_ask(dapr: Stage) -> None:
    async with dapr.sidecar_stalled():
        with pytest.raises(SidecarUnavailable, match="TimeoutError"):
            await ask(dapr, "echo")

    assert (await ask(dapr, "echo")).status == 200


@pytest.mark.system
async def test_an_answer_counts_as_none_where_its_sidecar_is_killed_on_the_way(
    real_stage: RealStage,
) -> None:
    asking = asyncio.create_task(ask(real_stage, "held"))

    async def has_begun() -> bool:
        return any(each.endswith("/asked/held") for each in real_stage.wire.begun)

    await eventually(has_begun, "the answer has begun")

    await real_stage.daprd.kill()

    with pytest.raises(SidecarUnavailable, match="not reached: 200"):
        await asking
    await real_stage.reach_each_other()
