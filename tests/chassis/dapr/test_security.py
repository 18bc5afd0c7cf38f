"""What only the sidecar or another service calls is closed to everybody else."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from chassis.http import FROM_THE_SIDECAR
from tests.support.database import KEYS_TEXT
from tests.support.delivering import order_created
from tests.support.services import Service, notification_service
from tests.support.simulated_dapr import SimulatedDapr

TOKEN = "t0ken-of-the-sidecar"
OPEN = ["/healthz", "/readyz", "/api/notification", "/api/dead-letter", "/docs"]
WRONG = ["", "x", TOKEN.upper(), TOKEN[:-1], f"{TOKEN}x", f"Bearer {TOKEN}", "tökén"]
DETOURS = [
    "//events/OrderCreated",
    "/events//OrderCreated",
    "/events/OrderCreated/",
    "/EVENTS/OrderCreated",
    "/events%2FOrderCreated",
    "/%65vents/OrderCreated",
    "/%2fevents/OrderCreated",
    "/events/%4frderCreated",
    "/events%00/OrderCreated",
    "/%09/events/OrderCreated",
    "/api/../events/OrderCreated",
    "/api/%2e%2e/events/OrderCreated",
    "/./events/OrderCreated",
    "/events/./OrderCreated",
    "/events;x/OrderCreated",
    "/events\\OrderCreated",
    "/events?/OrderCreated",
    "/http://app/events/OrderCreated",
    "//dapr/subscribe",
    "/dapr//subscribe",
    "/dapr/subscribe/",
    "/dapr%2fsubscribe",
    "/dapr/%73ubscribe",
]


@pytest.fixture
async def guarded(tmp_path: Path, dapr: SimulatedDapr) -> AsyncIterator[Service]:
    """Run the notification service with a token, which its sidecar sends."""
    async with notification_service(tmp_path, dapr, app_api_token=TOKEN) as made:
        yield made


def of_the_sidecar(service: Service) -> list[tuple[str, str]]:
    """Return method and path of every route that only the sidecar calls."""
    return [
        (method, route.path)
        for route in service.app.routes
        if isinstance(route, APIRoute) and FROM_THE_SIDECAR in route.tags
        for method in sorted(route.methods or ())
    ]


async def ask(
    service: Service, method: str, path: str, token: str | None
) -> httpx.Response:
    """Call a route, with this token where there is any."""
    headers = httpx.Headers(
        {} if token is None else {b"dapr-api-token": token.encode("latin-1")}
    )
    body = order_created() if method == "POST" else None
    return await service.http.request(method, path, headers=headers, json=body)


async def test_what_only_the_sidecar_calls_needs_its_token(guarded: Service) -> None:
    routes = of_the_sidecar(guarded)

    assert routes == [
        ("GET", "/dapr/subscribe"),
        ("POST", "/events/OrderCreated"),
        ("POST", "/events/notification-dead-letter"),
    ]
    for method, path in [*routes, ("GET", "/dapr/config")]:
        for token in (None, *WRONG):
            answer = await ask(guarded, method, path, token)
            assert (answer.status_code, path, token) == (401, path, token)
            assert answer.json()["type"] == "urn:problem-type:not-the-sidecar"
            assert TOKEN not in answer.text
    for method, path in routes:
        assert (await ask(guarded, method, path, TOKEN)).status_code == 200


@pytest.mark.parametrize("caller", ["order", ""])
async def test_what_another_app_calls_through_dapr_is_not_from_the_sidecar(
    guarded: Service, caller: str
) -> None:
    """Its sidecar passes it on with the token."""
    for method, path in of_the_sidecar(guarded):
        headers = {"dapr-api-token": TOKEN, "dapr-caller-app-id": caller}
        answer = await guarded.http.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["detail"] == "Another app calls it through Dapr."


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "Text/Plain; charset=utf-8"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json", "origin": "http://127.0.0.1:8002"},
        {"content-type": "application/json", "sec-fetch-site": "none"},
    ],
)
async def test_what_a_web_page_sends_is_not_from_the_sidecar(
    notification: Service, headers: dict[str, str]
) -> None:
    """Without a token too: a browser on this machine reaches what only the sidecar calls."""
    for method, path in of_the_sidecar(notification):
        answer = await notification.http.request(
            method, path, headers=headers, content=b"{}"
        )
        assert answer.status_code == 401
        assert answer.json()["type"] == "urn:problem-type:not-the-sidecar"


@pytest.mark.parametrize("path", OPEN)
async def test_what_others_call_needs_no_token(guarded: Service, path: str) -> None:
    for token in (None, "wrong"):
        answer = await ask(guarded, "GET", path, token)
        # The simulated sidecar was asked for no subscriptions: not ready, and open.
        assert answer.status_code == (503 if path == "/readyz" else 200)


@pytest.mark.parametrize("token", [None, "", "whatever"])
async def test_without_a_token_everything_is_open(
    notification: Service, token: str | None
) -> None:
    for method, path in of_the_sidecar(notification):
        assert (await ask(notification, method, path, token)).status_code == 200


async def test_no_other_spelling_of_a_path_passes_the_guard(guarded: Service) -> None:
    for path in DETOURS:
        url = httpx.URL("http://app").copy_with(raw_path=path.encode())
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "BREW"):
            answer = await guarded.http.request(
                method, url, json={}, follow_redirects=True
            )

            assert (path, method, answer.status_code // 100) == (path, method, 4)
            assert "OrderCreated" not in answer.text


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic {}",
        "{}",
        "Bearer {}x",
        "Bearer {}, Bearer {}",
        "Bearer tökén",
    ],
)
async def test_the_feed_needs_the_secret(
    notification: Service, authorization: str | None
) -> None:
    secret = notification.parts.secret
    sent = None if authorization is None else authorization.replace("{}", secret)
    headers = httpx.Headers(
        {} if sent is None else {b"authorization": sent.encode("latin-1")}
    )

    for query in ("?topic=NotificationSent", "", "?topic=x&limit=-1&after=x"):
        answer = await notification.http.get(f"/events{query}", headers=headers)

        assert answer.status_code == 401
        assert answer.json()["type"] == "urn:problem-type:secret-missing"
        assert secret not in answer.text


async def test_the_feed_is_open_to_whoever_knows_the_secret(
    notification: Service,
) -> None:
    headers = {"authorization": f"Bearer {notification.parts.secret}"}

    answer = await notification.http.get(
        "/events?topic=NotificationSent", headers=headers
    )

    assert (answer.status_code, answer.json()["events"]) == (200, [])


async def test_a_signing_key_does_not_open_the_feed(notification: Service) -> None:
    for key in KEYS_TEXT.split(":"):
        headers = {"authorization": f"Bearer {key}"}
        answer = await notification.http.get("/events?topic=x", headers=headers)
        assert answer.status_code == 401


async def test_no_secret_is_shown(
    guarded: Service, caplog: pytest.LogCaptureFixture
) -> None:
    secret = guarded.parts.secret
    headers = {"authorization": f"Bearer {secret}", "dapr-api-token": TOKEN}

    with caplog.at_level("DEBUG"):
        for path in ("/events?after=x&topic=x", "/events/x", "/dapr/x", "/api/x"):
            answer = await guarded.http.get(path, headers=headers)
            assert answer.is_client_error
            assert secret not in answer.text
            assert TOKEN not in answer.text

    assert secret not in caplog.text
    assert TOKEN not in caplog.text
