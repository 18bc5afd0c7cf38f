"""What this service measures: how soon customers are notified, and what becomes of its mails."""

from datetime import datetime
from functools import partial

from prometheus_client import Counter, Histogram
from sqlalchemy.orm import Session

from chassis.database import once_committed
from chassis.runtime.metrics import DURATIONS, of
from services.notification.model import (
    Channel,
)

NOTIFIED = Histogram(
    "order_to_notified_seconds",
    "From the creation of an order to its notification, as both services' clocks say.",
    ["channel"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200),
)
MAILS = Histogram(
    "mail_send_duration_seconds",
    "Attempts to send a mail; error_type is empty where it was sent.",
    ["error_type"],
    buckets=(*DURATIONS, 30),
)
MAILS_PUT_OFF = Counter(
    "mails_put_off",
    "Times that a mail was put off, since its address has had as many as it gets within an hour.",
)


def measure_notified(
    session: Session, channel: Channel, sent_at: datetime, created_at: datetime
) -> None:
    """Observe, once this session's transaction is committed, how long an order's customer waited."""
    waited = max(0.0, (sent_at - created_at).total_seconds())
    once_committed(session, partial(of(NOTIFIED, channel).observe, waited))


# A series that appears with its first observation has no rate then, and no rule sees it.
MAILS.labels("")
for _each in Channel:
    NOTIFIED.labels(_each)
