"""What a browser is told with every answer, and what it may not do for a page of another site."""

from dataclasses import replace

import pytest
from starlette.types import Message

from chassis.http import units
from tests.chassis.http.thing_api import Api

FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/thing", 200),
        ("GET", "/api/thing/none", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/api/thing", 405),
        ("POST", "/api/thing", 422),
        ("POST", "/api/touch", 200),
        ("POST", "/api/broken", 500),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
    ],
)
async def test_every_answer_says_what_a_browser_may_do_with_it(
    api: Api, method: str, path: str, status: int
) -> None:
    @api.app.post("/api/broken")
    async def break_down() -> None:
        """Fail."""
        raise ZeroDivisionError

    answer = await api.http.request(method, path)

    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_what_a_page_of_another_site_sends_changes_nothing(
    api: Api, headers: dict[str, str]
) -> None:
    """Not even without a body, which a browser sends across sites without asking."""
    for path in ("/api/touch", "/api/thing"):
        answer = await api.http.post(path, headers=headers)

        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:problem-type:cross-site-request"


async def asks(api: Api, host: str, server: str) -> int:
    """Return the status of what comes in at this address for this host."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/thing",
        "query_string": b"",
        "headers": [(b"host", host.encode())] if host else [],
        "server": (server, 8001),
    }
    await api.app(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("host", "server", "status"),
    [
        ("127.0.0.1:8001", "127.0.0.1", 200),
        ("localhost", "127.0.0.1", 200),
        ("LocalHost:8001", "::1", 200),
        ("[::1]:8001", "::1", 200),
        ("127.0.1.1", "127.0.1.1", 200),
        ("", "127.0.0.1", 200),
        ("evil.example", "127.0.0.1", 421),
        ("127.0.0.1.evil.example", "127.0.0.1", 421),
        ("localhost.evil.example:8001", "::1", 421),
        ("localhost@evil.example", "127.0.0.1", 421),
        ("shop.example", "10.1.2.3", 200),
    ],
)
async def test_on_loopback_a_service_answers_under_no_foreign_name(
    api: Api, host: str, server: str, status: int
) -> None:
    """A page whose name resolves to this machine would be one of the same site."""
    assert await asks(api, host, server) == status


@pytest.mark.parametrize(
    ("host", "server", "status"),
    [
        ("shop.example", "127.0.0.1", 200),
        ("SHOP.example", "10.1.2.3", 200),
        ("127.0.0.1:8001", "127.0.0.1", 200),
        ("evil.example", "10.1.2.3", 421),
        ("evil.example", "127.0.0.1", 421),
        ("shop.example:8001", "127.0.0.1", 421),
        ("shop.example.evil.example", "127.0.0.1", 421),
        ("shop.example.", "10.1.2.3", 421),
    ],
)
async def test_with_a_public_address_its_name_is_the_only_foreign_one(
    api: Api, monkeypatch: pytest.MonkeyPatch, host: str, server: str, status: int
) -> None:
    is_public(api, monkeypatch, "https://shop.example/orders/")

    assert await asks(api, host, server) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://shop.example", 200),
        ("https://shop.example", 403),
        ("http://shop.example:8001", 403),
        ("http://evil.example", 403),
    ],
)
async def test_a_page_is_known_by_the_public_address_where_the_host_is_another(
    api: Api, monkeypatch: pytest.MonkeyPatch, origin: str, status: int
) -> None:
    """As through Dapr, from another machine and without TLS: the browser says nothing but its origin."""
    is_public(api, monkeypatch, "http://shop.example/v1.0/invoke/thing/method/")

    headers = {"origin": origin, "host": "127.0.0.1"}
    assert (await api.http.post("/api/touch", headers=headers)).status_code == status


def is_public(api: Api, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Make this the public address of the service."""
    parts = api.app.state.parts
    settings = parts.settings.model_copy(update={"public_url": url})
    monkeypatch.setattr(api.app.state, "parts", replace(parts, settings=settings))


async def test_a_query_is_refused_at_once_where_too_many_wait(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "MOST_READING", 2)
    api.database.reading = 2

    refused = await api.http.get("/api/thing")
    api.database.reading = 1
    answered = await api.http.get("/api/thing")

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["type"] == "urn:problem-type:overloaded"
    assert answered.status_code == 200
    assert api.database.reading == 1
