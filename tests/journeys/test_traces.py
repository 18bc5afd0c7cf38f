"""One trace follows an order through both services and both sidecars and back, on every broker."""

import pytest

from tests.support.collector import Collector, are_connected, named
from tests.support.shop import Customer, Shop

pytestmark = pytest.mark.system

ABOVE = {
    "POST /api/order": "CallLocal/order/api/order",
    "create OrderCreated": "POST /api/order",
    "send OrderCreated": "create OrderCreated",
    "process OrderCreated": "create OrderCreated",
    "create NotificationSent": "process OrderCreated",
    "receive NotificationSent": "create NotificationSent",
    "process NotificationSent": "create NotificationSent",
}
"""Each span of the services, and the one that it is a child of."""
SIDECARS = (
    "CallLocal/order/api/order",
    "/v1.0/publish/bulk/pubsub/OrderCreated",
    "pubsub/OrderCreated",
)


async def test_the_trace_of_an_order_has_every_step_of_its_way(
    shop: Shop, customer: Customer, collector: Collector
) -> None:
    order = await shop.orders("Jane Doe")
    await customer.is_notified(order)

    trace = await collector.about(order.id)

    spans = await collector.has(trace, *ABOVE, *SIDECARS)
    assert are_connected(spans)
    by_id = {each.id: each.name for each in spans}
    assert {each: by_id[named(spans, each).parent] for each in ABOVE} == ABOVE
    process = named(spans, "process OrderCreated")
    delivery = named(spans, "pubsub/OrderCreated")
    # With the pull, the same event may have come before.
    if process.attributes["inbox.arrival"] == "PUSHED":
        assert process.links == [(trace, delivery.id)]
    assert "Jane Doe" not in str(spans)


async def test_what_is_asked_again_and_again_leaves_no_traces(
    shop: Shop, customer: Customer, collector: Collector
) -> None:
    order = await shop.orders("Jane Doe")
    await customer.is_notified(order)
    await collector.about(order.id)

    names = {each.name for each in collector.spans}

    assert not [each for each in names if each.endswith("/events")]
