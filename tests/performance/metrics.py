"""What measuring costs an order, in microseconds of CPU: python -m tests.performance.metrics.

Every instrument on the way of an order that shares no group with others; under load, most of them are shared.
"""

import asyncio
import sys
import timeit
from collections.abc import Callable
from time import perf_counter, process_time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.http.app import Measured
from chassis.runtime import metrics
from services.notification.measures import NOTIFIED
from services.notification.model import Channel

ORDERS = 20_000
TOPIC, REACTION = "OrderCreated", "notify_customer_on_order_created"
TRANSACTIONS = ("commands", "", f"deliveries to {REACTION}")
"""The order's, the relay's mark, and the reaction's."""


async def _answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 201})
    await send({"type": "http.response.body"})


async def _receive() -> Message:
    return {"type": "http.request"}


async def _send(_message: Message) -> None:
    return None


def one_order() -> None:
    """Measure what is measured of an order that nobody shares a group with."""
    for topic in (TOPIC, "NotificationSent"):
        metrics.of(metrics.APPENDED, topic).inc()
    for lane in TRANSACTIONS:
        metrics.of(metrics.GROUPS, lane).observe(1)
        metrics.of(metrics.COMMITS, lane).observe(perf_counter() - perf_counter())
    with metrics.timed(metrics.CALLS, "send", TOPIC):
        pass
    metrics.of(metrics.PUBLISHED, TOPIC, "").inc(1)
    metrics.of(metrics.PUBLISHED, TOPIC, "refused").inc(0)
    metrics.of(metrics.LOOP_SUCCESS, "relay").set(0)
    with metrics.timed(metrics.HANDLING, TOPIC, REACTION):
        pass
    metrics.of(metrics.HANDLED, TOPIC, REACTION, "PUSHED").inc(1)
    metrics.of(metrics.DUPLICATES, REACTION).inc(0)
    metrics.of(NOTIFIED, Channel.CONSOLE).observe(0.1)


async def requests(app: ASGIApp) -> None:
    """Send requests to an app."""
    scope = {"type": "http", "method": "POST", "path": "/api/order"}
    for _ in range(ORDERS):
        await app(dict(scope), _receive, _send)


def many_orders() -> None:
    """Measure many orders, one after the other."""
    for _ in range(ORDERS):
        one_order()


def microseconds(act: Callable[[], object]) -> float:
    """Return the CPU that one of ORDERS costs: what else the machine does counts little."""
    return (
        min(timeit.repeat(act, timer=process_time, number=1, repeat=7)) / ORDERS * 1e6
    )


def main() -> int:
    """Print the cost, as the best of seven."""
    instruments = microseconds(many_orders)
    through = microseconds(lambda: asyncio.run(requests(Measured(_answer))))
    request = through - microseconds(lambda: asyncio.run(requests(_answer)))
    total = f"{instruments + request:.1f} µs an order"
    sys.stdout.write(f"{total}, {request:.1f} of them for its request\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
