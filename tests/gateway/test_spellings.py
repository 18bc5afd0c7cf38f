"""No spelling of an address leads anywhere but to a public route, on nginx, Dapr and the services themselves."""

import asyncio
from collections.abc import Iterator
from itertools import product

import pytest

from tests.support.door import Door
from tests.support.eventually import eventually

pytestmark = pytest.mark.system

AN_ID = "01a224dc-5f01-78e4-bda9-cae5ea8534d7"
INTERNAL = (
    *("events", "events/OrderCreated", "dapr/subscribe", "readyz", "openapi.json"),
    *(f"internal/notification/{AN_ID}", "v1.0/metadata"),
    "v1.0/invoke/notification/method/events/OrderCreated",
)
DOTS = ("..", "%2e%2e", "%2E.", ".%2e", "..;", "..%00", "%252e%252e", "...")
SLASHES = ("/", "%2f", "%2F", "%5c", "\\", "%252f", "%c0%af", "%e2%88%95")
ENDS = ("%00", "%20", "%0a", "%0d%0aX:1", ".", "%2e", ";", ";a=b", "%3f", "%23")
HOSTS = ("localhost", "127.0.0.1:3500", "order", "[::1]", "a@localhost")
BEFORE = (
    *("/", "/notifications/", "/Notifications/", "/notification/", "/orders/"),
    *("/static/0123456789abcdef/", "/api/notification/", "/dead-letters/1/"),
)


def spellings(path: str) -> Iterator[str]:
    """Yield the addresses with which somebody may mean a path."""
    first, rest = path[0], path[1:]
    yield from (f"/{path}", f"//{path}", f"///{path}", f"/./{path}", f"/{path}/")
    yield from (f"/%{ord(first):02x}{rest}", f"/%25{ord(first):02x}{rest}")
    yield "/" + "".join(f"%{ord(each):02X}" for each in path)
    yield from (f"/{path.upper()}", f"/{path.title()}", f"/{path.replace('/', '%2F')}")
    yield from (f"/{path.replace('/', '//')}", f"/;/{path}", f"/%3b/{path}")
    yield from (f"/~/{path}", f"/%7e/{path}", f"/@/{path}", path, f"?{path}", "*")
    yield from (f"\\{path}", f"/\\{path}", f"/api\\..\\{path}")
    yield from (f"/\u2215{path}", f"/\uff0f{path}", f"/{path}\u200b")
    for each in (*DOTS, ".", "/"):
        yield from (f"{before}{each}/{path}" for before in BEFORE)
        yield from (f"/api/order/{AN_ID}/{each}/{each}/{each}/{path}",)
    for end in ENDS:
        yield from (
            f"/{path}{end}",
            f"/{path}{end}/",
            f"/{path}?{end}",
            f"/{path}#{end}",
        )
    yield from _upwards(path)
    yield from _elsewhere(path)


def _upwards(path: str) -> Iterator[str]:
    for dots, slash in product(DOTS, SLASHES):
        yield f"/api/order{slash}{dots}{slash}{dots}{slash}{path}"


def _elsewhere(path: str) -> Iterator[str]:
    for scheme, host in product(("http", "https", "HTTP", "dapr"), HOSTS):
        yield f"{scheme}://{host}/{path}"
    yield from (f"http:/{path}", f"http:///{path}", f"//localhost/{path}")
    yield from (f"/http://order/{path}", f"/order/{path}", f"/notifications%2f{path}")


async def _sends(door: Door, method: str, address: str, number: int) -> bytes:
    # Each from an address of its own on this machine: the limits of one are of no concern here.
    source = (f"127.0.{1 + number // 250}.{1 + number % 250}", 0)
    raw = f"{method} {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return await door.sends(raw.encode(), source=source)


async def test_no_spelling_of_an_internal_route_reaches_anything(door: Door) -> None:
    addresses = [each for path in INTERNAL for each in spellings(path)]
    asked = [
        (method, each)
        for number, each in enumerate(addresses)
        for method in (("GET", "POST") if number % 2 else ("POST",))
    ]
    before, wrong = len(door.log()), []

    async def ask(number: int, method: str, address: str) -> None:
        answer = await _sends(door, method, address, number)
        status = answer[9:12]
        if answer and status not in {b"400", b"404", b"405"}:
            wrong.append((method, address, answer[:200]))

    for begin in range(0, len(asked), 50):
        part = enumerate(asked[begin : begin + 50], begin)
        await asyncio.gather(*(ask(number, *each) for number, each in part))

    assert len(asked) > 1000
    assert wrong == []

    async def all_logged() -> bool:
        return len(door.log()) >= before + len(asked)

    await eventually(all_logged, "all are in the access log")
    assert [each for each in door.log()[before:] if each["by"]] == []


async def test_a_public_address_is_public_in_its_one_spelling_alone(door: Door) -> None:
    others = ["/api/order/", "//api/order", "/api//order", "/API/order", "/api/order;a"]
    others += ["/api/orde%72", "/api/./order", "/api/order%3Flimit=1", "/api/order."]

    for number, each in enumerate(["/api/order", "/api/order?limit=1", *others]):
        answer = await _sends(door, "GET", each, number)

        assert answer[9:12] == (b"404" if each in others else b"200"), each
