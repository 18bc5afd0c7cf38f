"""What a RabbitMQ's management page knows, asked over its HTTP API as guest."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import quote


def keeps(page: str) -> Callable[[str, str], bool]:
    """Make what tells of a topic and an app whether its queue is there (see Broker)."""
    return lambda topic, app_id: is_bound(page, topic, f"{app_id}-{topic}")


def is_bound(page: str, exchange: str, queue: str) -> bool:
    """Tell whether what is published to the exchange reaches the queue.

    Dapr's component lets the broker drop what no queue is bound to, and daprd lists a subscription before its
    queue is there: before the very first subscription, only the broker knows whether an event would be kept.
    """
    path = f"/api/bindings/%2F/e/{quote(exchange, safe='')}/q/{quote(queue, safe='')}"
    request = urllib.request.Request(page + path)
    request.add_header(
        "Authorization", f"Basic {base64.b64encode(b'guest:guest').decode()}"
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(json.load(answer))
    except (urllib.error.URLError, OSError, ValueError):
        return False
