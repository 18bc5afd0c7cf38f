"""Signing in on pages: back from the issuer comes who was sent there, in the same browser, to the same service."""

import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.pages.session import page_session
from chassis.pages.sign_in import own_page
from tests.chassis.pages.things import small_service
from tests.support.services import Service
from tests.support.sign_in import (
    OWN,
    PAGES,
    Browser,
    browsing,
    hidden,
    issuing,
    settings,
)
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.issuer.tokens import Issuer

PAGE = "things/a"


async def sessions(closed: Service) -> list[str]:
    """Return who is signed in."""
    query = select(page_session.c.subject)
    return await closed.database.read(lambda each: [*each.scalars(query)])


async def test_a_page_leads_to_the_issuer_and_back_to_itself(browser: Browser) -> None:
    sent = await browser.opens(f"{PAGE}?x=1&y=%20")
    asked = await browser.http.get(sent.request.url.join(sent.headers["location"]))
    begun = await browser.http.get(await browser.comes_back("olga", asked))
    shown = await browser.http.get(begun.request.url.join(begun.headers["location"]))

    assert sent.status_code == 303
    assert sent.headers["location"].startswith("../sign-in?next=things")
    assert str(shown.request.url) == f"{PAGES}{PAGE}?x=1&y=%20"
    assert "Signed in as <bdi>Olga Weber</bdi>" in shown.text


async def test_a_search_of_the_first_page_is_led_back_to_too(browser: Browser) -> None:
    begun = await browser.signs_in("olga", "?find=Ada")

    back = begun.request.url.join(begun.headers["location"])
    assert str(back) == f"{PAGES}?find=Ada"


async def test_through_dapr_pages_forms_and_signing_in_stay_below_its_path(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    below = f"{PAGES}v1.0/invoke/order/method/"
    with issuing(tmp_path, pages=below) as issuer:
        given = settings(issuer, pages=below)
        async with (
            small_service(tmp_path, dapr, given) as service,
            browsing(invoked(service.app)) as browser,
        ):
            sent = await browser.http.get(f"{below}{PAGE}")
            asked = await browser.http.get(sent.url.join(sent.headers["location"]))
            begun = await browser.http.get(await browser.comes_back("olga", asked))
            shown = await browser.http.get(begun.url.join(begun.headers["location"]))
            out = re.search(r'action="([^"]*sign-out)"', shown.text)
            assert out
            left = await browser.http.post(
                shown.url.join(out[1]), data=hidden(shown.text), headers=OWN
            )
            gone = await browser.http.get(left.url.join(left.headers["location"]))

    assert str(shown.url) == f"{below}{PAGE}"
    assert str(gone.url) == f"{below}signed-out"
    assert "You are signed out" in gone.text


def invoked(app: ASGIApp) -> ASGIApp:
    """Return an app that is reached below the path of Dapr's invoke, by another Host."""

    async def invoke(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix("/v1.0/invoke/order/method")
        kept = [each for each in scope["headers"] if each[0] != b"host"]
        headers = [*kept, (b"host", b"127.0.0.1:9999")]
        await app({**scope, "path": path, "headers": headers}, receive, send)

    return invoke


async def test_where_one_comes_back_to_is_a_setting_and_no_host(
    browser: Browser,
) -> None:
    asked = await browser.opens("sign-in", host="localhost:9999")
    refused = await browser.opens("sign-in", host="attacker.example")

    back = httpx.URL(asked.headers["location"]).params["redirect_uri"]
    assert back == f"{PAGES}signed-in"
    assert refused.status_code == 421


async def test_an_answer_of_the_issuer_counts_once(browser: Browser) -> None:
    asked = await browser.opens("sign-in")
    kept = browser.http.cookies["order-sign-in"]
    back = await browser.comes_back("olga", asked)
    assert (await browser.http.get(back)).status_code == 303

    again = await browser.http.get(back)
    browser.http.cookies.set("order-sign-in", kept, domain="127.0.0.1")
    replayed = await browser.http.get(back)

    assert [again.status_code, replayed.status_code] == [403, 403]
    assert "began no sign-in" in again.text
    assert "refuses the code" in replayed.text


async def test_nobody_is_signed_in_as_somebody_else_by_a_link(
    closed: Service, browser: Browser, other: Browser
) -> None:
    asked = await other.opens("sign-in")
    link = await other.comes_back("bob", asked)
    without = await browser.http.get(link)
    await browser.opens("sign-in")
    begun = await browser.http.get(link)

    assert [without.status_code, begun.status_code] == [403, 403]
    assert "This is no answer to the sign-in" in begun.text
    assert await sessions(closed) == []


async def test_a_code_of_another_browser_is_worth_nothing(
    closed: Service, browser: Browser, other: Browser
) -> None:
    stolen = httpx.URL(await other.comes_back("olga", await other.opens("sign-in")))
    own = httpx.URL(await browser.comes_back("bob", await browser.opens("sign-in")))
    code = stolen.params["code"]

    answer = await browser.http.get(own.copy_set_param("code", code))

    assert answer.status_code == 403
    assert "refuses the code" in answer.text
    assert await sessions(closed) == []


async def test_an_id_token_that_was_made_for_another_sign_in_is_refused(
    closed: Service, browser: Browser
) -> None:
    asked = await browser.opens("sign-in")
    there = httpx.URL(asked.headers["location"])
    asked.headers["location"] = str(there.copy_set_param("nonce", "another"))

    answer = await browser.http.get(await browser.comes_back("olga", asked))

    assert answer.status_code == 403
    assert "The ID token is of another sign-in" in answer.text
    assert await sessions(closed) == []


async def test_a_cookie_that_was_planted_leads_to_no_other_site(
    browser: Browser,
) -> None:
    asked = await browser.opens("sign-in")
    secret = browser.http.cookies["order-sign-in"].partition(".")[0]
    planted = f"{secret}.%2F%2Fattacker.example%2F"
    browser.http.cookies.set("order-sign-in", planted, domain="127.0.0.1")

    begun = await browser.http.get(await browser.comes_back("olga", asked))

    assert begun.headers["location"] == "./"


async def test_what_the_issuer_refuses_is_said_and_is_text(browser: Browser) -> None:
    asked = await browser.opens("sign-in")
    state = httpx.URL(asked.headers["location"]).params["state"]
    sent = {"state": state, "error": "<script>alert(1)</script>"}

    answer = await browser.http.get(f"{PAGES}signed-in", params=sent)

    assert answer.status_code == 403
    assert "The issuer answers" in answer.text
    assert "<script>alert" not in answer.text


async def test_an_issuer_that_is_away_is_named(
    tmp_path: Path, dapr: SimulatedDapr, issuer: Issuer
) -> None:
    given = {**settings(issuer), "oidc_issuer": "http://127.0.0.1:1"}
    async with small_service(tmp_path, dapr, given) as service:
        answer = await service.http.get("/sign-in", headers={"host": "127.0.0.1"})

    assert answer.status_code == 503
    assert "issuer" in answer.text
    assert answer.headers["retry-after"] == "5"


async def test_without_access_control_nobody_need_sign_in(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with small_service(tmp_path, dapr, {}) as service:
        asked = await service.http.get("/sign-in", params={"next": PAGE})
        page = await service.http.get(f"/{PAGE}")

    assert asked.headers["location"] == f"./{PAGE}"
    assert page.status_code == 200
    assert "Sign out" not in page.text


@pytest.mark.parametrize(
    "address",
    [
        "orders/01a20727-ad7d-7a6d-8ffc-e0698ef24ad8",
        "?find=J%C3%BCrgen&state=SENT",
        "dead-letters/groups/0f?cursor=7",
        "",
    ],
)
def test_a_page_of_the_service_is_led_back_to(address: str) -> None:
    assert own_page(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "https://attacker.example/",
        "//attacker.example/",
        "/\\attacker.example",
        "\\\\attacker.example",
        "/orders",
        "../../notification/method/",
        "orders/../../x",
        "orders/./x",
        "orders//x",
        "javascript:alert(1)",
        "orders%2f..%2f..",
        "orders\nLocation: x",
        "?a\r\nb",
        "?a\\b",
        " orders",
        "ordérs",
        "#x",
        "@attacker.example",
        "x" * 2001,
    ],
)
def test_no_other_address_is_led_to(address: str) -> None:
    assert own_page(address) == ""
