"""The names of the reactions never change: under another name, each event would be handled again."""

from typing import Any

from chassis.inbox import Reaction, Start
from chassis.inbox.reaction import inbox
from services.notification.reactions import erase_customer_on_order_erased as erase
from services.notification.reactions import notify_customer_on_order_created as notify
from services.order.reactions import show_notification as show
from tests.support.delivering import deliver, order_created, rows
from tests.support.services import Service

REACTIONS: list[Reaction[Any]] = [
    notify.reaction,
    erase.reaction,
    show.on_notification_sent,
    show.on_notification_failed,
    show.on_notification_released,
]


def test_the_names_and_the_starts_of_the_reactions_are_kept() -> None:
    found = [(each.name, each.event.topic(), each.start) for each in REACTIONS]

    assert found == [
        ("notify_customer_on_order_created", "OrderCreated", Start.BEGINNING),
        ("erase_customer_on_order_erased", "OrderErased", Start.BEGINNING),
        ("show_notification_on_notification_sent", "NotificationSent", Start.BEGINNING),
        (
            "show_notification_on_notification_failed",
            "NotificationFailed",
            Start.BEGINNING,
        ),
        (
            "show_notification_on_notification_released",
            "NotificationReleased",
            Start.BEGINNING,
        ),
    ]


def test_a_reaction_that_was_renamed_keeps_its_old_name() -> None:
    act = notify.reaction.act

    assert Reaction(notify.reaction.event, act, known_as="an_old_name").name == (
        "an_old_name"
    )


async def test_the_order_service_subscribes_to_nothing(order: Service) -> None:
    """What it reacts to is only pulled."""
    assert (await order.http.get("/dapr/subscribe")).json() == []


async def test_the_notification_service_subscribes_to_its_topic_and_its_dead_letters(
    notification: Service,
) -> None:
    routes = (await notification.http.get("/dapr/subscribe")).json()

    assert [(each["topic"], each["route"]) for each in routes] == [
        ("OrderCreated", "/events/OrderCreated"),
        ("notification-dead-letter", "/events/notification-dead-letter"),
    ]
    await deliver(notification, order_created())
    assert await rows(notification, inbox.c.reaction) == [(notify.reaction.name,)]
