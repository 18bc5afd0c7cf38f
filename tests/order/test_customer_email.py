"""A customer's address: accepted as mail servers accept it, shown, and published."""

import json

import pytest
from sqlalchemy import select

from chassis.outbox.outbox import outbox
from tests.support.services import Service

# fmt: off
ACCEPTED = {
    "jane@example.org": "jane@example.org",
    "Jane.O'Hara+orders@mail.example.org": "Jane.O'Hara+orders@mail.example.org",
    "jane@EXAMPLE.ORG": "jane@example.org",
    "jane@ex\u00e4mple.org": "jane@xn--exmple-cua.org",
    "jane@\u4f8b\u5b50.example.org": "jane@xn--fsqu00a.example.org",
    "j" * 64 + "@example.org": "j" * 64 + "@example.org",
}
# fmt: on


async def published(order: Service) -> dict[str, object]:
    """Return the data of the one event about an order."""
    event = await order.database.read(
        lambda session: session.scalar(select(outbox.c.event))
    )
    data: dict[str, object] = json.loads(event or "")["data"]
    return data


@pytest.mark.parametrize(("given", "stored"), ACCEPTED.items(), ids=ACCEPTED)
async def test_an_address_is_stored_as_mail_servers_accept_it(
    order: Service, given: str, stored: str
) -> None:
    body = {"customerName": "Jane", "customerEmail": given}
    answer = await order.http.post("/api/order", json=body)

    assert answer.status_code == 201
    address = answer.request.url.join(answer.headers["location"])
    shown = (await order.http.get(address)).json()
    assert shown["customerEmail"] == stored
    assert (await published(order))["customerEmail"] == stored


@pytest.mark.parametrize("body", [{}, {"customerEmail": None}], ids=["none", "null"])
async def test_without_an_address_there_is_none(
    order: Service, body: dict[str, None]
) -> None:
    answer = await order.http.post("/api/order", json={"customerName": "Jane", **body})

    assert answer.status_code == 201
    address = answer.request.url.join(answer.headers["location"])
    shown = (await order.http.get(address)).json()
    assert shown["customerEmail"] is None
    assert "customerEmail" not in await published(order)
