"""A customer's address: taken as mail servers take it, shown, and told to who sends the mail."""

import json

import pytest
from sqlalchemy import select

from chassis.outbox.outbox import outbox
from tests.support.services import Service

# fmt: off
TAKEN = {
    "jane@example.org": "jane@example.org",
    "Jane.O'Hara+orders@mail.example.org": "Jane.O'Hara+orders@mail.example.org",
    "jane@EXAMPLE.ORG": "jane@example.org",
    "jane@ex\u00e4mple.org": "jane@xn--exmple-cua.org",
    "jane@\u4f8b\u5b50.example.org": "jane@xn--fsqu00a.example.org",
    "j" * 64 + "@example.org": "j" * 64 + "@example.org",
}
# fmt: on


async def told(order: Service) -> dict[str, object]:
    """Give the data of the one event that tells of an order."""
    async with order.database.read() as session:
        event = await session.scalar(select(outbox.c.event))
    data: dict[str, object] = json.loads(event or "")["data"]
    return data


@pytest.mark.parametrize(("given", "kept"), TAKEN.items(), ids=TAKEN)
async def test_an_address_is_kept_as_mail_servers_take_it(
    order: Service, given: str, kept: str
) -> None:
    body = {"customerName": "Jane", "customerEmail": given}
    answer = await order.http.post("/api/order", json=body)

    assert answer.status_code == 201
    shown = (await order.http.get(answer.headers["location"])).json()
    assert shown["customerEmail"] == kept
    assert (await told(order))["customerEmail"] == kept


@pytest.mark.parametrize("body", [{}, {"customerEmail": None}], ids=["none", "null"])
async def test_without_an_address_there_is_none(
    order: Service, body: dict[str, None]
) -> None:
    answer = await order.http.post("/api/order", json={"customerName": "Jane", **body})

    assert answer.status_code == 201
    shown = (await order.http.get(answer.headers["location"])).json()
    assert shown["customerEmail"] is None
    assert "customerEmail" not in await told(order)
