"""Why an order is where it is, and what to do: the first rule that fits what is known, from its end backwards."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.journey import Handling, Report, StoredEvent
from chassis.outbox.outbox import State
from services.order.model import NotificationState
from services.order.notification_service import Part, Reply
from services.order.views.order_overview import OrderOverview

SOON = timedelta(seconds=10)
"""How long what usually takes milliseconds, or one second, is called under way."""
PULLED = timedelta(seconds=40)
"""How long a published event may take: the longest grace period, and what the pull itself takes."""

NOTHING = "nothing: it goes on by itself"


@dataclass(frozen=True)
class Explanation:
    """A sentence on where an order is and why, what to do next, and the part in its way."""

    why: str
    next: str = NOTHING
    part: Part | None = None


@dataclass(frozen=True)
class Known:
    """What is known of an order, here and at the notification service."""

    order: OrderOverview
    event: StoredEvent | None
    oldest_open: datetime | None
    now: datetime
    reply: Reply = field(default_factory=Reply)
    # What this service has done about the event that says it was sent.
    showing: Handling = field(default_factory=Handling)
    # The events that said it failed or was released, with the same.
    reports: Sequence[tuple[Report, Handling]] = ()


def explain(known: Known) -> Explanation:
    """Return why an order is where it is, and what to do."""
    return (
        _is_done(known)
        or _is_sent(known)
        or _is_discarded(known)
        or _is_for_an_operator(known)
        or _is_unknown(known)
        or _waits_for_mail(known)
        or _is_dead_letter(known)
        or _fails(known)
        or _is_forgotten(known)
        or _is_forged(known)
        or _is_cut_off(known)
        or _is_refused(known)
        or _waits_for_broker(known)
        or _is_on_its_way(known)
    )


def _is_done(known: Known) -> Explanation | None:
    shown = known.order.notification
    if shown.state is not NotificationState.SENT:
        return None
    way = f"by {shown.channel}" if shown.channel == "email" else "on the console"
    return Explanation(
        f"It is done: its customer was notified {way}, and the order shows it.",
        "nothing",
    )


def _is_sent(known: Known) -> Explanation | None:
    notified = known.reply.notification
    if notified is None or notified.sent_at is None:
        return None
    if letter := known.showing.dead_letter:
        why = (
            f"Its customer was notified, but the order cannot show it: {letter.reason}."
        )
        return Explanation(why, _replay("order", letter.id))
    if known.now - notified.sent_at < SOON:
        return Explanation("Its customer was notified, and the order shows it soon.")
    at = _at(notified.sent_at)
    why = (
        f"Its customer was notified at {at}, and the order service has not pulled that."
    )
    return Explanation(why, _look_for("reconciler show_notification", "order"))


def _is_for_an_operator(known: Known) -> Explanation | None:
    state, reason = _state(known)
    if state not in {"HELD", "FAILED"}:
        return None
    what = "is held for an operator" if state == "HELD" else "was refused for good"
    command = (
        "python -m services.notification.release --by NAME --reason WHY "
        f"{known.order.order_id} (docs/operations.md) sends it after all"
    )
    return Explanation(f"Its notification {what}: {reason}.", command)


def _is_discarded(known: Known) -> Explanation | None:
    mail = known.reply.notification
    if mail is None or mail.state != "DISCARDED":
        return None
    why = f"An operator decided that it is not sent: {mail.reason}."
    return Explanation(why, "nothing, unless a release is to send it after all")


def _is_unknown(known: Known) -> Explanation | None:
    state, reason = _state(known)
    if state != "UNKNOWN":
        return None
    why = f"Nobody knows whether its mail arrived: {reason}{_again(known)}."
    return Explanation(why, part="mail channel")


def _waits_for_mail(known: Known) -> Explanation | None:
    mail = known.reply.notification
    if mail is None:
        return None
    if mail.reason:
        why = f"It waits for the mail channel: {mail.reason}{_again(known)}."
        return Explanation(why, "nothing: it is retried by itself", "mail channel")
    if mail.due_at is None or known.now - mail.due_at < SOON:
        return Explanation("Its mail is being sent.")
    why = f"Its mail is due since {_at(mail.due_at)}, behind others or a mail channel in trouble."
    return Explanation(why, _look_for("dispatcher", "notification"), "mail channel")


def _is_dead_letter(known: Known) -> Explanation | None:
    letter = known.reply.received.dead_letter
    if letter is None or letter.state is LetterState.REPLAYED:
        return None
    if letter.state is LetterState.DISCARDED:
        why = f"An operator discarded its event, dead letter {letter.id} of the notification service."
        return Explanation(why, "nothing: nobody is notified of it")
    why = f"The notification service cannot handle its event, dead letter {letter.id}: {letter.reason}."
    return Explanation(why, _replay("notification", letter.id))


def _fails(known: Known) -> Explanation | None:
    if failures := known.reply.received.failures:
        why = f"The notification service failed on its event {failures} times; after ten it is a dead letter."
        return Explanation(why, _look_for("notify_customer", "notification"))
    return None


def _is_forgotten(known: Known) -> Explanation | None:
    if known.reply.received.handled_at is None:
        return None
    why = (
        "The notification service has handled its event, and has no notification of it."
    )
    return Explanation(why, "python -m services.notification.rebuild restores it")


def _is_forged(known: Known) -> Explanation | None:
    if known.event is None or known.event.fault is None:
        return None
    why = (
        f"Its event was changed in the database of the order service ({known.event.fault}): nobody handles it, "
        "and the reconciler of the notification service waits before it."
    )
    then = "find out who writes to that database, and restore the event as it was"
    return Explanation(why, then)


def _is_cut_off(known: Known) -> Explanation | None:
    silence = known.reply.silence
    if silence is None:
        return None
    why = f"It waits for the {silence.part}: {silence.heard}."
    if known.event and known.event.published_at is None:
        why += " Nor does the broker have its event."
    again = "(`make run` names what hangs, and restarts what ends)"
    then = f"start the {silence.part} again {again}; nothing is lost"
    return Explanation(why, then, silence.part)


def _is_refused(known: Known) -> Explanation | None:
    event = known.event
    if event is None or not event.refusals or event.state is State.PUBLISHED:
        return None
    if event.state is State.PARKED:
        why = f"The broker refused its event {event.refusals} times, and it is parked: {event.reason}."
        then = "correct that, then set its `state` in the outbox to PENDING and its `refusals` to 0"
        return Explanation(why, then, "broker")
    due = f"; it is published again at {_at(event.due_at)}" if event.due_at else ""
    why = f"The broker refuses its event: {event.reason}{due}."
    return Explanation(why, "nothing: it is retried, and pulled", "broker")


def _waits_for_broker(known: Known) -> Explanation | None:
    event, oldest = known.event, known.oldest_open
    if event is None or event.state is State.PUBLISHED:
        return None
    tried = event.attempt > (event.state is State.LEASED)
    if not tried and known.now - (oldest or known.now) < SOON:
        return Explanation("It is about to be published.")
    others = f", with every event since {_at(oldest)}" if oldest else ""
    why = f"It waits for the broker{others}; meanwhile what waits is pulled."
    then = "see that the broker runs: what waits is published by itself"
    return Explanation(why, then, "broker")


def _is_on_its_way(known: Known) -> Explanation:
    published_at = known.event.published_at if known.event else None
    if published_at is None:
        why = "Its event is in the outbox no longer, and the notification service does not know it."
        return Explanation(why, "look whether a database was restored")
    if known.now - published_at < PULLED:
        why = "It is on its way; what the broker does not deliver within seconds is pulled."
        soon = known.now - published_at < SOON
        look = (
            f"wait until {_at(published_at + PULLED)}: what is pulled has come by then"
        )
        return Explanation(why, NOTHING if soon else look)
    why = f"The broker has it since {_at(published_at)}, and has not delivered it; nobody has pulled it."
    return Explanation(why, _look_for("reconciler notify_customer", "notification"))


def _state(known: Known) -> tuple[str, str | None]:
    shown = known.reply.notification or known.order.notification
    reason = "its customer was erased" if known.order.erased_at else shown.reason
    return shown.state, reason


def _again(known: Known) -> str:
    due_at = known.reply.notification.due_at if known.reply.notification else None
    return f"; it is sent again at {_at(due_at)}" if due_at else ""


def _replay(service: str, letter: int) -> str:
    return f"python -m chassis.dead_letters {service} replay {letter} --by NAME"


def _look_for(loop: str, service: str) -> str:
    return f"look for `{loop}` in the log of the {service} service"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
