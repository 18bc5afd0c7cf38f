"""FastStream on RabbitMQ, without a sidecar and without a database: publish in the request, with confirms."""

from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from verification.benchmark.peers.settings import RABBITMQ_URL

QUEUE = RabbitQueue("OrderCreated", durable=True)


def open_broker() -> RabbitBroker:
    """Connect as the sidecars do: 50 messages under way at most, each publish confirmed."""
    return RabbitBroker(RABBITMQ_URL, default_channel=Channel(prefetch_count=50))
