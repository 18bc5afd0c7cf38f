"""What happened to an order, in the order of time, as both services know it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.dead_letter import one_line
from chassis.inbox.journey import Handling, HeldLetter, StoredEvent
from chassis.inbox.reaction import Arrival
from chassis.outbox.outbox import State
from services.order.model import NotificationState
from services.order.notification_service import NotificationPart
from services.order.views.why import Known

Service = Literal["order", "notification"]
Kind = Literal["", "good", "warn", "bad"]
ARRIVALS = {
    Arrival.PUSHED: "the broker delivered it",
    Arrival.PULLED: "it was pulled, because the broker had not delivered it",
    Arrival.LATE: "it was pulled, and the broker delivered it later",
}


@dataclass(frozen=True)
class Happening:
    """What one of the services did, or is going to do, about an order; `ids` name what it is about."""

    at: datetime
    service: Service
    what: str
    ids: dict[str, str] = field(default_factory=dict)
    kind: Kind = ""


def history(known: Known) -> list[Happening]:
    """Return what has happened to an order, and what is due."""
    reply = known.reply
    found = [
        *_accepted(known),
        *_published("order", "OrderCreated", known.event),
        *_handled("notification", "OrderCreated", reply.received, ARRIVALS),
        *_notified(reply.notification),
        *_published("notification", "NotificationSent", reply.sent),
        *_handled("order", "NotificationSent", known.showing, {}),
        *_reports(known),
        *_shown(known),
    ]
    return sorted(found, key=lambda each: each.at)


def _accepted(known: Known) -> Iterator[Happening]:
    stored = {"event": known.event.event_id} if known.event else {}
    what = (
        "Accepted: the order and its event OrderCreated are stored in one transaction."
    )
    yield Happening(known.order.created_at, "order", what, stored)


def _published(
    service: Service, name: str, event: StoredEvent | None
) -> Iterator[Happening]:
    if event is None:
        return
    ids = {"event": event.event_id}
    refused = f" The broker had refused it {event.refusals} times: {one_line(event.reason or '')}."
    if event.state is State.PULL_ONLY:
        what = f"{name} is stored, to be pulled."
        yield Happening(event.created_at, service, what, ids)
    elif event.published_at is not None:
        what = f"{name} is published, at attempt {max(1, event.attempt)}."
        what += refused if event.refusals else ""
        yield Happening(event.published_at, service, what, ids)
    elif event.due_at is not None and event.state is not State.PARKED:
        what = f"{name} is published again then." + (refused if event.refusals else "")
        yield Happening(event.due_at, service, what, ids, "warn")


def _handled(
    service: Service, name: str, handling: Handling, arrivals: Mapping[Arrival, str]
) -> Iterator[Happening]:
    if handling.handled_at is not None:
        arrival = handling.arrival or Arrival.PUSHED
        # An event that is only ever pulled is not worth a note.
        done = "received" if handling.dead_letter else "handled"
        what = f"{name} is {done}: {arrivals.get(arrival, 'it was pulled')}."
        kind: Kind = "warn" if arrivals and arrival is not Arrival.PUSHED else ""
        yield Happening(handling.handled_at, service, what, {}, kind)
    if handling.dead_letter is not None:
        yield from _letter(service, name, handling.dead_letter)


def _letter(service: Service, name: str, letter: HeldLetter) -> Iterator[Happening]:
    ids = {"dead letter": str(letter.id)}
    what = f"{name} is a dead letter: {one_line(letter.reason)}"
    yield Happening(letter.received_at, service, what, ids, "bad")
    if letter.replayed_at is not None:
        what = f"The dead letter is {letter.state.lower()}."
        yield Happening(letter.replayed_at, service, what, ids)
    if letter.discarded_at is not None and letter.state is LetterState.DISCARDED:
        by = one_line(f"{letter.discarded_by}: {letter.discarded_because}")
        what = f"The dead letter is discarded by {by}"
        yield Happening(letter.discarded_at, service, what, ids, "warn")


def _notified(part: NotificationPart | None) -> Iterator[Happening]:
    if part is None:
        return
    if part.released_at is not None:
        who = one_line(f"{part.released_by}: {part.release_reason}")
        what = f"Released by {who}"
        yield Happening(part.released_at, "notification", what)
    if part.sent_at is not None:
        attempts = f", at attempt {part.attempt}" if part.attempt > 1 else ""
        way = "mailed" if part.channel == "email" else "printed on the console"
        what = f"The notification is {way}{attempts}."
        yield Happening(part.sent_at, "notification", what, {}, "good")
    elif part.due_at is not None:
        why = f"; the last attempt: {one_line(part.reason)}" if part.reason else ""
        what = f"Attempt {part.attempt + 1} to send the mail is due{why}."
        yield Happening(part.due_at, "notification", what, {}, "warn" if why else "")


def _reports(known: Known) -> Iterator[Happening]:
    for report, handling in known.reports:
        what = f"{report.topic} is stored, to be pulled."
        if report.outcome:
            what = f"{what[:-1]}: {report.outcome}, {one_line(report.reason or '')}"
        kind: Kind = (
            "bad" if report.outcome == "FAILED" else "warn" if report.outcome else ""
        )
        event = report.event
        yield Happening(
            event.created_at, "notification", what, {"event": event.event_id}, kind
        )
        yield from _handled("order", report.topic, handling, {})


def _shown(known: Known) -> Iterator[Happening]:
    shown = known.order.notification
    unremarkable = {NotificationState.SENT, NotificationState.WAITING}
    if known.reports or shown.at is None or shown.state in unremarkable:
        return
    what = f"The notification is {shown.state}: {one_line(shown.reason or '')}"
    kind: Kind = "bad" if shown.state is NotificationState.FAILED else "warn"
    yield Happening(shown.at, "notification", what, {}, kind)
