"""Who may call which route: each route of both services, with each role, and with each token that proves nothing.

The table repeats it on purpose: a new route without a line here fails, and so does a route whose scope changes.
"""

import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from fastapi.routing import iter_route_contexts
from jwt.utils import base64url_encode

from chassis.http import INTERNAL, OPEN
from tests.support.issuer import SCOPES, Issuer, encoded, issuing, signing_key
from tests.support.services import Service, notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.documents import services

SIDECAR = "sidecar"
"""What the service's own sidecar alone calls, by APP_API_TOKEN."""
APP_TOKEN = "the-token-of-the-app"
OF_BOTH = {
    "operate": """
        GET /api/operations, GET /operations, GET /operations-live,
        GET /api/dead-letter, GET /api/dead-letter/{id}, GET /api/dead-letter/{id}/history,
        POST /api/dead-letter/{id}/replay, POST /api/dead-letter/{id}/edit,
        POST /api/dead-letter/{id}/discard, POST /api/dead-letter/{id}/restore,
        GET /api/dead-letter-group, GET /api/dead-letter-group/{fingerprint},
        POST /api/dead-letter-group/{fingerprint}/run,
        GET /api/dead-letter-run/{id}, GET /api/dead-letter-run/{id}/letters, POST /api/dead-letter-run/{id}/stop,
        GET /dead-letters, GET /dead-letters/{id},
        GET /dead-letters/groups/{fingerprint}, POST /dead-letters/groups/{fingerprint},
        GET /dead-letters/runs/{id}, POST /dead-letters/runs/{id}, GET /dead-letters/runs-live/{id},
        POST /dead-letters/{id}/dry-run, POST /dead-letters/{id}/replay, POST /dead-letters/{id}/edit,
        POST /dead-letters/{id}/discard, POST /dead-letters/{id}/restore""",
    INTERNAL: "GET /events",
    SIDECAR: "GET /dapr/subscribe",
    OPEN: """
        GET /healthz, GET /readyz, GET /static/{digest}/{name}, GET /openapi.json, GET /docs,
        GET /docs/oauth2-redirect, GET /static-offline-docs,
        GET /sign-in, GET /signed-in, POST /sign-out, GET /signed-out""",
}
OF_EACH = {
    "order": {
        "orders:write": "POST /api/order, POST /",
        "operate": "POST /api/customer/erase, POST /api/customer/export",
        "orders:read": """
            GET /api/order, GET /api/order/{orderId}, GET /api/order/{orderId}/journey,
            GET /, GET /live, GET /orders/{orderId}, GET /live/{orderId}""",
        INTERNAL: "GET /internal/order",
    },
    "notification": {
        "notifications:read": "GET /api/notification, GET /api/notification/{orderId}",
        "operate": """
            GET /, POST /, POST /api/notification/{orderId}/release, POST /api/notification/{orderId}/discard,
            POST /api/notification-decision, GET /api/notification-decision/{decisionId},
            POST /api/customer/export""",
        INTERNAL: "GET /internal/notification, GET /internal/notification/{orderId}",
        SIDECAR: "POST /events/OrderCreated, POST /events/notification-dead-letter",
    },
}
REFUSED = (401, 403)
NOW = int(time.time())


def rules(service: str) -> dict[str, str]:
    """Return what each route of a service needs, by its method and path, as the tables above say."""
    return {
        route.strip(): needed
        for table in (OF_BOTH, OF_EACH[service])
        for needed, listed in table.items()
        for route in listed.split(",")
    }


def routes(service: str) -> set[str]:
    """Return the routes that a service has."""
    return {
        f"{method} {each.path}"
        for each in iter_route_contexts(services.app(service).routes)
        for method in {*(getattr(each.original_route, "methods", None) or {"GET"})}
        if method != "HEAD"
    }


EVERY = [
    pytest.param(service, route, needed, id=f"{service} {route}")
    for service in OF_EACH
    for route, needed in rules(service).items()
]


@dataclass(frozen=True)
class System:
    """Both services with access control, the issuer, and an order of jane's."""

    services: dict[str, Service]
    issuer: Issuer
    placed: str

    async def asks(
        self, service: str, route: str, headers: httpx.Headers, order: str = ""
    ) -> httpx.Response:
        """Call a route, about this order, or jane's."""
        method, path = route.split(" ", 1)
        given = {
            "orderId": order or self.placed,
            "id": "1",
            "decisionId": str(uuid4()),
            "fingerprint": "0" * 16,
            "digest": "0",
            "name": "style.css",
        }
        body: dict[str, Any] = {}
        if method == "POST" and path.startswith("/api/"):
            body = {"json": {}}
        elif method == "POST":
            body = {"data": {"nothing": "here"}}
        http = self.services[service].http
        return await http.request(method, path.format(**given), headers=headers, **body)

    def bearer(self, scopes: str, subject: str = "jane") -> httpx.Headers:
        """Return the header with a token that has these scopes."""
        return httpx.Headers(self.issuer.authorization(scopes, subject=subject))


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Run both services with access control."""
    folder, dapr = tmp_path_factory.mktemp("matrix"), SimulatedDapr()
    with issuing() as issuer:
        closed = {**issuer.settings, "app_api_token": APP_TOKEN}
        async with (
            order_service(folder, dapr, **closed) as order,
            notification_service(folder, dapr, **closed) as notification,
        ):
            for each in (order, notification):
                each.app.state.live.is_stopping = True  # each stream ends at once
            placed = await order.http.post(
                "/api/order",
                json={"customerName": "Jane"},
                headers=issuer.authorization("orders:write", subject="jane"),
            )
            both = {"order": order, "notification": notification}
            yield System(both, issuer, placed.json()["orderId"])


def unproven(issuer: Issuer) -> dict[str, httpx.Headers]:
    """Return headers that prove nobody, by what is wrong with them; each names every scope."""
    every, token = " ".join(SCOPES), issuer.token
    tokens = {
        "expired": token(every, iat=NOW - 7200, exp=NOW - 3600),
        "not yet valid": token(every, nbf=NOW + 3600),
        "of another issuer": token(every, iss="https://other.example.org"),
        "for another audience": token(every, aud="https://other.example.org"),
        "of another key": token(
            every, key=signing_key("RS256", 2), header={"kid": signing_key().id}
        ),
        "of an unknown key": token(every, header={"kid": "unknown"}),
        "signed by nobody": _forged(issuer, "none"),
        "signed with the public key": _forged(issuer, "HS256"),
        "garbage": "garbage",
    }
    sent = {
        name: httpx.Headers({"authorization": f"Bearer {each}"})
        for name, each in tokens.items()
    }
    both = [("authorization", f"Bearer {token(every)}")] * 2
    basic = {"authorization": f"Basic {token(every)}"}
    return {
        **sent,
        "missing": httpx.Headers(),
        "twice": httpx.Headers(both),
        "of another scheme": httpx.Headers(basic),
    }


def _forged(issuer: Issuer, algorithm: str) -> str:
    _, claims, _ = issuer.token(" ".join(SCOPES)).split(".")
    header = encoded({"alg": algorithm, "typ": "at+jwt", "kid": signing_key().id})
    if algorithm == "none":
        return f"{header}.{claims}."
    public = signing_key().private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    mac = hmac.digest(public, f"{header}.{claims}".encode(), "sha256")
    return f"{header}.{claims}.{base64url_encode(mac).decode()}"


@pytest.mark.parametrize("service", OF_EACH)
def test_every_route_has_its_rule(service: str) -> None:
    assert routes(service) == {*rules(service)}


@pytest.mark.parametrize(("service", "route", "needed"), EVERY)
async def test_a_token_that_proves_nothing_opens_nothing(
    system: System, service: str, route: str, needed: str
) -> None:
    for wrong, headers in unproven(system.issuer).items():
        answer = await system.asks(service, route, headers)
        if needed == OPEN:
            assert answer.status_code not in REFUSED, wrong
        else:
            assert answer.status_code == 401, wrong
            assert answer.headers["www-authenticate"].startswith("Bearer"), wrong


@pytest.mark.parametrize(("service", "route", "needed"), EVERY)
async def test_each_role_calls_what_its_scope_is_for(
    system: System, service: str, route: str, needed: str
) -> None:
    for role in ("", *SCOPES, " ".join(SCOPES)):
        held = {*role.split()}
        answer = await system.asks(service, route, system.bearer(role))
        if needed in {INTERNAL, SIDECAR}:
            assert answer.status_code == 401, role
            continue
        reads = "operate" in held and needed.endswith(":read")
        is_allowed = needed == OPEN or needed in held or reads
        assert (answer.status_code not in REFUSED) == is_allowed, role
        if not is_allowed:
            assert answer.status_code == 403, role
            assert f'scope="{needed}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("service", "route", "needed"),
    [each for each in EVERY if each.values[2] in {INTERNAL, SIDECAR}],
)
async def test_what_is_internal_takes_its_own_secret(
    system: System, service: str, route: str, needed: str
) -> None:
    secret = system.services[service].parts.secret
    headers = {"authorization": f"Bearer {secret}", "dapr-api-token": APP_TOKEN}
    if needed == INTERNAL:
        del headers["dapr-api-token"]
    method, path = route.split(" ")
    path = path.replace("{orderId}", system.placed)

    answer = await system.services[service].http.request(
        method, path, headers=headers, json={} if method == "POST" else None
    )

    assert answer.status_code not in REFUSED


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
async def test_the_scheme_of_a_token_has_no_case(system: System, scheme: str) -> None:
    headers = httpx.Headers(
        {"authorization": f"{scheme} {system.issuer.token('orders:read')}"}
    )

    answer = await system.asks("order", "GET /api/order", headers)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "route", [each for each in rules("order") if "{orderId}" in each]
)
async def test_an_order_is_shown_to_its_owner_and_to_operators_alone(
    system: System, route: str
) -> None:
    customer = "orders:read orders:write"
    own = await system.asks("order", route, system.bearer(customer))
    operator = await system.asks("order", route, system.bearer("operate", "ada"))
    other = await system.asks("order", route, system.bearer(customer, "john"))
    none = await system.asks(
        "order", route, system.bearer(customer, "john"), str(uuid4())
    )

    assert (own.status_code, operator.status_code) == (200, 200)
    assert other.status_code == none.status_code
    assert "Jane" not in other.text
    if not route.startswith("GET /live/"):  # a stream says so within
        assert other.status_code == 404
