"""What is wrong with a service, each in one sentence with what to do: rules over what Operations shows."""

from collections.abc import Callable, Iterator
from datetime import datetime

from chassis.operations.model import (
    Evidence,
    LoopView,
    Operations,
    Problem,
    ReactionView,
    Severity,
)
from chassis.operations.words import counted, duration, since

SOON = 10.0
"""Seconds after which an event that waits, or a loop that fails, is no passing moment."""
LONG = 60.0
"""Seconds after which somebody should look at once."""
GONE = 3600.0
"""Seconds without a word from a consumer after which it may be gone for good."""
REMEDIES = {
    "the database:": "Mend the database. Until then nothing is accepted or handled, and nothing is lost.",
    "the sidecar:": "Restart the sidecar; kill one that hangs first. Commands are accepted, their events wait.",
    "the sidecar has no": "Read the sidecar's log: it names the file that is wrong, or the broker that is away.",
    "": "Read this service's log, then restart the service.",
}
"""What to do about what is missing, by how that begins."""

CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING
Rule = Callable[[Operations], Iterator[Problem]]


def find_problems(seen: Operations) -> list[Problem]:
    """Return the problems, the most urgent first; those of a rule stay in its order."""
    rules: tuple[Rule, ...] = (
        _unready,
        _revisions,
        _outbox,
        _reactions,
        _silent_feeds,
        _loops,
        _subscriptions,
        _own,
        _dead_letters,
        _consumers,
    )
    found = [each for rule in rules for each in rule(seen)]
    return sorted(found, key=lambda each: [*Severity].index(each.severity))


def _problem(severity: Severity, what: str, do: str) -> Problem:
    return Problem(severity=severity, what=what, do=do)


def _unready(seen: Operations) -> Iterator[Problem]:
    for each in seen.missing:
        remedies = (do for begins, do in REMEDIES.items() if each.startswith(begins))
        yield _problem(CRITICAL, _sentence(each), next(remedies))


def _revisions(seen: Operations) -> Iterator[Problem]:
    for each in seen.stored.revisions if seen.stored else ():
        if each.stored != each.code:
            what = f"The tables of {each.branch} are at version {each.stored}, and this release knows {each.code}."
            do = "Another release has migrated this database, or it was restored: start the release that fits it."
            yield _problem(CRITICAL, what, do)


def _outbox(seen: Operations) -> Iterator[Problem]:
    outbox = seen.stored.outbox if seen.stored else None
    if outbox is None:
        return
    if outbox.oldest and (age := _age(outbox.oldest, seen.at)) >= SOON:
        events = counted(outbox.waiting, "event waits", "events wait")
        relay = next((each for each in seen.loops if each.name == "relay"), None)
        why = f": {relay.error}" if relay and relay.failures and relay.error else ""
        if seen.sidecar and "sidecar does not answer" in why:
            why = ": the sidecar answers, and the broker does not take them"
        what = f"{events} for the broker, the oldest for {duration(age)}{why}"
        do = "See that the broker and the sidecar run: what waits is published by itself, and pulled meanwhile."
        yield _problem(CRITICAL if age >= LONG else WARNING, _sentence(what), do)
    if outbox.parked.number:
        events = counted(outbox.parked, "event is", "events are")
        what = f"{events} parked after five refusals of the broker, the newest because {outbox.parked_reason}"
        do = "Mend the reason; then set `state` to PENDING and `refusals` to 0 in the outbox. Consumers pull them."
        yield _problem(WARNING, _sentence(what), do)
    if outbox.hidden:
        events = counted(outbox.hidden, "committed event", "committed events")
        holder = outbox.hidden_by or "not visible to this service's role"
        what = f"A long transaction hides {events} from the feed: {holder}"
        do = "End it with pg_terminate_backend, or ROLLBACK PREPARED."
        yield _problem(CRITICAL, _sentence(what), do)


def _reactions(seen: Operations) -> Iterator[Problem]:
    for each in seen.reactions:
        stored = each.stored
        if stored and stored.rebuilding:
            what = f"A rebuild was not finished: {each.name} handles nothing."
            yield _problem(CRITICAL, what, "Run the rebuild again; it continues.")
        if stored and stored.failing.number:
            events = counted(stored.failing, "event", "events")
            what = f"{each.name} fails on {events}, and tries again; after ten attempts each is a dead letter."
            yield _problem(WARNING, what, "Read the traceback in this service's log.")
        yield from _behind(each, seen)


def _silent_feeds(seen: Operations) -> Iterator[Problem]:
    # A service that hangs is seen here before a call to it has failed.
    heard = {r.source: r.answered_at for r in seen.reactions if r.answered_at}
    for source, answered in heard.items():
        mine = (each.name for each in seen.reactions if each.source == source)
        names = [f"reconciler {name}" for name in mine]
        quiet = _age(answered, seen.at)
        if quiet >= SOON and not any(_is_failing(name, seen) for name in names):
            what = f"The {source} service has not answered for {duration(quiet)}."
            do = "See that it and its sidecar run, and that neither hangs; what it says is read then."
            yield _problem(WARNING, what, do)


def _behind(each: ReactionView, seen: Operations) -> Iterator[Problem]:
    if (each.behind_for or 0.0) < LONG or _is_failing(f"reconciler {each.name}", seen):
        return
    events = counted(f"{each.behind:,}", "event", "events")
    what = f"{each.name} is {events} behind the feed of {each.source}, for {duration(each.behind_for or 0)}."
    do = "Nothing while the number falls. Where it grows, more comes than is handled: is the database slow?"
    yield _problem(WARNING, what, do)


def _is_failing(loop: str, seen: Operations) -> bool:
    return any(each.name == loop and each.failing_for >= SOON for each in seen.loops)


def _loops(seen: Operations) -> Iterator[Problem]:
    waits = any("for the broker" in each.what for each in _outbox(seen))
    explained = {"relay"} if waits else set()
    explained |= {f"reconciler {each}" for each in _rebuilding(seen)}
    for each in seen.loops:
        if each.failing_for >= SOON and each.name not in explained:
            yield _failing(each)
        if each.in_step_for >= LONG:
            what = f"The {each.name} has been at one step for {duration(each.in_step_for)}."
            do = "See whether the database, the sidecar or the mail channel hangs; if not, restart the service."
            yield _problem(WARNING, what, do)


def _rebuilding(seen: Operations) -> Iterator[str]:
    reactions = seen.stored.reactions if seen.stored else {}
    yield from (name for name, stored in reactions.items() if stored.rebuilding)


def _failing(loop: LoopView) -> Problem:
    failures = counted(loop.failures, "time", "times")
    what = f"The {loop.name} has failed for {duration(loop.failing_for)}, {failures}: {loop.error}"
    severity = CRITICAL if loop.failing_for >= LONG else WARNING
    return _problem(severity, _sentence(what), _mend(loop))


def _mend(loop: LoopView) -> str:
    error = loop.error or ""
    if "RebuildNeeded" in error:
        return (
            "Restore or rebuild this database: docs/operations.md, Restore a database."
        )
    if "NotAuthentic" in error:
        return "Find out who wrote to the sender's database: the cursor waits before that event."
    if loop.name.startswith("reconciler") and "SidecarUnavailable" in error:
        return "See that the service named runs, with its sidecar; what is pushed arrives all the same."
    if loop.name == "dispatcher":
        return "See that the mail server runs and accepts mail: what waits is sent by itself."
    return "Mend what the error names; the loop goes on by itself."


def _subscriptions(seen: Operations) -> Iterator[Problem]:
    for each in seen.subscriptions:
        if each.state is Evidence.SILENT:
            what = f"The subscription to {each.topic} is {each.says}."
            do = "Read the sidecar's log, and restart it: it lists the subscription, and delivers nothing."
            yield _problem(WARNING, what, do)


def _own(seen: Operations) -> Iterator[Problem]:
    for each in seen.stored.own if seen.stored else ():
        if each.problem:
            yield each.problem


def _dead_letters(seen: Operations) -> Iterator[Problem]:
    for each in seen.stored.dead_letters if seen.stored else ():
        letters = counted(each.open, "dead letter waits", "dead letters wait")
        age = f", the oldest for {since(each.oldest, seen.at)}" if each.oldest else ""
        yield Problem(
            severity=WARNING,
            what=f"{letters} for somebody{age}: events that {each.reaction} could not handle.",
            do="Look at them, then replay or discard them.",
            address="dead-letters",
        )


def _consumers(seen: Operations) -> Iterator[Problem]:
    for each in seen.stored.consumers if seen.stored else ():
        quiet = _age(each.acknowledged_at, seen.at)
        waits = _age(each.since, seen.at) if each.since else 0.0
        if each.behind and min(quiet, waits) >= GONE:
            what = f"{each.name} has not read this service's feed for {duration(quiet)}; events are kept for it."
            do = "Start it; where it is gone for good, delete its row in `consumer`."
            yield _problem(WARNING, what, do)


def _age(moment: datetime, now: datetime) -> float:
    return (now - moment).total_seconds()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
