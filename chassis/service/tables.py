"""The tables of the chassis, which every service's database has beside its own."""

from chassis.feed import consumers
from chassis.http import idempotency
from chassis.inbox import attempts, dead_letter, reaction
from chassis.outbox import outbox
from chassis.reconciler import cursor

CHASSIS_TABLES = [
    outbox.metadata,
    consumers.metadata,
    reaction.metadata,
    dead_letter.metadata,
    attempts.metadata,
    cursor.metadata,
    idempotency.metadata,
]
