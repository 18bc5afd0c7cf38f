"""The names of the reactions are kept: whoever has another name takes every event in again."""

from chassis.inbox.inbox import inbox
from contracts.notification_failed import NotificationFailed
from contracts.notification_released import NotificationReleased
from contracts.notification_sent import NotificationSent
from tests.support.delivering import deliver, order_created, rows
from tests.support.services import Service


async def test_the_names_of_the_order_services_reactions_are_kept(
    order: Service,
) -> None:
    """A reaction's name is data here too; what they hear is pulled, and nothing is subscribed to."""
    assert {name: each.event for name, each in order.app.state.reactions.items()} == {
        "show_notification_on_notification_sent": NotificationSent,
        "show_notification_on_notification_failed": NotificationFailed,
        "show_notification_on_notification_released": NotificationReleased,
    }
    assert (await order.http.get("/dapr/subscribe")).json() == []


async def test_the_names_of_the_reactions_are_kept(notification: Service) -> None:
    """A reaction's name is data: under another name it would notify every customer again."""
    routes = (await notification.http.get("/dapr/subscribe")).json()

    assert [(each["topic"], each["route"]) for each in routes] == [
        ("OrderCreated", "/events/OrderCreated"),
        ("notification-dead-letter", "/events/notification-dead-letter"),
    ]
    await deliver(notification, order_created())
    assert {row.reaction for row in await rows(notification, inbox.c.reaction)} == {
        "notify_customer_on_order_created"
    }
