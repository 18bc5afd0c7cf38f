"""On OrderErased, erase what its OrderCreated said, and never handle that event again."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis import dead_letters
from chassis.cloud_event import CloudEvent
from chassis.database import batch
from chassis.inbox import Reaction
from contracts.order_created import OrderCreated
from contracts.order_erased import ERASED, OrderErased
from services.notification import erasure
from services.notification.model import Notification
from services.notification.reactions import notify_customer_on_order_created as notify


def erase_customer_on_order_erased(
    event: OrderErased, envelope: CloudEvent, session: Session
) -> None:
    """Erase it together with the other orders of the group, just before the commit."""
    batch(session, _erase, (event, envelope))


def _erase(session: Session, erased: list[tuple[OrderErased, CloudEvent]]) -> None:
    events = {event.order_id: (event, envelope) for event, envelope in erased}
    created = {str(event.created_event) for event, _ in erased}
    # First the events, then what they left: what handles one at this moment is waited for.
    dead_letters.erase(session, notify.reaction, created, {*map(str, events)})
    erasure.erase(session, sorted(events))
    known = select(Notification.order_id).where(Notification.order_id.in_(events))
    for order_id in events.keys() - set(session.scalars(known)):
        _remember(session, *events[order_id])


def _remember(session: Session, event: OrderErased, envelope: CloudEvent) -> None:
    # Its OrderCreated was not handled, and never will be: the order shows that nobody was notified.
    created = OrderCreated(
        order_id=event.order_id, customer_name=ERASED, created_at=event.created_at
    )
    erasure.store_erased(session, notify.row_of(created, envelope))


reaction = Reaction(OrderErased, erase_customer_on_order_erased, repeatable=True)
