"""The verbs as a person types them, in a terminal, on a system of their own."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.eventually import within
from tests.support.terminal import CTRL_C, CTRL_Q, CTRL_S, Terminal
from toolchain import readiness, runfile
from toolchain.mail import catcher
from toolchain.runfile import ROOT, System
from toolchain.servers import rabbitmq_node
from toolchain.servers.broker import Broker

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SHOWN = r"\d\d:\d\d:\d\d\.\d{3}  notification +"
"""How a line of the notification service begins in the log."""
LINE = r"Notification for Order [0-9a-f-]{36}: Dear Jane Doe, your order was created at [0-9T:.-]+Z\."


ACCEPTED = r'\{"orderId":"[0-9a-f-]{36}"\}'


@pytest.fixture
def system() -> Iterator[System]:
    """Find ports for a system of our own; what it keeps is removed."""
    offset = runfile.free_offset()
    system = runfile.load(offset)
    yield system
    shutil.rmtree(system.state)


def readme(beginning: str) -> str:
    """Return the command of the README that begins like this."""
    lines = (ROOT / "README.md").read_text().replace("\\\n", " ").splitlines()
    return next(line for line in lines if line.startswith(beginning))


def typed(command: str) -> str:
    """Type a command into a shell; return what it prints."""
    ended = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return ended.stdout + ended.stderr


def port(system: System) -> int:
    """Return the port of the order service's sidecar."""
    return int(system.app("order")["daprHTTPPort"])


def make(verb: str, system: System) -> list[str]:
    """Make the command line for one of the Makefile's verbs."""
    return ["make", "--no-print-directory", verb, f"OFFSET={system.offset}"]


@contextmanager
def running(system: System, *options: str) -> Iterator[tuple[Terminal, str]]:
    """Type `make run` until everything runs; yield the terminal and what it shows. Then Ctrl-C ends it all."""
    with Terminal([*make("run", system), *options], ROOT) as terminal:
        yield terminal, terminal.shows("Ctrl-C stops all of it", deadline=120)
        terminal.types(CTRL_C)
        terminal.ends(deadline=60)
    assert nothing_is_left(system)


def demonstrated(system: System, *options: str) -> str:
    """Type `make demo`; return what it shows of three notifications."""
    demo = [*make("demo", system), *options]
    ended = subprocess.run(demo, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    notified = re.findall(r"^Notification for Order .*Z\.$", ended.stdout, re.MULTILINE)
    assert len(notified) == 3
    return ended.stdout


def nothing_is_left(system: System) -> bool:
    """Return whether the ports are free, and no process names what the system keeps."""
    named = [command for command in commands() if str(system.state) in command]
    return runfile.ports_are_free(system.offset) and not named


def commands() -> Iterator[str]:
    """Yield the command line of each process."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            yield path.read_text()


def test_run_and_demo_and_ctrl_c(system: System) -> None:
    times = r"\d+, \d+, \d+ ms"
    with Terminal(make("run", system), ROOT) as terminal:
        terminal.shows("the sidecars and the services start", deadline=120)
        demonstrated(system)  # typed too early, it waits
        shown = terminal.shows("Ctrl-C stops all of it", deadline=120)
        desk = f"http://127.0.0.1:{system.app('order')['appPort']}"
        assert re.search(rf"Open the order desk, {desk}\r?\n", shown)
        assert "<h1" in httpx.get(desk, trust_env=False).text

        demo = demonstrated(system)

        assert re.search(LINE, demo)
        assert re.search(
            rf"notified +after {times}; the orders show it after {times}\n$", demo
        )
        terminal.shows(f"{SHOWN}{LINE}", deadline=30)
        curl = readme("curl ").replace(":3500", f":{port(system)}")
        assert re.search(ACCEPTED, typed(curl))
        terminal.types(CTRL_C)
        terminal.ends(deadline=60)
    assert nothing_is_left(system)


def test_a_second_run_on_the_same_ports_names_the_first_and_starts_nothing(
    system: System,
) -> None:
    with running(system):
        second = typed(" ".join(make("run", system)))

    taken = r"Port \d+ is taken\n +(uvicorn|daprd), process \d+, listens there"
    assert re.search(taken, second)
    assert f"make run OFFSET={system.offset + 1000}" in second
    assert "Everything runs" not in second


def test_a_broker_that_is_killed_is_started_again_and_the_next_order_is_notified(
    system: System,
) -> None:
    with running(system) as (terminal, _):
        curl = readme("curl ").replace(":3500", f":{port(system)}")
        typed(curl)
        terminal.shows(f"{SHOWN}{LINE}", deadline=60)
        node = int((system.state / "rabbitmq" / "node.pid").read_text())

        os.kill(node, signal.SIGKILL)

        terminal.shows("RabbitMQ +INFO +it serves again", deadline=60)
        assert re.search(ACCEPTED, typed(curl))
        terminal.shows(f"(?s){LINE}.*{SHOWN}{LINE}", deadline=60)


def test_a_sidecar_that_dies_is_reported_in_the_terminal(system: System) -> None:
    """Its output is a file: without this, a crash that repeats is seen by nobody."""
    with running(system) as (terminal, _):
        os.kill(sidecar_of(system, "order"), signal.SIGKILL)

        died = r"order sidecar +ERROR +died \(killed by SIGKILL"
        terminal.shows(died, deadline=60)
        terminal.shows("order sidecar.* works again", deadline=60)


def test_a_supervisor_that_dies_is_named(system: System) -> None:
    """Nobody starts its part again then."""
    with running(system) as (terminal, _):
        supervisor = int(
            Path(f"/proc/{sidecar_of(system, 'order')}/stat").read_text().split()[3]
        )
        os.kill(supervisor, signal.SIGKILL)

        gone = r"order sidecar +ERROR +its supervisor has ended, and so nobody starts it again"
        terminal.shows(gone, deadline=60)


def sidecar_of(system: System, app_id: str) -> int:
    """Return the process id of an app's daprd itself."""
    port = f"\0{system.app(app_id)['daprHTTPPort']}\0"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            command = path.read_text()
            if command.startswith(f"{ROOT}/.venv/bin/daprd\0") and port in command:
                return int(path.parent.name)
    raise AssertionError(f"the sidecar of {app_id} does not run")


def test_a_terminal_that_is_held_stops_neither_the_services_nor_the_end(
    system: System,
) -> None:
    """What they say in the meantime is more than the pipes between them hold."""
    orders = f"{system.invoke_url('order')}/api/order"
    named = {"customerName": "J" * 200}
    with running(system) as (terminal, _), httpx.Client(trust_env=False) as client:
        terminal.types(CTRL_S)
        ids = [client.post(orders, json=named).json()["orderId"] for _ in range(600)]
        last = f"{system.invoke_url('notification')}/api/notification/{ids[-1]}"
        within(
            60, lambda: client.get(last).json().get("state") == "SENT", "all is sent"
        )
        terminal.types(CTRL_Q)
        terminal.shows(f"{SHOWN}Notification for Order {ids[-1]}", deadline=60)
        terminal.types(CTRL_S)


def test_a_part_that_cannot_run_ends_the_whole_with_a_clear_word(
    system: System,
) -> None:
    given_up = "(order|notification) .* is not started again.*RETENTION_DAYS"
    wrong = ["env", "RETENTION_DAYS=a week", *make("run", system)]
    with Terminal(wrong, ROOT) as terminal:
        terminal.shows(given_up, deadline=120)
        terminal.shows("The system cannot run", deadline=60)
        assert terminal.ends(deadline=60) != 0
    assert nothing_is_left(system)


def test_ctrl_c_while_the_system_starts_leaves_nothing(system: System) -> None:
    with Terminal([*make("run", system), "LOG=info"], ROOT) as terminal:
        terminal.shows("Validating config and starting app", deadline=60)

        terminal.types(CTRL_C)

        terminal.ends(deadline=60)
    assert nothing_is_left(system)


def test_closing_the_terminal_leaves_nothing(system: System) -> None:
    with Terminal(make("run", system), ROOT) as terminal:
        terminal.shows("Ctrl-C stops all of it", deadline=120)

        terminal.is_closed()

    within(60, lambda: nothing_is_left(system), "every part has ended")


def test_the_demo_starts_a_system_where_none_runs_and_stops_it(system: System) -> None:
    demonstrated(system)

    assert nothing_is_left(system)


def tree() -> str:
    """Return what git reports of the working tree."""
    answers = (
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True)
        for words in (["status", "--porcelain"], ["diff"])
    )
    return "".join(answer.stdout.decode() for answer in answers)


@pytest.mark.parametrize("broker", ["redis", "kafka"])
def test_another_broker_is_one_word_and_changes_no_file(
    broker: str, system: System
) -> None:
    before = tree()

    demo = demonstrated(system, f"BROKER={broker}")

    assert f"{broker.title()} " in demo
    assert tree() == before
    assert nothing_is_left(system)


def test_mails_by_an_api_and_one_public_door_are_a_word_each(system: System) -> None:
    with running(system, "MAIL=api", "GATEWAY=yes") as (terminal, shown):
        page = re.findall(r"read it at (http://127\.0\.0\.1:\d+)", shown)[0]
        curl = re.findall(r"curl --cacert .* https://localhost:.*\}'", shown)[0]
        address = '"customerEmail":"jane@example.org"'

        typed(curl.replace('"Jane Doe"', f'"Jane Doe",{address}'))

        terminal.shows(f"{SHOWN}{LINE}", deadline=60)
        mails = httpx.get(page, trust_env=False).text
        assert mails.count("To: jane@example.org") == 1
        (file,) = (system.state / "mail").glob("*.eml")
        assert catcher.DIGEST in file.read_text()


@pytest.mark.alone  # `dapr invoke` takes any app on the machine that is called `order`
def test_the_system_by_hand(system: System) -> None:
    """`make broker`, then what it says to type, and `dapr invoke` as the README says."""
    with Terminal([*make("broker", system), "DATABASE=postgresql"], ROOT) as broker:
        shown = broker.shows("Ctrl-C ends the broker", deadline=60)
        page = re.findall(r"page (http://127\.0\.0\.1:\d+)", shown)[0]
        (dapr,) = re.findall(r"In another terminal type: (.*?)\r?\n", shown)
        assert f"SMTP_PORT={system.port('smtp')}" in dapr
        keeps = partial(rabbitmq_node.is_bound, page)
        broker_by_hand = Broker("RabbitMQ", "by hand", keeps=keeps)
        # The CLI moves to a process group of its own: Ctrl-C would end a shell around it alone.
        typed_in = dapr.replace(" dapr run", " exec dapr run")
        with Terminal(["sh", "-c", typed_in], ROOT) as by_hand:
            within(
                60,
                lambda: readiness.is_ready(system, broker_by_hand),
                "the system is ready",
            )
            assert re.search(ACCEPTED, typed(readme(". .venv/bin/activate")))
            by_hand.shows(f"== APP - notification == {LINE}", deadline=30)
            by_hand.types(CTRL_C)
            by_hand.ends(deadline=60)
        broker.types(CTRL_C)
        broker.ends(deadline=60)
    # `dapr run` does not wait for its parts: they are still stopping when it is gone.
    within(60, lambda: nothing_is_left(system), "every part has ended")


def test_a_proxy_of_the_environment_is_not_in_the_way(system: System) -> None:
    """A company's proxy is set on many machines; nothing of this system is behind it."""
    proxied = ["env", "http_proxy=http://127.0.0.1:9", *make("run", system)]
    with Terminal(proxied, ROOT) as terminal:
        terminal.shows("Everything runs", deadline=120)
        terminal.types(CTRL_C)
        terminal.ends(deadline=60)
