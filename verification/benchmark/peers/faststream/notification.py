"""The notification service on FastStream."""

from fastapi import FastAPI

from verification.benchmark.peers.faststream import QUEUE, open_broker
from verification.benchmark.peers.messages import OrderCreated, new_app, tell_customer


def create_app() -> FastAPI:
    """Put the service together."""
    broker = open_broker()

    @broker.subscriber(QUEUE)  # type: ignore[untyped-decorator] # not installed where types are checked
    async def notify_customer(order: OrderCreated) -> None:
        tell_customer(order)

    return new_app([broker.start], [broker.stop])
