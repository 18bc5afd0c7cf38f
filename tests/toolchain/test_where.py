"""`make where`: what it prints of an order's journey, and its exit status."""

import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager, ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support import serving as server
from toolchain.runfile import ROOT, System, free_port
from toolchain.where import where

ORDER = UUID("01a20727-ad7d-7a6d-8ffc-e0698ef24ad8")
Json = dict[str, Any]


def journey(*times: str | None, done: bool = False) -> Json:
    """Return a journey with these times of its stages."""
    names = ("accepted", "published", "received", "sent", "shown")
    stages = [
        {"name": name, "reached": bool(at) or done, "at": at}
        for name, at in zip(names, times, strict=True)
    ]
    why = "It waits for the mail channel: " + "no such user " * 12 + "again."
    return {"stages": stages, "done": done, "why": why, "next": "nothing"}


def serving(answer: object, status: int = 200) -> AbstractContextManager[int]:
    """Serve this journey, and healthily; yield the port."""

    class Served(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_journey = self.path.endswith(f"/api/order/{ORDER}/journey")
            self.send_response(status if is_journey else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    return server.serving(Served)


def system(folder: Path, **ports: int) -> System:
    """Return a system whose parts listen at these ports, and those that are not named nowhere."""
    apps = [
        {
            "appID": app,
            "appPort": ports.get(f"{app}_app") or free_port(),
            "daprHTTPPort": ports.get(f"{app}_sidecar") or free_port(),
        }
        for app in ("order", "notification")
    ]
    return System({"apps": apps}, folder)


def test_an_order_that_is_done_is_shown_with_times_and_durations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = "2026-01-31T08:15:3"
    times = (f"{day}0.123Z", f"{day}0.130Z", f"{day}0.140Z", f"{day}9.000Z", None)
    with serving(journey(*times, done=True)) as port:
        status = where(ORDER, system(tmp_path, order_sidecar=port))

    printed = capsys.readouterr().out
    assert status == 0
    assert "  + accepted  2026-01-31 08:15:30.123 UTC\n" in printed
    assert "  + published 2026-01-31 08:15:30.130 UTC        +7 ms\n" in printed
    assert "  + sent      2026-01-31 08:15:39.000 UTC    +8,860 ms\n" in printed
    assert "  + shown     at an unknown time\n" in printed
    assert "does not answer" not in printed


def test_an_order_that_is_stuck_is_shown_with_why_and_the_parts_that_do_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck = journey("2026-01-31T08:15:30.123Z", None, None, None, None)
    with serving(stuck) as port:
        parts = {"order_app": port, "notification_sidecar": port}
        status = where(ORDER, system(tmp_path, **parts, order_sidecar=port))

    printed = capsys.readouterr().out
    assert status == 1
    assert "  . published not yet\n" in printed
    assert "  It waits for the mail channel: no such user" in printed
    assert "  Next: nothing.\n" in printed
    assert printed.count("does not answer") == 1
    assert "notification app does not answer at http://127.0.0.1:" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_what_a_mail_server_said_moves_no_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck = {**journey("2026-01-31T08:15:30.123Z", *[None] * 4), "next": "wait"}
    with serving({**stuck, "why": "no \x1b[2J\u202esuch user"}) as port:
        where(ORDER, system(tmp_path, order_sidecar=port))

    shown = capsys.readouterr().out
    assert "no \\x1b[2J\\u202esuch user" in shown
    assert all(each.isprintable() or each == "\n" for each in shown)


def test_whoever_may_not_see_an_order_is_told_to_send_a_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = {"title": "This needs a valid access token.", "status": 401, "detail": ""}
    monkeypatch.setenv("TOKEN", "a-token")
    with serving(problem, 401) as port:
        status = where(ORDER, system(tmp_path, order_sidecar=port))

    assert status == os.EX_NOPERM
    assert "make token" in capsys.readouterr().out


def test_past_a_sidecar_that_is_down_the_service_itself_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck = journey("2026-01-31T08:15:30.123Z", None, None, None, None)
    with serving(stuck) as port:
        assert where(ORDER, system(tmp_path, order_app=port)) == 1

    assert "order sidecar does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [None, {"errorCode": "ERR_DIRECT_INVOKE"}, []])
def test_where_nothing_answers_each_part_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: object
) -> None:
    with ExitStack() as stack:
        ports = {}
        if answer is not None:
            ports["order_sidecar"] = stack.enter_context(serving(answer, 500))
        assert where(ORDER, system(tmp_path, **ports)) == os.EX_UNAVAILABLE

    printed = capsys.readouterr().out
    assert "The order service does not answer" in printed
    assert "order app does not answer" in printed


def test_a_service_that_answers_with_an_error_is_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {"status": 503, "title": "x", "detail": "The database is locked."}
    with serving(problem, 503) as port:
        status = where(ORDER, system(tmp_path, order_sidecar=port))

    assert status == os.EX_UNAVAILABLE
    assert "The database is locked." in capsys.readouterr().out


def test_an_order_that_does_not_exist_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {
        "status": 404,
        "title": "There is no order with this id.",
        "detail": "There is none.",
    }
    with serving(problem, 404) as port:
        assert where(ORDER, system(tmp_path, order_sidecar=port)) == 2

    assert "There is no order with this id." in capsys.readouterr().out


@pytest.mark.parametrize("typed", [[], [""], ["42"], ["nonsense"]])
def test_what_is_no_id_is_bad_input(typed: list[str]) -> None:
    command = [sys.executable, "-m", "toolchain.where", *typed]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert "This is no order's id" in ended.stdout
    assert "make where ORDER=" in ended.stdout
