"""A line of the log: its level and its text, whichever way its part wrote it."""

import json

import pytest

from toolchain.log.line import LONGEST, Line, Look, is_shown, parse
from toolchain.supervise.record import Record

AT = 1795987865.0414
DAPRD = (
    'time="2026-11-28T21:30:45.07Z" level={} msg="{}" app_id=order '
    "instance=vm scope=dapr.runtime type=log ver=1.18.2"
)
BOTH = ("order", "notification")


def read(text: str | bytes, part: str = "order") -> list[Line]:
    """Return the lines that are read of a part's text."""
    raw = text if isinstance(text, bytes) else text.encode()
    return parse(Record(part, AT, raw))


@pytest.mark.parametrize(
    ("written", "level", "text"),
    [
        ("Notification for Order 1: Dear", "", "Notification for Order 1: Dear"),
        ("WARNING chassis.outbox: it waits", "WARN", "chassis.outbox: it waits"),
        ("ERROR:    Exception in ASGI application", "ERROR", "Exception in ASGI application"),
        ("INFORMATION is no level", "", "INFORMATION is no level"),
        (DAPRD.format("fatal", 'no \\"x\\"'), "ERROR", 'no "x"'),
        (
            'time="now" level=warning msg="refused" app_id=order component="pubsub (v1)" scope=dapr type=log',
            "WARN",
            "refused (component=pubsub)",
        ),
        (
            '{"time": "now", "level": "error", "logger": "relay", "message": "failed", "order_id": "7"}',
            "ERROR",
            "relay: failed (order_id=7)",
        ),
        ('{"severity": "WARN", "msg": "late"}', "WARN", "late"),
        ('{"no": "message"}', "", '{"no": "message"}'),
        ('{"cut": "o', "", '{"cut": "o'),
        ("[1, 2]", "", "[1, 2]"),
        ("\x1b[32mINFO\x1b[0m:     Started", "INFO", "Started"),
        (b"Caf\xe9", "", "Caf\\xe9"),
        ("bell \x07 and \u202eright to left\x9b2J", "", "bell \\x07 and \\u202eright to left\\x9b2J"),
    ],
)  # fmt: skip
def test_level_and_text_are_found(written: str | bytes, level: str, text: str) -> None:
    (line,) = read(written)

    assert (line.level, line.text) == (level, text)


@pytest.mark.parametrize("blank", ["", "   ", "\x1b[0m"])
def test_a_blank_line_is_none(blank: str) -> None:
    assert read(blank) == []


def test_a_traceback_in_a_json_line_is_below_it() -> None:
    record = {"level": "ERROR", "message": "failed", "traceback": "File x\nValueError"}

    lines = read(json.dumps(record))

    shown = [(each.level, each.text) for each in lines]
    assert shown == [("ERROR", "failed"), ("", "  File x"), ("", "  ValueError")]


@pytest.mark.parametrize(
    ("part", "level", "text", "usually"),
    [
        ("order", "INFO", "recovered", True),
        ("order", "", "anything", True),
        ("order sidecar", "INFO", "dapr initialized", False),
        ("order sidecar", "WARN", "the broker is away", True),
        ("order sidecar", "WARN", "mTLS is disabled. Skipping", False),
        ("order sidecar", "", "goroutine 1 [running]:", True),
        ("order sidecar", "ERROR", "mTLS is disabled", True),
        ("gateway", "INFO", "GET /api/order is answered 200", False),
        ("gateway", "WARN", "GET /api/order is answered 502", True),
        ("gateway", "", "nginx: [emerg] unknown directive", True),
        ("dapr", "", "\u2139\ufe0f  Started Dapr with app id", False),
        ("dapr", "", "\u274c  the port is taken", True),
    ],
)
def test_what_is_shown_without_being_asked_for(
    part: str,
    level: str,
    text: str,
    usually: bool,  # noqa: FBT001 - a column of the table
) -> None:
    line = Line(AT, part, level, text)

    assert is_shown(line, info=False) is usually
    assert is_shown(line, info=True)


def test_what_a_supervisor_reports_is_shown() -> None:
    (line,) = parse(Record("order sidecar", AT, b"works again", "INFO"))

    assert is_shown(line, info=False)


def test_columns_are_aligned() -> None:
    look = Look(BOTH)

    shown = [
        look.show(Line(AT, "order", "", "Notification for Order 1")),
        look.show(Line(AT, "notification sidecar", "ERROR", "died")),
    ]

    width = len("notification sidecar")
    assert shown == [
        f"21:31:05.041  {'order':<{width}}         Notification for Order 1",
        "21:31:05.041  notification sidecar  ERROR  died",
    ]


def test_an_app_and_its_sidecar_have_one_colour_and_an_error_another() -> None:
    look = Look(BOTH, coloured=True)

    app = look.show(Line(AT, "notification", "ERROR", "failed"))
    sidecar = look.show(Line(AT, "notification sidecar", "WARN", "late"))

    assert "\x1b[1;35mnotification" in app
    assert "\x1b[35mnotification sidecar" in sidecar
    assert "\x1b[1;31mERROR\x1b[0m  failed" in app
    assert "\x1b[33mWARN \x1b[0m  late" in sidecar


def test_a_line_that_fills_the_screen_is_cut() -> None:
    shown = Look(BOTH).show(Line(AT, "order", "", "x" * (LONGEST + 1000)))

    assert shown.endswith("x … and 1,000 characters more")
    assert len(shown) < LONGEST + 100
