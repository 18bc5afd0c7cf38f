"""Who is admitted to a route: a service states a scope for each, or does not start."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from chassis.http import OPEN, Router, create_api, needs
from chassis.runtime.settings import EX_CONFIG
from chassis.service import create
from tests.support.issuer import Issuer, issuing
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.runfile import ROOT, free_port


@pytest.fixture
async def closed(
    tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[tuple[Service, Issuer]]:
    """Run the order service with access control."""
    with issuing() as issuer:
        async with order_service(tmp_path, dapr, **issuer.settings) as order:
            yield order, issuer


@pytest.fixture
async def plain(tmp_path: Path, dapr: SimulatedDapr) -> AsyncIterator[Service]:
    """Run the order service without access control."""
    async with order_service(tmp_path, dapr) as order:
        yield order


async def test_without_a_token_a_caller_is_told_to_send_one(
    closed: tuple[Service, Issuer],
) -> None:
    order, _ = closed

    answer = await order.http.get("/api/order")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_token_without_the_scope_is_refused_before_the_body_is_read(
    closed: tuple[Service, Issuer],
) -> None:
    order, issuer = closed
    headers = issuer.authorization("orders:read")

    answer = await order.http.post("/api/order", content=b"{", headers=headers)

    assert answer.status_code == 403
    assert answer.json()["scope"] == "orders:write"
    assert 'scope="orders:write"' in answer.headers["www-authenticate"]


async def test_a_token_with_the_scope_is_served(
    closed: tuple[Service, Issuer],
) -> None:
    order, issuer = closed
    headers = issuer.authorization("orders:write orders:read")

    placed = await order.http.post(
        "/api/order", json={"customerName": "Jane"}, headers=headers
    )

    assert placed.status_code == 201
    assert (await order.http.get("/api/order", headers=headers)).status_code == 200


async def test_a_page_is_refused_as_a_page(closed: tuple[Service, Issuer]) -> None:
    order, issuer = closed

    unknown = await order.http.get("/")
    customer = await order.http.get(
        "/operations", headers=issuer.authorization("orders:read")
    )

    assert (unknown.status_code, customer.status_code) == (401, 403)
    assert unknown.headers["www-authenticate"] == "Bearer"
    assert unknown.headers["content-type"].startswith("text/html")


async def test_the_feed_takes_the_secret_of_the_services_and_no_token(
    closed: tuple[Service, Issuer],
) -> None:
    order, issuer = closed
    query = {"topic": "OrderCreated"}
    secret = {"authorization": f"bearer {order.parts.secret}"}

    for headers in ({}, issuer.authorization("operate")):
        refused = await order.http.get("/events", params=query, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
    served = await order.http.get("/events", params=query, headers=secret)
    assert served.status_code == 200


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "0.0.0.0", "10.0.0.1"])  # noqa: S104 - nothing listens there
async def test_without_access_control_only_this_machine_is_served(
    plain: Service, host: str
) -> None:
    transport = httpx.ASGITransport(plain.app)
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://{host}:8001"
    ) as elsewhere:
        answer = await elsewhere.get("/healthz")

    assert answer.status_code == 403
    assert "OIDC_ISSUER" in answer.json()["title"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
async def test_without_access_control_this_machine_is_served(
    plain: Service, host: str
) -> None:
    transport = httpx.ASGITransport(plain.app)
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://{host}:8001"
    ) as here:
        assert (await here.get("/healthz")).status_code == 200


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_a_service_without_an_issuer_refuses_to_listen_beyond_loopback(
    tmp_path: Path, given: str
) -> None:
    told = ["--host", "0.0.0.0"] if given == "argument" else []  # noqa: S104 - it is to be refused
    environment = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/order.db",
        "SECRETS_FOLDER": str(tmp_path),
        **({} if told else {"UVICORN_HOST": "::"}),
    }

    ended = subprocess.run(
        [
            *(sys.executable, "-m", "uvicorn", "--factory", f"--port={free_port()}"),
            *("services.order.app:create_app", *told),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == EX_CONFIG, ended.stderr
    assert "The setting OIDC_ISSUER is wrong" in ended.stderr
    assert "beyond loopback" in ended.stderr


def test_a_route_that_states_no_scope_does_not_start(plain: Service) -> None:
    silent = Router(tags=["Things"])

    @silent.get("/api/thing")
    async def get_thing() -> None:
        raise NotImplementedError

    with pytest.raises(TypeError, match="/api/thing states no scope"):
        create(plain.parts, routers=[silent])


async def test_a_route_that_states_no_scope_is_closed_where_nothing_checked_it(
    closed: tuple[Service, Issuer],
) -> None:
    order, issuer = closed
    app = create_api("things")
    app.state.parts = order.parts
    router = Router(tags=["Things"])

    @router.get("/silent")
    async def get_silent() -> str:
        return "reached"

    @router.get("/open")
    @needs(OPEN)
    async def get_open() -> str:
        return "reached"

    app.router.routes += router.routes
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://app"
    ) as client:
        headers = issuer.authorization("operate None orders:read")
        assert (await client.get("/silent", headers=headers)).status_code == 403
        assert (await client.get("/open")).status_code == 200
