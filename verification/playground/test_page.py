"""The page: every switch is a form, it serves this machine alone, and it is live where a browser runs scripts."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.eventually import eventually
from verification.playground import engine, page
from verification.playground.engine import SWITCHES, Playground, working
from verification.playground.page import create_app
from verification.playground.scenarios import SCENARIOS
from verification.playground.stand_in import StandIn

OWN = "http://127.0.0.1:8090"


@pytest.fixture
async def playground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Playground]:
    """Run a playground of stand-ins."""
    monkeypatch.setattr(engine, "LOOKS_EVERY", 0.01)
    async with working(Playground([StandIn("ours"), StandIn("ordinary")])) as made:
        yield made


def browser(playground: Playground, base_url: str = OWN) -> httpx.AsyncClient:
    """Open connections to the page."""
    transport = httpx.ASGITransport(create_app(playground))
    return httpx.AsyncClient(transport=transport, base_url=base_url)


async def test_the_page_has_a_button_for_every_scenario_and_explains_each_switch(
    playground: Playground,
) -> None:
    async with browser(playground) as http:
        answer = await http.get("/")

    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    for each in SCENARIOS:
        assert f'formaction="do/play/{each.name}"' in answer.text
    for verb, target in SWITCHES:
        is_there = f'formaction="do/{verb}/{target}"' in answer.text
        assert is_there == (verb not in {"up", "off", "in"})


async def test_a_button_switches_and_leads_back_to_the_page(
    playground: Playground,
) -> None:
    async with browser(playground) as http:
        answer = await http.post("/do/down/broker")

        async def is_down() -> bool:
            return 'formaction="do/up/broker"' in (await http.get("/")).text

        await eventually(is_down, "the page has a button to start the broker", 10)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_the_slider_is_a_form(playground: Playground) -> None:
    async with browser(playground) as http:
        await http.post("/do/orders", data={"rate": "20"})

    assert playground.rate == 20


async def test_programs_are_answered_in_json(playground: Playground) -> None:
    json = {"accept": "application/json"}
    async with browser(playground) as http:
        done = await http.post("/do/on/drop", headers=json)
        wrong = await http.post("/do/explode/broker", headers=json)
        refused = await http.post("/do/orders", data={"rate": "99"}, headers=json)
        view = (await http.get("/api")).json()

    assert done.status_code == 202
    assert (wrong.status_code, refused.status_code) == (404, 409)
    assert view["sides"]["ours"]["counts"]["accepted"] == 0
    assert "Orders a second are" in view["log"][0]["text"]


async def test_what_is_refused_is_said_on_a_page(playground: Playground) -> None:
    async with browser(playground) as http:
        refused = await http.post("/do/orders", data={"rate": "many"})

    assert refused.status_code == 409
    assert "from 0 to 50" in refused.text


@pytest.mark.parametrize("host", ["evil.example", "192.168.1.2:8090", "localhost.evil"])
async def test_a_name_that_is_not_this_machines_is_refused(
    playground: Playground, host: str
) -> None:
    async with browser(playground, f"http://{host}") as http:
        assert (await http.get("/")).status_code == 400
        assert (await http.post("/do/kill/broker")).status_code == 400
    assert not playground.doing


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": OWN},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
async def test_a_form_of_another_site_is_refused(
    playground: Playground, headers: dict[str, str]
) -> None:
    async with browser(playground) as http:
        answer = await http.post("/do/kill/broker", headers=headers)

    assert answer.status_code == 403
    assert not playground.doing


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": OWN}, {"sec-fetch-site": "same-origin"}],
)
async def test_a_form_of_its_own_is_carried_out(
    playground: Playground, headers: dict[str, str]
) -> None:
    async with browser(playground) as http:
        answer = await http.post("/do/kill/broker", headers=headers)

    assert answer.status_code == 303


async def test_a_large_body_is_not_read(playground: Playground) -> None:
    async with browser(playground) as http:
        answer = await http.post("/do/orders", data={"rate": "20", "x": "1" * 1000})

    assert answer.status_code == 409
    assert playground.rate == 0


async def test_live_parts_end_with_the_server_and_are_bounded(
    playground: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    endings = iter([False, True])
    app = create_app(playground, lambda: next(endings))
    transport = httpx.ASGITransport(app)
    monkeypatch.setattr(page, "REFRESHED_EVERY", 0.01)
    async with httpx.AsyncClient(transport=transport, base_url=OWN) as http:
        live = await http.get("/live")
        monkeypatch.setattr(page, "MOST_STREAMS", 0)
        too_many = await http.get("/live")

    assert "formaction" in live.text
    assert "event: not-live" in too_many.text
