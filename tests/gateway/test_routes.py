"""The gateway's list of public paths, held against the routes of both services."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from chassis.http import INTERNAL
from chassis.http.app import scope_of
from services.notification import app as notification
from services.order import app as order
from toolchain.runfile import ROOT

UNLISTED = {
    "/healthz",
    "/readyz",
    # Written for whoever reaches a service itself; docs/api/ has the same.
    "/openapi.json",
    "/docs",
    "/docs/oauth2-redirect",
    "/static-offline-docs",
}
"""What anybody may call who reaches a service itself, and that is not for customers all the same."""

PARAMETERS = {
    "orderId": "01a224dc-5f01-78e4-bda9-cae5ea8534d7",
    "decisionId": "17",
    "id": "17",
    "fingerprint": "0123456789abcdef",
    "digest": "0123456789abcdef",
    "name": "hx-sse.min.js",
}


def _maps() -> dict[str, list[tuple[str, str]]]:
    """Return the entries of each map of routes.conf, in their order, by the variable that it sets."""
    found: dict[str, list[tuple[str, str]]] = {}
    text = re.sub(r"(?m)^\s*#.*$", "", (ROOT / "gateway/routes.conf").read_text())
    for name, body in re.findall(r"map \S+(?: \S+)? \$(\w+) \{(.*?)\n\}", text, re.S):
        entries = re.findall(r'^\s*("(?:\\.|[^"])*"|\w+)\s+(\S+);$', body, re.M)
        found[name] = [(each.strip('"'), value.strip('"')) for each, value in entries]
    return found


def _mapped(entries: list[tuple[str, str]], key: str) -> str:
    """Return what nginx makes of a key: an equal one first, then the first pattern that fits, else the default."""
    for each, value in entries:
        if not each.startswith("~") and each not in {"default"} and each == key:
            return value
    for each, value in entries:
        pattern = each[1:].replace("(?<", "(?P<").replace(r"\"", '"')
        if each.startswith("~") and (found := re.search(pattern, key)):
            return found[value[1:]] if value.startswith("$") else value
    usual = dict(entries)["default"]
    return key if usual.startswith("$") else usual


def target(request_uri: str) -> tuple[str, str]:
    """Return the app that a request goes to, none where it goes nowhere, and the path there."""
    maps = _maps()
    path = _mapped(maps["path"], request_uri)
    service, inner = _mapped(maps["service"], path), _mapped(maps["inner"], path)
    return _mapped(maps["app"], f"{service} {inner}"), inner


def _routes(app: FastAPI) -> Iterator[tuple[str, bool]]:
    """Yield the path of each route, and whether it is public."""
    for each in iter_route_contexts(app.routes):
        is_internal = scope_of(each.original_route) == INTERNAL
        path = (each.path or "").format(**PARAMETERS)
        yield path, not is_internal and path not in UNLISTED


@pytest.fixture(params=["order", "notification"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, FastAPI]:
    """Make each service's app."""
    name: str = request.param
    given = {"database_url": f"sqlite:///{tmp_path}/x.db", "secrets_folder": tmp_path}
    if name == "order":
        return name, order.create_app(order.Settings.model_validate(given))
    return name, notification.create_app(notification.Settings.model_validate(given))


def test_every_route_is_public_unless_it_is_internal_or_named_here(
    service: tuple[str, FastAPI],
) -> None:
    name, app = service
    prefix = "/notifications" if name == "notification" else ""

    wrong = [
        path
        for path, is_public in _routes(app)
        if target(f"{prefix}{path}")[0] != (name if is_public else "")
    ]

    assert wrong == []


def test_the_apis_of_both_services_are_where_a_customer_looks_for_them() -> None:
    an_id = PARAMETERS["orderId"]

    assert target(f"/api/order/{an_id}?x=1") == ("order", f"/api/order/{an_id}")
    assert target("/api/notification") == ("notification", "/api/notification")
    assert target(f"/notifications/?order={an_id}") == ("notification", "/")


def test_a_service_is_not_asked_for_what_only_the_other_has() -> None:
    assert target("/notifications/api/order") == ("", "/api/order")
    assert target("/notifications/orders/17") == ("", "/orders/17")
    assert target("/api/notifications") == ("", "/api/notifications")
