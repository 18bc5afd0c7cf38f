"""A customer sees their own orders and nobody else's; whoever operates sees all."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chassis.access import Caller
from chassis.http import Read
from services.order.pages.desk import Search, render_list
from services.order.views.order_overview import OrderQuery, list_order_overviews
from tests.support.issuer import Issuer, issuing
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr

CUSTOMER = "orders:write orders:read"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """Run an issuer."""
    with issuing() as running:
        yield running


@pytest.fixture
async def closed(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr, issuer: Issuer
) -> AsyncIterator[Service]:
    """Run the order service with access control."""
    async with order_service(tmp_path, dapr, **issuer.settings) as order:
        yield order


async def places(
    order: Service, headers: dict[str, str], name: str = "Jane Doe"
) -> str:
    """Place an order; return its id."""
    answer = await order.http.post(
        "/api/order", json={"customerName": name}, headers=headers
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["orderId"])


async def lists(order: Service, headers: dict[str, str], query: str = "") -> list[str]:
    """Return the ids of the orders that a caller is shown."""
    answer = await order.http.get(f"/api/order{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [each["orderId"] for each in answer.json()["items"]]


async def test_another_s_order_is_not_there_however_it_is_asked_for(
    closed: Service, issuer: Issuer
) -> None:
    jane = issuer.authorization(CUSTOMER, subject="jane")
    john = issuer.authorization(CUSTOMER, subject="john")
    placed = await places(closed, jane)

    for path in ("/api/order/{}", "/api/order/{}/journey", "/orders/{}"):
        own = await closed.http.get(path.format(placed), headers=jane)
        other = await closed.http.get(path.format(placed), headers=john)
        none = await closed.http.get(path.format(uuid4()), headers=john)
        assert (own.status_code, other.status_code) == (200, 404), path
        assert len(other.content) == len(none.content), "they cannot be told apart"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?state=WAITING",
        "?name=jane",
        "?createdFrom=2020-01-01T00:00:00Z",
        "?createdBefore=2999-01-01T00:00:00Z&name=j&state=WAITING",
    ],
)
async def test_a_list_has_the_caller_s_own_orders_alone(
    closed: Service, issuer: Issuer, query: str
) -> None:
    jane = issuer.authorization(CUSTOMER, subject="jane")
    john = issuer.authorization(CUSTOMER, subject="john")
    operator = issuer.authorization("operate", subject="ada")
    placed = [await places(closed, jane), await places(closed, jane)]
    other = await places(closed, john)

    assert await lists(closed, jane, query) == [*reversed(placed)]
    assert await lists(closed, john, query) == [other]
    assert await lists(closed, operator, query) == [other, *reversed(placed)]


async def test_the_pages_show_a_customer_their_own_orders_alone(
    closed: Service, issuer: Issuer
) -> None:
    jane = issuer.authorization(CUSTOMER, subject="jane")
    john = issuer.authorization(CUSTOMER, subject="john")
    placed, other = await places(closed, jane), await places(closed, john)

    for query in ("", "?find=jane", "?state=WAITING"):
        page = (await closed.http.get(f"/{query}", headers=jane)).text
        assert placed in page
        assert other not in page


async def test_an_owner_s_pages_follow_each_other(
    closed: Service, issuer: Issuer
) -> None:
    jane = issuer.authorization(CUSTOMER, subject="jane")
    placed = [await places(closed, jane) for _ in range(3)]
    await places(closed, issuer.authorization(CUSTOMER, subject="john"))

    seen: list[UUID] = []
    query: OrderQuery | None = OrderQuery(limit=1)
    while query:
        asked = query
        page = await closed.database.read(
            lambda session: list_order_overviews(asked, session, "jane")  # noqa: B023
        )
        seen += [each.order_id for each in page.items]
        query = OrderQuery(limit=1, cursor=UUID(page.next)) if page.next else None

    assert [str(each) for each in seen] == [*reversed(placed)]


async def test_callers_share_a_live_part_only_where_they_see_the_same(
    closed: Service, issuer: Issuer
) -> None:

    live = closed.app.state.live
    search = Search()

    def reads(subject: str, *scopes: str) -> Read:
        caller = Caller(subject, frozenset(scopes))
        scope = {"type": "http", "app": closed.app, "path": "/", "headers": []}
        return Read({**scope, "caller": caller})

    with (
        live.joined(reads("jane"), render_list, search) as janes,
        live.joined(reads("jane"), render_list, search) as janes_too,
        live.joined(reads("john"), render_list, search) as johns,
        live.joined(reads("ada", "operate"), render_list, search) as all_orders,
        live.joined(reads("bob", "operate"), render_list, search) as all_orders_too,
    ):
        assert janes is janes_too
        assert all_orders is all_orders_too
        assert len({id(each) for each in (janes, johns, all_orders)}) == 3


async def test_a_key_belongs_to_the_caller_who_sent_it(
    closed: Service, issuer: Issuer
) -> None:
    body, key = {"customerName": "Jane Doe"}, {"Idempotency-Key": "the-same"}
    found = []
    for subject in ("jane", "john", "jane"):
        headers = {**issuer.authorization(CUSTOMER, subject=subject), **key}
        answer = await closed.http.post("/api/order", json=body, headers=headers)
        found.append(answer.json()["orderId"])

    assert found[0] == found[2]
    assert found[0] != found[1], "john gets an order of his own, and not jane's answer"


async def test_an_order_of_the_time_before_access_control_is_nobody_s(
    tmp_path: Path, dapr: SimulatedDapr, issuer: Issuer
) -> None:
    async with order_service(tmp_path, dapr) as order:
        placed = await places(order, {})

    async with order_service(tmp_path, dapr, **issuer.settings) as order:
        assert await lists(order, issuer.authorization(CUSTOMER)) == []
        assert await lists(order, issuer.authorization("operate")) == [placed]
