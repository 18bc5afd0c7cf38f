"""A server of the project's own (a broker, a database): child processes, with their data in a folder."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from toolchain.machine import processes, terminal
from toolchain.machine.failure import Failure
from toolchain.supervise.locks import try_lock

STARTS_WITHIN = 60.0
STOPS_WITHIN = 30.0
ASKS_EVERY = 20.0
"""Seconds between two questions whether a server still serves: some write each into their log."""
STARTS_EVERY = 10.0
"""Seconds between two starts of a server that ended by itself."""


@dataclass(frozen=True)
class Server:
    """How a server is started, and when it serves.

    The last of `commands` is the server itself; those before it are helpers that it needs, started first.
    `prepare` runs before each start and writes what the server reads. `ask` is the signal that ends it in
    good order.
    """

    name: str
    folder: Path
    commands: tuple[tuple[str, ...], ...]
    environment: Mapping[str, str]
    serves: Callable[[], bool]
    prepare: Callable[[], None]
    ask: signal.Signals = signal.SIGTERM

    @property
    def log(self) -> Path:
        """Its output since its start."""
        return self.folder / "server.log"


def bare_environment(folder: Path) -> dict[str, str]:
    """Return what a server sees of the environment: the PATH, and a home of its own."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(folder)}


@dataclass
class RunningServer:
    """A server with its processes; the last is the server itself, and its process id the one to kill."""

    server: Server
    children: list[subprocess.Popen[bytes]]
    asked: float = 0.0
    is_silent: bool = False
    next_start: float = 0.0
    said: str = ""

    @property
    def itself(self) -> subprocess.Popen[bytes]:
        """The process of the server, without its helpers."""
        return self.children[-1]

    def pids(self) -> set[int]:
        """Return the ids of all its processes."""
        return {child.pid for child in self.children}


@contextmanager
def running(server: Server) -> Iterator[RunningServer]:
    """Start the server, and stop it whatever happens meanwhile."""
    started = start(server)
    try:
        yield started
    finally:
        stop(started)


def start(server: Server, patience: float = STOPS_WITHIN) -> RunningServer:
    """Start the server and return when it serves, with the data of an earlier start."""
    server.folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(server.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for_predecessor(server, lock, patience)
        server.prepare()
        started = _start_processes(server, lock)
    finally:
        # The server holds it from here on: the kernel frees it when it is really gone, and not before.
        os.close(lock)
    try:
        _wait_until_it_serves(started)
    except BaseException:
        stop(started)
        raise
    return started


def stop(started: RunningServer) -> None:
    """Stop the server in good order, or by force if that takes too long; nothing of it is left."""
    asked = [started.server.ask, *[signal.SIGTERM] * (len(started.children) - 1)]
    for child, ask in zip(reversed(started.children), asked, strict=True):
        # Only the process itself is asked: others in its group would take it with them, unsaved.
        child.send_signal(ask)
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOPS_WITHIN)
        processes.end(child, signal.SIGKILL)


def kill(started: RunningServer) -> None:
    """End the server as a power cut would; `start` brings it back with the same data."""
    for child in reversed(started.children):
        processes.end(child, signal.SIGKILL)


def keep(started: RunningServer) -> None:
    """Start a server again, with its data, if it has ended by itself; report what hangs, or does not start."""
    if started.itself.poll() is None:
        _watch(started)
    elif time.monotonic() >= started.next_start:
        started.next_start = time.monotonic() + STARTS_EVERY
        _start_again(started)


def _start_again(started: RunningServer) -> None:
    server = started.server
    if not started.said:
        terminal.warning(server.name, "it ended; it is started again with its data")
    kill(started)
    try:
        started.children = start(server).children
    except Failure as failure:
        # Its last line names what is in the way, as a port that another program has taken meanwhile.
        why = failure.why.splitlines()[-1]
        if why != started.said:
            text = f"it does not start: {why}; it is tried again every {STARTS_EVERY:.0f} s"
            terminal.warning(server.name, text)
        started.said = why
        return
    started.said = ""
    terminal.done(server.name, "it serves again")


def _watch(started: RunningServer) -> None:
    """Report, asking now and then, a server that runs and does not serve, and that it serves again."""
    if time.monotonic() < started.asked + ASKS_EVERY:
        return
    started.asked, was_silent = time.monotonic(), started.is_silent
    started.is_silent = not started.server.serves()
    if started.is_silent > was_silent:
        why = processes.why_silent(started.itself.pid)
        terminal.warning(started.server.name, f"it {why}")
    elif was_silent > started.is_silent:
        terminal.done(started.server.name, "it serves again")


def _wait_for_predecessor(server: Server, lock: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not try_lock(lock):
        if time.monotonic() > deadline:
            raise Failure(
                f"The project's own {server.name} could not be started",
                f"Another one works with the data in {server.folder}.",
                "End the program that started it (another `make run`?), then run it again.",
            )
        time.sleep(0.1)


def _start_processes(server: Server, lock: int) -> RunningServer:
    started = RunningServer(server, [])
    with server.log.open("wb") as log:
        try:
            for command in server.commands:
                task = processes.Task(
                    command, server.folder, server.environment, server.log
                )
                kept = (lock,) if command is server.commands[-1] else ()
                started.children.append(processes.start(task, log.fileno(), kept))
        except BaseException:
            kill(started)
            raise
    return started


def _wait_until_it_serves(started: RunningServer) -> None:
    server, deadline = started.server, time.monotonic() + STARTS_WITHIN
    while not server.serves():
        if started.itself.poll() is not None:
            raise _did_not_start(server, "It ended at once")
        if time.monotonic() > deadline:
            raise _did_not_start(
                server, f"It did not answer within {STARTS_WITHIN:.0f} s"
            )
        time.sleep(0.1)


def _did_not_start(server: Server, why: str) -> Failure:
    return Failure(
        f"The project's own {server.name} could not be started",
        f"{why}; its last output:\n{processes.tail(server.log)}",
        f"Its logs: {server.folder}.\n"
        f"If its data is damaged and you can do without: rm -r {server.folder}",
    )
