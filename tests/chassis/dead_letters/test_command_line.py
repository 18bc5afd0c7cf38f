"""The command line of dead letters: what it says, what it leaves behind, and when it stops."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.dapr import Sidecar
from chassis.dead_letters.__main__ import PAGE, parse, run
from chassis.inbox.dead_letter import DeadLetter, dead_letter, store
from chassis.runtime.rate_limit import STOPPED, at_rate
from contracts.order_created import OrderCreated
from tests.chassis.dead_letters.letters import GREETINGS, REACTION, Letters, greet
from tests.support.carried import Carried
from tests.support.delivering import CAUSE, order_created
from toolchain.runfile import free_port
from verification.simulation.virtual_loop import VirtualLoop

ROOT = Path(__file__).parents[3]
FAST = "--rate=1000"

Captured = pytest.CaptureFixture[str]


async def typed(letters: Letters, *arguments: str) -> int:
    """Type a command; return its exit status."""
    by = ("--by", "jane") if arguments[0] == "replay" else ()
    return await run(parse(["greetings", *arguments, *by]), letters.sidecar)


async def states(letters: Letters) -> list[str]:
    """Return the states of all letters, in order."""
    in_order = select(dead_letter.c.state).order_by(dead_letter.c.id)
    return await letters.database.read(lambda session: [*session.scalars(in_order)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "SERVICE"),
        (["notification"], "VERB"),
        (["notification", "remove"], "invalid choice: 'remove'"),
        (["notification", "list", "--state", "GONE"], "invalid choice: 'GONE'"),
        (["notification", "show"], "ID"),
        (["notification", "show", "x"], "invalid int value: 'x'"),
        (["notification", "replay"], "by their ids, or say --all"),
        (["notification", "replay", "1", "--all"], "by their ids, or say --all"),
        (["notification", "replay", "1", "--rate", "0"], "invalid positive value"),
        (["notification", "replay", "1", "--rate", "nan"], "invalid positive value"),
        (["notification", "replay", "1"], "say who replays them"),
        (["notification", "discard", "1", "--by", "x"], "--because"),
        (["notification", "discard", "1", "--because", "x"], "--by"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_said(
    capsys: Captured, arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    return subprocess.run(
        [sys.executable, "-m", "chassis.dead_letters", "notification", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_sidecar_that_is_not_there_is_one_line() -> None:
    ended = command("list", DAPR_HTTP_PORT=str(free_port()))

    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr == "the sidecar does not answer (no connection)\n"


def test_it_sends_the_sidecars_token_and_that_of_whoever_types_it() -> None:
    received: list[tuple[str, str | None, str | None]] = []

    class Sidecar(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.headers
            tokens = sent["dapr-api-token"], sent["authorization"]
            received.append((self.path, *tokens))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"items": [], "next": null}')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Sidecar) as server:
        threading.Thread(target=server.handle_request).start()
        port = str(server.server_address[1])
        environment = {"DAPR_API_TOKEN": "t0ken", "TOKEN": "of-jane"}
        ended = command("list", DAPR_HTTP_PORT=port, **environment)

    assert (ended.returncode, ended.stderr) == (0, "")
    ((path, token, authorization),) = received
    assert path.startswith("/v1.0/invoke/notification/method/api/dead-letter?")
    assert (token, authorization) == ("t0ken", "Bearer of-jane")


async def test_a_list_is_a_line_for_each_newest_first(
    letters: Letters, capsys: Captured
) -> None:
    await letters.receive(b"first", b"second")
    await letters.kept_event()

    assert await typed(letters, "list") == 0

    third, second, _ = capsys.readouterr().out.splitlines()
    assert third.split()[:3] == ["3", "OPEN", "1x"]
    assert second.split()[:3] == ["2", "OPEN", "1x"]
    assert f"{REACTION}  not authentic  " in second
    assert f"{REACTION}  it was too early" in third


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), ["4", "1"]),
        (("--state", "discarded"), ["2"]),
        (("--state", "ALL"), ["4", "3", "2", "1"]),
        (("--reaction", REACTION), ["1"]),
    ],
)
async def test_a_list_may_be_of_one_state_or_one_reaction(
    letters: Letters, capsys: Captured, options: tuple[str, ...], shown: list[str]
) -> None:
    for _ in range(3):
        await letters.kept_event()
    await letters.kept(b"-", "another")
    await typed(letters, "discard", "2", "--because", "a test", "--by", "jane")
    await typed(letters, "replay", "3")
    capsys.readouterr()

    assert await typed(letters, "list", *options) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == shown


async def test_a_letter_is_shown_whole_and_moves_no_cursor(
    letters: Letters, capsys: Captured
) -> None:
    hostile = json.dumps({"traceid": CAUSE, "x": "Jörg"}, ensure_ascii=False)
    letter = await letters.kept(f"{hostile}\x1b[2J\x9b\u202e\n".encode())

    assert await typed(letters, "show", str(letter)) == 0

    printed = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in printed)
    assert json.loads(printed) == await letters.shown(letter)
    assert "Jörg" in printed


async def test_a_letter_is_discarded_by_somebody_for_a_reason(
    letters: Letters, capsys: Captured
) -> None:
    await letters.kept_event()
    why = ("--because", "A test of the broker", "--by", "jane")

    assert await typed(letters, "discard", "1", *why) == 0
    assert await typed(letters, "discard", "1", *why) == 1
    assert await typed(letters, "discard", "7", *why) == 1

    printed = capsys.readouterr()
    assert printed.out == "1: discarded\n"
    assert printed.err.splitlines() == [
        "Dead letter 1 is DISCARDED already.",
        "There is no dead letter 7.",
    ]
    who = (dead_letter.c.discarded_by, dead_letter.c.discarded_because)
    assert await letters.rows(*who) == [("jane", "A test of the broker")]


async def test_all_that_are_open_are_tried_oldest_first_past_those_that_still_fail(
    letters: Letters, capsys: Captured
) -> None:
    came, wrong = order_created(), order_created(type="OrderCancelled")
    for body in (order_created(), wrong, came, order_created()):
        await letters.kept(json.dumps(body).encode())
    await letters.kept(b"-", "gone")
    await letters.receive(came)

    assert await typed(letters, "replay", "--all", FAST) == 1

    *lines, summary = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["1", "handled"],
        ["2", "failed"],
        ["3", "was handled before"],
        ["4", "handled"],
        ["5", "failed"],
    ]
    assert summary == "2 handled, 2 failed, 1 was handled before."
    assert await states(letters) == [
        *("REPLAYED", "OPEN", "REPLAYED", "REPLAYED", "OPEN")
    ]


async def test_all_leaves_out_what_is_not_authentic_and_says_how_many(
    letters: Letters, capsys: Captured
) -> None:
    await letters.receive(b"no event", json.dumps(order_created(signature="")).encode())
    await letters.kept_event()

    assert await typed(letters, "replay", "--all", FAST) == 0

    assert capsys.readouterr().out.splitlines() == [
        "3: handled",
        "2 skipped as not authentic, 1 handled.",
    ]
    assert await states(letters) == ["OPEN", "OPEN", "REPLAYED"]
    assert await letters.rows(dead_letter.c.attempts) == [(1,), (1,), (2,)]


async def test_those_of_one_reaction_may_be_tried_alone(letters: Letters) -> None:
    await letters.kept_event("another")
    await letters.kept_event()

    options = ("--all", "--reaction", REACTION, FAST)
    assert await typed(letters, "replay", *options) == 0

    assert await states(letters) == ["OPEN", "REPLAYED"]


async def test_more_than_one_page_is_tried_and_each_letter_once(
    letters: Letters,
) -> None:
    wrong = json.dumps(order_created(type="OrderCancelled")).encode()
    for number in range(PAGE + 2):
        if number % 2:
            await letters.kept(wrong)
        else:
            await letters.kept_event()

    assert await typed(letters, "replay", "--all", FAST) == 1

    columns = (dead_letter.c.state, dead_letter.c.attempts)
    assert set(await letters.rows(*columns)) == {("REPLAYED", 2), ("OPEN", 2)}
    assert len(await letters.greeted()) == PAGE // 2 + 1


async def test_what_becomes_a_dead_letter_meanwhile_is_for_another_time(
    letters: Letters,
) -> None:
    there = PAGE + 1
    for _ in range(there):
        await letters.kept_event()
    body = json.dumps(order_created()).encode()

    def stores_another(
        event: OrderCreated, envelope: CloudEvent, session: Session
    ) -> None:
        greet(event, envelope, session)
        store(session, DeadLetter(REACTION, body, "it was too early"))

    letters.act = stores_another

    assert await typed(letters, "replay", "--all", FAST) == 0

    assert await states(letters) == ["REPLAYED"] * there + ["OPEN"] * there


async def test_a_dry_run_of_all_leaves_nothing_behind(
    letters: Letters, capsys: Captured
) -> None:
    for _ in range(2):
        await letters.kept_event()
    await letters.kept(json.dumps(order_created(type="OrderCancelled")).encode())
    before = await letters.everything()

    assert await typed(letters, "replay", "--all", "--dry-run", FAST) == 1

    assert await letters.everything() == before
    assert capsys.readouterr().out.splitlines()[-1] == (
        "2 handled, 1 failed. Everything was rolled back."
    )


async def test_nothing_to_replay_is_said(letters: Letters, capsys: Captured) -> None:
    assert await typed(letters, "replay", "--all") == 0

    assert capsys.readouterr().out == "Nothing to replay.\n"


async def test_ctrl_c_ends_it_after_the_letter_that_is_being_tried(
    letters: Letters, capsys: Captured
) -> None:
    for _ in range(3):
        await letters.kept_event()
    loop = asyncio.get_running_loop()

    def interrupted(
        event: OrderCreated, envelope: CloudEvent, session: Session
    ) -> None:
        greet(event, envelope, session)
        if len(session.scalars(GREETINGS).all()) > 1:
            loop.call_soon_threadsafe(signal.raise_signal, signal.SIGINT)

    letters.act = interrupted

    assert await typed(letters, "replay", "--all", "--rate", "20") == STOPPED

    assert await states(letters) == ["REPLAYED", "REPLAYED", "OPEN"]
    assert capsys.readouterr().out.splitlines()[-1] == "2 handled."


def test_so_many_letters_a_second_are_tried_and_no_more() -> None:
    async def tried() -> float:
        began = asyncio.get_running_loop().time()
        async for each in at_rate(range(21), 4.0, asyncio.Event()):
            if each == 10:
                await asyncio.sleep(5)  # a replay that is slow, in virtual time
        return asyncio.get_running_loop().time() - began

    loop = VirtualLoop()
    took = loop.run_until_complete(tried())
    loop.clear()

    assert took == pytest.approx(10 / 4 + 5 + 9 / 4)


NOT_REACHED = "notification was not reached: "
FAILED = {"errorCode": "ERR_DIRECT_INVOKE", "message": "failed"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(200), f"{NOT_REACHED}200 "),
        (httpx.Response(500, json=FAILED), f"{NOT_REACHED}500 failed"),
        (httpx.Response(503, json={"type": "urn:x", "detail": "It is full."}), "It is full."),
        (httpx.Response(404, text="Not Found"), f"{NOT_REACHED}404 Not Found"),
    ],
)  # fmt: skip
async def test_a_service_that_is_in_trouble_is_said_and_can_be_asked_again(
    capsys: Captured, answer: httpx.Response, message: str
) -> None:
    wire = Carried(httpx.MockTransport(lambda _request: answer))
    async with Sidecar("http://sidecar", wire=wire) as sidecar:
        for arguments in (["list"], ["show", "1"], ["replay", "1", "--by", "jane"]):
            assert await run(parse(["notification", *arguments]), sidecar) == 75
            assert capsys.readouterr().err == f"{message}\n"
