"""Who is signed in on pages: for as long as it is proved, by a secret that the browser alone has."""

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from chassis.access import Caller
from chassis.http import Read
from chassis.http.units import CALLER
from chassis.pages import live, session, watch
from chassis.pages.session import page_session
from chassis.runtime import clock
from tests.chassis.pages.things import list_of_things, names, small_service
from tests.support.services import Service
from tests.support.sign_in import OWN, PAGES, Browser, hidden, settings
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.issuer.tokens import Issuer

PAGE = "things/a"


async def sessions(closed: Service) -> list[str]:
    """Return who is signed in."""
    query = select(page_session.c.subject)
    return await closed.database.read(lambda each: [*each.scalars(query)])


async def test_a_session_is_a_cookie_of_this_service_that_no_script_reads(
    browser: Browser,
) -> None:
    begun = await browser.signs_in("olga")

    cookies = begun.headers.get_list("set-cookie")
    made, cleared = (each.split("; ") for each in cookies)
    assert made[0].startswith("order-session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= {*made}
    assert any(3500 < int(each[8:]) <= 3600 for each in made if each[:7] == "Max-Age")
    assert cleared[0] == 'order-sign-in=""'
    assert "Max-Age=0" in cleared


async def test_over_tls_a_cookie_is_of_this_host_alone(
    tmp_path: Path, dapr: SimulatedDapr, issuer: Issuer
) -> None:
    given = settings(issuer, pages="https://shop.example/orders/")
    async with small_service(tmp_path, dapr, given) as service:
        answer = await service.http.get("/sign-in", headers={"host": "shop.example"})

    (kept,) = answer.headers.get_list("set-cookie")
    assert kept.startswith("__Host-order-sign-in=")
    assert {"Secure", "Path=/", "HttpOnly"} <= {*kept.split("; ")}
    assert "Domain" not in kept
    back = httpx.URL(answer.headers["location"]).params["redirect_uri"]
    assert back == "https://shop.example/orders/signed-in"


async def test_who_signs_out_is_nobody_in_any_tab(
    closed: Service, browser: Browser, other: Browser
) -> None:
    await browser.signs_in("olga")
    other.http.cookies = httpx.Cookies(browser.http.cookies)
    page = await browser.opens(PAGE)

    left = await browser.sends("sign-out", page.text)

    assert left.headers["location"] == "signed-out"
    assert "order-session" not in browser.http.cookies
    assert (await other.opens(PAGE)).status_code == 303
    assert await sessions(closed) == []
    assert "You are signed out" in (await browser.opens("signed-out")).text


async def test_a_session_lasts_no_longer_than_it_is_proved(
    closed: Service, browser: Browser
) -> None:
    await browser.signs_in("olga")
    past = clock.now() - timedelta(seconds=1)
    expire = update(page_session).values(expires_at=past)
    await closed.database.write(lambda each: each.execute(expire).close())

    assert (await browser.opens(PAGE)).status_code == 303


async def test_nobody_signs_in_with_what_the_database_has(
    closed: Service, browser: Browser
) -> None:
    await browser.signs_in("olga")
    secret = browser.http.cookies["order-session"]
    query = select(page_session.c.id)
    (kept,) = await closed.database.read(lambda each: each.scalars(query).all())

    assert secret.encode() not in kept
    browser.http.cookies.set("order-session", kept.hex(), domain="127.0.0.1")
    assert (await browser.opens(PAGE)).status_code == 303


async def test_a_session_that_was_planted_is_not_signed_in(
    closed: Service, browser: Browser, other: Browser
) -> None:
    await other.signs_in("bob")
    planted = other.http.cookies["order-session"]
    browser.http.cookies.set("order-session", planted, domain="127.0.0.1")

    await browser.signs_in("olga")

    assert browser.http.cookies["order-session"] != planted
    assert await sessions(closed) == ["olga"]


async def test_a_cookie_of_another_service_is_none(
    browser: Browser, other: Browser
) -> None:
    await browser.signs_in("olga")
    secret = browser.http.cookies["order-session"]

    other.http.cookies.set("notification-session", secret, domain="127.0.0.1")

    assert (await other.opens(PAGE)).status_code == 303


async def test_the_api_takes_no_session_and_a_page_takes_a_token(
    browser: Browser, other: Browser, issuer: Issuer
) -> None:
    await browser.signs_in("olga")

    by_cookie = await browser.opens("api/dead-letter")
    token = issuer.access_token("olga", ["operate"])
    by_token = await other.opens(PAGE, authorization=f"Bearer {token}")
    forged = await browser.opens(PAGE, authorization="Bearer x.y.z")

    assert by_cookie.status_code == 401
    assert by_token.status_code == 200
    assert forged.status_code == 401


async def test_a_live_page_ends_with_its_session_and_says_so(
    closed: Service, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOOKS_EVERY", 0)
    monkeypatch.setattr(live, "INTERVAL", 0.02)
    await browser.signs_in("olga")
    secret = browser.http.cookies["order-session"]
    found = await closed.database.read(lambda each: session.look_up(each, secret))
    assert found
    read = request_of(closed, secret)
    session.remember(read, found)

    opened = watch(read, list_of_things, "a")
    shown = await asyncio.wait_for(anext(opened), 60)
    await closed.database.write(lambda each: session.end(each, secret))
    told = [each async for each in opened][-1]

    assert shown.event is None
    assert (told.event, told.raw_data) == (live.NOT_LIVE, live.SIGNED_OUT)


async def test_a_live_page_shows_nothing_after_its_token_has_expired(
    closed: Service,
) -> None:
    read = request_of(closed, "")
    read.scope[CALLER] = Caller("olga", frozenset({"operate"}), until=0)

    told = [each async for each in watch(read, list_of_things, "a")]

    assert [each.raw_data for each in told] == [live.SIGNED_OUT]


def request_of(service: Service, secret: str) -> Read:
    """Return the request of a stream that has this session's cookie."""
    scope = {
        "type": "http",
        "app": service.app,
        "path": "/live/a",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"cookie", f"order-session={secret}".encode())],
        "server": ("127.0.0.1", 8001),
    }
    return Read(scope)


async def stored(closed: Service) -> list[str]:
    """Return what is stored."""
    return await closed.database.read(names)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", PAGE, OWN),
        ("GET", "live/a", {"accept": "text/event-stream"}),
        ("GET", "live/a", {"accept": "text/html, text/event-stream"}),
    ],
)
async def test_what_is_no_page_is_refused_and_leads_nowhere(
    closed: Service, browser: Browser, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = await browser.http.request(method, f"{PAGES}{path}", headers=headers)

    assert answer.status_code == 401
    assert "location" not in answer.headers
    assert answer.headers["hx-refresh"] == "true"
    assert "You are not signed in" in answer.text
    assert await stored(closed) == []


async def test_who_may_not_see_a_page_is_told_so(browser: Browser) -> None:
    await browser.signs_in("alice")

    answer = await browser.opens(PAGE)

    assert answer.status_code == 403
    assert "You are signed in as <bdi>Alice Martin</bdi>" in answer.text
    assert "<code>operate</code>" in answer.text
    assert "Dead letters" not in answer.text


async def test_a_form_is_carried_out_with_the_token_of_its_session(
    closed: Service, browser: Browser
) -> None:
    await browser.signs_in("olga")
    page = await browser.opens(PAGE)

    answer = await browser.sends(PAGE, page.text, thingName="a")

    assert answer.status_code == 303
    assert await stored(closed) == ["a"]


async def test_a_form_without_it_or_with_anothers_is_refused(
    closed: Service, browser: Browser, other: Browser
) -> None:
    await browser.signs_in("olga")
    await other.signs_in("olga")
    anothers = hidden((await other.opens(PAGE)).text)["formToken"]

    for token in ("", "x", anothers):
        answer = await browser.sends(PAGE, thingName="a", formToken=token)
        assert answer.status_code == 403
        assert "This form is not of your session" in answer.text
    refused = await browser.sends("sign-out", formToken="x")

    assert refused.status_code == 403
    assert await stored(closed) == []
    assert len(await sessions(closed)) == 2
