"""All safeguards that are taken out, theme by theme."""

from tests.prove.lists import (
    components,
    dead_letters,
    deliveries,
    feed,
    idempotency,
    inbox,
    notifications,
    orders,
    parts,
    pull,
    relay,
)

THEMES = {
    "orders": orders.SAFEGUARDS,
    "idempotency": idempotency.SAFEGUARDS,
    "relay": relay.SAFEGUARDS,
    "inbox": inbox.SAFEGUARDS,
    "deliveries": deliveries.SAFEGUARDS,
    "feed": feed.SAFEGUARDS,
    "pull": pull.SAFEGUARDS,
    "notifications": notifications.SAFEGUARDS,
    "dead letters": dead_letters.SAFEGUARDS,
    "parts": parts.SAFEGUARDS,
    "components": components.SAFEGUARDS,
}
