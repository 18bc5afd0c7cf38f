"""Run the whole system in the foreground: broker, then `dapr run` with the sidecars and the services."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import yaml

from toolchain import runfile
from toolchain.doctor.system import Watch, check
from toolchain.issuer import provision
from toolchain.log import stream
from toolchain.log.stream import Stream
from toolchain.machine import Machine, ports, terminal, this_machine
from toolchain.machine.failure import EX_CONFIG, Failure, exit_status
from toolchain.readiness import Health, is_ready, missing
from toolchain.runfile import System
from toolchain.servers import companions, gateway, kafka, rabbitmq, redis, secured
from toolchain.servers.broker import Broker, Product
from toolchain.supervise import descendants, locks, server
from toolchain.supervise.record import PIPE
from toolchain.supervise.server import RunningServer
from toolchain.welcome import welcome

READY_WITHIN, SAYS_EVERY = 120.0, 20.0
"""Seconds that the system has to become ready, and between two words on what it lacks until then."""
BROKERS: Mapping[str, Product] = {
    "rabbitmq": rabbitmq.PRODUCT,
    "redis": redis.PRODUCT,
    "kafka": kafka.PRODUCT,
}
"""The brokers that can be started here; a folder in components/ of another name runs as it is."""
SIGNS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
PRIVATE = 0o077
"""What nobody but its owner may do with a file: it holds what customers wrote, or a secret."""
LOOKS_EVERY = 0.5
ALONE = (
    "its supervisor has ended, and so nobody starts it again; Ctrl-C, then run it again"
)
STOPS_WITHIN = 50.0
"""Seconds: a little more than a sidecar's time to finish (35 s, toolchain/.dapr/bin/daprd)."""


class Interrupted(Exception):
    """The user, or the system, asks to stop."""


@dataclass(frozen=True)
class Provided:
    """What the sidecars and the services need beside them: the broker, and the servers that we started."""

    broker: Broker
    servers: Sequence[RunningServer]

    def keep(self) -> None:
        """Start again what has ended by itself; then wait a moment."""
        for each in self.servers:
            server.keep(each)
        time.sleep(LOOKS_EVERY)

    def pids(self) -> set[int]:
        """Return the ids of all their processes."""
        return {pid for each in self.servers for pid in each.pids()}


def main() -> None:
    """Run everything until Ctrl-C, or the broker alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--broker-only",
        action="store_true",
        help="start the broker, and what runs beside it, alone",
    )
    options = parser.parse_args()
    work = run_broker if options.broker_only else run_all
    sys.exit(alone(lambda: work(this_machine(), chosen())))


def alone(work: Callable[[], None]) -> int:
    """Do a program's work and return its exit status; nothing that it started outlives it."""
    os.umask(PRIVATE)
    for sign in SIGNS:
        signal.signal(sign, _interrupt)
    descendants.adopt_orphans()
    try:
        with suppress(Interrupted):
            return exit_status(work)
        return 130
    finally:
        _ignore_interrupts()
        # What was being started just when the signal came is known to nobody else.
        while left := descendants.children(os.getpid()):
            descendants.end(left, STOPS_WITHIN)


def chosen() -> System:
    """Return the system that the variables of `make run` describe; raises Failure if none is."""
    is_secure, with_gateway = (
        _chosen(each, ("yes", "no")) == "yes" for each in ("SECURE", "GATEWAY")
    )
    system = runfile.load(
        runfile.chosen_offset(),
        broker=_chosen("BROKER", runfile.brokers()),
        database=_chosen("DATABASE", runfile.DATABASES),
        mail=_chosen("MAIL", runfile.MAILS),
    )
    system = replace(system, secure=is_secure)
    system = runfile.with_gateway(system) if with_gateway else system
    if is_secure:
        provision.trust(system)
    return system


def _chosen(variable: str, known: Iterable[str]) -> str | None:
    chosen = os.environ.get(variable)
    # A login's own MAIL has a slash: it is the file that its mails come into.
    if not chosen or "/" in chosen:
        return None
    if chosen not in known:
        raise Failure(
            f"{variable}={chosen} cannot be used",
            f"{variable} is one of the words below (see the folders in components/).",
            f"One of these helps: {', '.join(f'{variable}={each}' for each in known)}",
            EX_CONFIG,
        )
    return chosen


def run_broker(machine: Machine, system: System) -> None:
    """Run the broker until Ctrl-C."""
    with (
        suppress(Interrupted),
        secured.secrets_of(system),
        provided(machine, system) as parts,
    ):
        system.file.write_text(yaml.safe_dump(system.document))
        if system.gateway:
            gateway.write(machine, system)
        terminal.plainly(
            f"\n  In another terminal type: . .venv/bin/activate && {system.by_hand}\n"
            "  Ctrl-C ends the broker."
        )
        while True:
            parts.keep()


def run_all(machine: Machine, system: System) -> None:
    """Run the system until Ctrl-C, or until `dapr run` ends."""
    with suppress(Interrupted), running(machine, system) as (cli, parts):
        keep(cli, system, parts, _environment(machine, system))


def keep(
    cli: subprocess.Popen[bytes],
    system: System,
    parts: Provided,
    environment: Mapping[str, str],
) -> None:
    """Keep a system running, and say when it is ready; raises Failure where `dapr run` has ended by itself."""
    is_welcome, yaml_files = False, Watch(system, environment)
    supervisors = descendants.parts(cli.pid, {})
    while cli.poll() is None:
        if not is_welcome and is_ready(system, parts.broker):
            terminal.plainly(welcome(system))
            is_welcome = True
            Health(system, parts.broker).start()
        yaml_files.look()
        supervisors, before = descendants.parts(cli.pid, supervisors), supervisors
        for part in before.keys() - supervisors.keys():
            terminal.failed_part(before[part], ALONE)
        parts.keep()
    raise Failure(
        "`dapr run` has ended by itself, and so all of it is stopped",
        f"Its exit status is {cli.returncode}; its last words stand above. (`dapr stop` ends it too.)",
        "Run it again.",
    )


@contextmanager
def running(
    machine: Machine, system: System, log: Path | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Provided]]:
    """Run broker, sidecars and services: all are ready in the body, and gone after it.

    What they write goes to `log`, or else to the terminal.
    """
    _refuse_taken_ports(system)
    with (
        _by_itself(system),
        secured.secrets_of(system),
        _checked(machine, system) as parts,
    ):
        terminal.busy("services", "the sidecars and the services start: some seconds")
        with _shown(system, log) as lines:
            cli = _start(machine, system, lines)
            try:
                _wait_until_ready(cli, system, parts)
                yield cli, parts
            finally:
                _ignore_interrupts()
                terminal.plainly("")  # the terminal itself has written ^C
                terminal.busy(
                    "stop",
                    "the services, the sidecars, then the broker finish what they are at",
                )
                _stop(cli, parts.pids())


@contextmanager
def _checked(machine: Machine, system: System) -> Iterator[Provided]:
    if system.gateway:
        gateway.write(machine, system)
    check(system, _environment(machine, system))
    with provided(machine, system) as parts:
        yield parts


def _shown(system: System, log: Path | None) -> AbstractContextManager[Stream]:
    apps = tuple(app["appID"] for app in system.document["apps"])
    info = _chosen("LOG", ("warning", "info")) == "info"
    return stream.shown(_pipe(system), apps, log, info=info)


def _by_itself(system: System) -> AbstractContextManager[int]:
    """Return what holds the system's lock; where another run comes up meanwhile, its ports are taken."""
    waiting = "another run of it starts or ends just now: waiting for that one"
    return locks.alone(
        system.lock,
        lambda: terminal.busy("system", waiting),
        lambda: _refuse_taken_ports(system),
    )


def _refuse_taken_ports(system: System) -> None:
    """Raise Failure where a port of a sidecar or a service is taken: mostly by another system."""
    for port in runfile.ports_of(system):
        if not runfile.is_free(port):
            offset = system.offset + 1000
            raise Failure(
                f"Port {port} is taken",
                f"{ports.holder(port)}, listens there: another `make run`?",
                f"End that one, or run a second system beside it: make run OFFSET={offset}",
            )


@contextmanager
def provided(machine: Machine, system: System) -> Iterator[Provided]:
    """Provide the broker at this system's address, and the servers beside it."""
    machine = replace(machine, environment=_environment(machine, system))
    with _broker(machine, system) as broker:
        terminal.done(broker.name, broker.how)
        with companions.running(machine, system) as others:
            ours = [broker.server] if broker.server else []
            system.state.mkdir(parents=True, exist_ok=True)
            for folder in (system.state, runfile.LOCAL):
                if folder.exists():  # of an earlier version, or of set-up
                    folder.chmod(0o777 & ~PRIVATE)
            yield Provided(broker, [*ours, *others])


def _broker(machine: Machine, system: System) -> AbstractContextManager[Broker]:
    if product := BROKERS.get(system.broker):
        return product.provide(machine, system.state / system.broker)
    how = f"components/{system.broker} is a folder of your own: no server is started for it"
    return nullcontext(Broker(system.broker, how))


def _pipe(system: System) -> Path:
    return (system.state / "log").absolute()


def _environment(machine: Machine, system: System) -> dict[str, str]:
    return {**system.addresses(), **machine.environment}


def _start(machine: Machine, system: System, lines: Stream) -> subprocess.Popen[bytes]:
    changed = not system.is_as_declared
    observed = runfile.observed(system)
    cli = subprocess.Popen(
        [machine.programs / "dapr", "run", "-f", "-" if changed else "dapr.yaml"],
        cwd=machine.root,
        env={**observed, **_environment(machine, system), PIPE: str(_pipe(system))},
        stdin=subprocess.PIPE if changed else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if cli.stdout:
        with cli.stdout as output:
            lines.read_cli(output.fileno())
    if cli.stdin:
        with cli.stdin as pipe:
            pipe.write(yaml.safe_dump(system.document).encode())
    return cli


def _wait_until_ready(
    cli: subprocess.Popen[bytes], system: System, parts: Provided
) -> None:
    deadline = time.monotonic() + READY_WITHIN
    supervisors, next_word = 0, time.monotonic() + SAYS_EVERY
    while lack := missing(system, parts.broker):
        supervisors, before = len(descendants.children(cli.pid)), supervisors
        if cli.poll() is not None or supervisors < before:
            raise Failure(
                "The system cannot run",
                "A part of it gave up; its output, and its supervisor's reason, stand above or in .dapr/logs.",
                "Correct that, then run it again.",
            )
        if time.monotonic() > deadline:
            terminal.warning(
                "services",
                f"not ready after {READY_WITHIN:.0f} s: {lack}\nIt runs on, and that it works is said here.",
            )
            return
        if time.monotonic() > next_word:
            terminal.busy("services", f"not ready yet: {lack}")
            next_word += SAYS_EVERY
        time.sleep(0.2)


def _stop(cli: subprocess.Popen[bytes], servers: set[int]) -> None:
    # `dapr run` would SIGKILL its parts, and while a sidecar has not come up it ignores signals: so the
    # supervisors are asked first, which end their parts in good order; the CLI has nothing left to do then.
    descendants.end(descendants.children(cli.pid), STOPS_WITHIN)
    cli.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        cli.wait(3)
    cli.kill()
    cli.wait()
    descendants.end(descendants.children(os.getpid()) - servers, STOPS_WITHIN)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # `make` passes on what reached its whole group: a second one would end the stopping.
    _ignore_interrupts()
    raise Interrupted


def _ignore_interrupts() -> None:
    # A second Ctrl-C would leave behind what the first one is stopping.
    for sign in SIGNS:
        signal.signal(sign, signal.SIG_IGN)


if __name__ == "__main__":
    main()
