"""Runs the whole system in the foreground: broker, then `dapr run` with the sidecars and the services."""

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

import yaml

from toolchain import descendants, rabbitmq, rabbitmq_page, runfile, say
from toolchain.attempt import attempt
from toolchain.failure import Failure
from toolchain.machine import Machine, this_machine
from toolchain.runfile import System

READY_WITHIN = 120.0
STOPS_WITHIN = 50.0
"""Seconds: a little more than a sidecar's time to finish (35 s, toolchain/.dapr/bin/daprd)."""


class Interrupted(Exception):
    """The user, or the system, asks to stop."""


def main() -> None:
    """Run everything until Ctrl-C, or the broker alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--broker-only", action="store_true", help="start nothing but the broker"
    )
    options = parser.parse_args()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _interrupt)
    system = runfile.load(int(os.environ.get("OFFSET", "0")))
    work = run_broker if options.broker_only else run_all
    sys.exit(attempt(lambda: work(this_machine(), system)))


def run_broker(machine: Machine, system: System) -> None:
    """Run the broker until Ctrl-C."""
    with suppress(Interrupted), broker(machine, system):
        say.plainly(
            "\n  In another terminal type: . .venv/bin/activate && dapr run -f dapr.yaml\n"
            "  Ctrl-C ends the broker."
        )
        while True:
            signal.pause()


def run_all(machine: Machine, system: System) -> None:
    """Run the system until Ctrl-C, or until `dapr run` ends."""
    with suppress(Interrupted), running(machine, system) as cli:
        say.plainly(welcome(system))
        cli.wait()


def welcome(system: System) -> str:
    """Say what to open and what to type."""
    api = system.app("order")["appPort"]
    port = system.app("order")["daprHTTPPort"]
    return (
        f"\n  Everything runs. Open http://127.0.0.1:{api}/docs, or type in another terminal: make demo, or\n"
        f"  curl localhost:{port}/v1.0/invoke/order/method/api/order "
        """-H 'content-type: application/json' -d '{"customerName":"Jane Doe"}'\n"""
        "  Ctrl-C stops all of it.\n"
    )


@contextmanager
def running(
    machine: Machine, system: System, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run broker, sidecars and services: all are ready in the body, and gone after it.

    What they write goes to `log`, or else to the terminal.
    """
    descendants.adopt_orphans()
    with broker(machine, system) as provided:
        brokers = descendants.children(os.getpid())
        say.busy("services", "the sidecars and the services start: some seconds")
        cli = _start(machine, system, log)
        try:
            _wait_until_ready(cli, system, provided)
            yield cli
        finally:
            _ignore_interrupts()
            say.busy(
                "stop",
                "the services, the sidecars, then the broker finish what they are at",
            )
            _stop(cli, brokers)


@contextmanager
def broker(machine: Machine, system: System) -> Iterator[rabbitmq.Broker]:
    """Provide the broker at this system's address."""
    machine = replace(machine, environment=_environment(machine, system))
    with rabbitmq.provide(machine, system.state / "rabbitmq") as provided:
        say.done("RabbitMQ", provided.how)
        yield provided


def _environment(machine: Machine, system: System) -> dict[str, str]:
    return {"RABBITMQ_URL": system.amqp_url(), **machine.environment}


def _start(
    machine: Machine, system: System, log: Path | None
) -> subprocess.Popen[bytes]:
    moved = system.offset != 0
    with log.open("wb") if log else nullcontext() as output:
        cli = subprocess.Popen(
            [machine.programs / "dapr", "run", "-f", "-" if moved else "dapr.yaml"],
            cwd=machine.root,
            env=_environment(machine, system),
            stdin=subprocess.PIPE if moved else None,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
        )
    if cli.stdin:
        with cli.stdin as pipe:
            pipe.write(yaml.safe_dump(system.document).encode())
    return cli


def _wait_until_ready(
    cli: subprocess.Popen[bytes], system: System, provided: rabbitmq.Broker
) -> None:
    deadline = time.monotonic() + READY_WITHIN
    keepers = 0
    while not is_ready(system, provided.page):
        keepers, before = len(descendants.children(cli.pid)), keepers
        if cli.poll() is not None or keepers < before:
            raise _given_up()
        if time.monotonic() > deadline:
            say.warning(
                "services",
                f"not ready after {READY_WITHIN:.0f} s; what is wrong stands above",
            )
            return
        time.sleep(0.2)


def _given_up() -> Failure:
    return Failure(
        "The system cannot run",
        "A part of it gave up; what it said, and what its keeper says of it, stands above or in .dapr/logs.",
        "Correct that, then run it again.",
    )


def is_ready(system: System, page: str | None) -> bool:
    """Tell whether both services say so, here and through Dapr, and the broker keeps what is published."""
    apps = system.document["apps"]
    return (
        all(answers(f"http://127.0.0.1:{app['appPort']}/readyz") for app in apps)
        and all(answers(f"{system.invoke_url(app['appID'])}/readyz") for app in apps)
        and (
            page is None
            or rabbitmq_page.is_bound(page, "OrderCreated", "notification-OrderCreated")
        )
    )


def answers(url: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(cli: subprocess.Popen[bytes], others: set[int]) -> None:
    # `dapr run` would SIGKILL its parts, and while a sidecar has not come up it hears nothing at all: so the
    # keepers are asked first, who end their parts in good order; the CLI has nothing left to do then.
    descendants.end(descendants.children(cli.pid), STOPS_WITHIN)
    cli.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        cli.wait(3)
    cli.kill()
    cli.wait()
    descendants.end(descendants.children(os.getpid()) - others, STOPS_WITHIN)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise Interrupted


def _ignore_interrupts() -> None:
    # A second Ctrl-C would leave behind what the first one is stopping.
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)


if __name__ == "__main__":
    main()
