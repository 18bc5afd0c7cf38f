"""The outbox: append an event in the transaction it is about; the relay publishes it."""

from chassis.outbox.backlog import Backlog, BacklogFull
from chassis.outbox.outbox import append
from chassis.outbox.redaction import find_events, redact
from chassis.outbox.relay import Relay

__all__ = ["Backlog", "BacklogFull", "Relay", "append", "find_events", "redact"]
