"""The report as people read it; the ordinary program stands beside ours."""

import statistics
from collections.abc import Callable, Iterator, Sequence

from verification.chaos.ledger import at_most
from verification.chaos.report import Report

NOTE = (
    "<: with 95 % the true share is smaller (of none in n, that is 3/n); "
    "<=: as many as processes that were ended explain."
)
NAMES = {"rabbitmq": "RabbitMQ", "redis": "Redis", "kafka": "Kafka"}
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}

Cell = tuple[str, str]
"""A figure, and its bound where it has one."""


def table(reports: Sequence[Report]) -> str:
    """Return the table for a terminal, with what should not be in it below."""
    width = max(len(name) for name, _ in _ROWS) + 2
    heads = [(_program(each), "") for each in reports]
    lines = [_title(reports[0]), "", _line("", heads, width)]
    for name, cell in _ROWS:
        lines.append(_line(name, [cell(each) for each in reports if cell], width))
    lines += ["", NOTE]
    for each in reports:
        lines += _remarks(each)
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _title(report: Report) -> str:
    setting = report.setting
    on = f"{NAMES[setting.broker]} and {DATABASES[setting.database]}"
    if setting.clusters:
        kind = "a synchronous" if setting.synchronous else "an asynchronous"
        on = f"three nodes of {NAMES[setting.broker]}, PostgreSQL with {kind} standby"
    replicas = f", {setting.replicas} of each service" if setting.replicas > 1 else ""
    secure = ", secure" if setting.secure else ""
    faults, minutes = len(report.journal.entries), report.seconds / 60
    return f"{on}{replicas}{secure}: {faults} faults in {minutes:.1f} minutes"


def _program(report: Report) -> str:
    return "ordinary" if report.setting.ordinary else "ours"


def _line(name: str, cells: Sequence[Cell], width: int) -> str:
    shown = (f"{figure:>10}  {bound:<10}" for figure, bound in cells)
    return f"{name:<{width}}{''.join(shown)}"


def _received(name: str, *, bounded: bool = True) -> Callable[[Report], Cell]:
    return lambda report: _figure(
        report, getattr(report.ledger.received, name), bounded
    )


def _stored(name: str, *, bounded: bool = False) -> Callable[[Report], Cell]:
    def cell(report: Report) -> Cell:
        if report.ledger.records is None:
            return "-", ""
        return _figure(report, getattr(report.ledger.records, name), bounded)

    return cell


def _unprinted(report: Report) -> Cell:
    if report.ledger.records is None:
        return "-", ""
    records = report.ledger.records
    return f"{records.unprinted:,}", f"<= {records.cut_off:,}"


def _figure(report: Report, count: int, bounded: bool) -> Cell:  # noqa: FBT001 - handed on
    if not bounded:
        return f"{count:,}", ""
    most = 100 * at_most(count, report.ledger.received.accepted)
    return f"{count:,}", f"< {most:.0f} %" if most >= 10 else f"< {most:.2g} %"


def _median(report: Report) -> Cell:
    return _seconds(statistics.median(report.recoveries or [0.0]))


def _longest(report: Report) -> Cell:
    if any(each["recovered"] is None for each in report.journal.entries):
        return "never", ""
    return _seconds(max(report.recoveries, default=0.0))


def _seconds(seconds: float | None) -> Cell:
    return ("never", "") if seconds is None else (f"{seconds:.1f} s", "")


def _tried_again(report: Report) -> Cell:
    return f"{sum(report.trouble.values()):,}", ""


def _rate(report: Report) -> Cell:
    return f"{report.ledger.received.accepted / report.placing:.0f}", ""


_ROWS: tuple[tuple[str, Callable[[Report], Cell] | None], ...] = (
    ("accepted, as answered 201", _received("accepted", bounded=False)),
    ("  customer received nothing", _received("not_notified")),
    ("  customer notified twice", _received("twice")),
    ("  mail went to somebody else", _received("astray")),
    ("  ordered once, placed twice", _received("surplus")),
    ("  mailed again, outcome unknown", _received("again", bounded=False)),
    ("", None),
    ("  notified", _stored("notified")),
    ("  lost", _stored("lost", bounded=True)),
    ("  stuck", _stored("stuck", bounded=True)),
    ("  permanently refused (FAILED)", _stored("failed", bounded=True)),
    ("  kept for an operator (HELD)", _stored("held")),
    ("    and nothing explains it", _stored("unexplained", bounded=True)),
    ("  SENT, its line not printed", _unprinted),
    ("  pulled, missed by the broker", _stored("pulled")),
    ("  dead letters", _stored("dead_letters")),
    ("  dead letters of forged events", _stored("forged")),
    ("", None),
    ("recovered after a fault, median", _median),
    ("  longest", _longest),
    ("settled, after the load", lambda each: _seconds(each.settled)),
    ("requests tried again", _tried_again),
    ("orders a second", _rate),
)


def _remarks(report: Report) -> Iterator[str]:
    often = sorted(report.trouble.items(), key=lambda each: -each[1])
    if often:
        kinds = ", ".join(f"{what} ({number:,})" for what, number in often)
        yield f"{_program(report)}: tried again after {kinds}"
    if report.setting.ordinary:
        return
    if report.settled is None:
        yield "NOT SETTLED IN TIME"
    for order, why in report.ledger.findings.items():
        yield f"{order}  {why}"
    if report.evidence:
        yield f"the evidence is kept: {report.evidence}"
