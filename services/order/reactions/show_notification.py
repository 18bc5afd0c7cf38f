"""On each event about a notification: the order shows the newest one."""

from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.inbox import Reaction
from contracts.notification_failed import NotificationFailed
from contracts.notification_released import NotificationReleased
from contracts.notification_sent import NotificationSent
from services.order.model import Notification, NotificationState, record_notification


def show_notification_on_notification_sent(
    event: NotificationSent, envelope: CloudEvent, session: Session
) -> None:
    """Show when the customer was notified, and how."""
    sent = Notification(NotificationState.SENT, event.channel, event.sent_at)
    record_notification(session, event.order_id, envelope.aggregateversion, sent)


def show_notification_on_notification_failed(
    event: NotificationFailed, envelope: CloudEvent, session: Session
) -> None:
    """Show why the customer was not notified, or that nobody knows whether."""
    state = NotificationState(event.outcome)
    failed = Notification(state, event.channel, event.failed_at, event.reason)
    record_notification(session, event.order_id, envelope.aggregateversion, failed)


def show_notification_on_notification_released(
    event: NotificationReleased, envelope: CloudEvent, session: Session
) -> None:
    """Show that an operator released the notification, and that it waits to be sent."""
    state = NotificationState.WAITING
    waiting = Notification(state, event.channel, event.released_at)
    record_notification(session, event.order_id, envelope.aggregateversion, waiting)


# Each event carries a version, so that to apply it again changes nothing: the reactions are repeatable.
on_notification_sent = Reaction(
    NotificationSent, show_notification_on_notification_sent, repeatable=True
)
on_notification_failed = Reaction(
    NotificationFailed, show_notification_on_notification_failed, repeatable=True
)
on_notification_released = Reaction(
    NotificationReleased, show_notification_on_notification_released, repeatable=True
)
