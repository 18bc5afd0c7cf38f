"""The Docker engine: the one that answers here, or else Debian's package, run with a folder of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.machine import Machine, apt, find, terminal
from toolchain.machine.failure import Failure
from toolchain.machine.processes import tail
from toolchain.supervise.locks import alone, shared, try_lock

PACKAGE, ENGINE = "docker.io", "dockerd"
STARTS_WITHIN, STOPS_WITHIN = 60.0, 60.0
ANSWERS_WITHIN = 20
DEBIANS_CLIENT = "usr/bin/docker"


@dataclass(frozen=True)
class Engine:
    """An engine that answers, and the client and environment that reach it."""

    client: str
    environment: Mapping[str, str] = field(repr=False)
    is_ours: bool

    def docker(self, *arguments: str) -> str:
        """Run the client and return what it prints; raises Failure with the last it said."""
        done = subprocess.run(
            [self.client, *arguments],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join(done.stderr.strip().splitlines()[-12:])
            command = " ".join(arguments[:2])
            remedy = "Look at what it says, and run it again."
            raise Failure(f"docker {command} failed", said or "(no output)", remedy)
        return done.stdout

    def knows(self, image: str) -> bool:
        """Return whether the engine has this image."""
        return bool(self.docker("images", "--quiet", image).strip())


@contextmanager
def running(machine: Machine) -> Iterator[Engine]:
    """Yield an engine, started where none answers; raises Failure where there can be none.

    One of our own ends with its last user, unless containers still run in it.
    """
    with shared(_folder(machine) / "used") as use:
        engine = _start(machine)
        try:
            yield engine
        finally:
            if engine.is_ours and try_lock(use):
                _end(machine, engine)


def _start(machine: Machine) -> Engine:
    if theirs := _answering(machine, machine.environment):
        return theirs
    own = {**machine.environment, "DOCKER_HOST": f"unix://{_socket(machine)}"}
    with alone(_folder(machine) / "lock", lambda: None):
        if ours := _answering(machine, own):
            return ours
        _install(machine)
        _launch(machine)
        return _wait_for(machine, own)


def _end(machine: Machine, engine: Engine) -> None:
    """End our own engine where no container runs; whoever wants it next waits for the lock until it has ended."""
    with suppress(Failure):  # it may have been ended by hand
        if not engine.docker("ps", "--quiet").strip():
            _stop(machine)


def _stop(machine: Machine) -> None:
    with suppress(OSError, ValueError):
        pid = int((_folder(machine) / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOPS_WITHIN
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.1)


def _folder(machine: Machine) -> Path:
    folder = machine.cache / "containers"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _socket(machine: Machine) -> Path:
    return _folder(machine) / "docker.sock"


def _answering(machine: Machine, environment: Mapping[str, str]) -> Engine | None:
    is_ours = str(_socket(machine)) in environment.get("DOCKER_HOST", "")
    for client in _clients(machine, is_ours=is_ours):
        question = [client, "info", "--format", "{{.ServerVersion}}"]
        with suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(
                question,
                env=dict(environment),
                capture_output=True,
                check=True,
                timeout=ANSWERS_WITHIN,
            )
            if asked.stdout.strip():
                return Engine(client, environment, is_ours)
    return None


def _clients(machine: Machine, *, is_ours: bool) -> Iterator[str]:
    """Yield the clients that are there; to our own engine, Debian's speaks the same version."""
    debians = machine.system / DEBIANS_CLIENT
    if is_ours and debians.exists():
        yield str(debians)
    elif found := find(machine, "docker"):
        yield str(found)


def _install(machine: Machine) -> None:
    if os.geteuid() != 0:
        raise Failure(
            "No Docker engine answers here",
            "An engine of this project's own would need to be root.",
            "Start Docker (docker info shows whether it runs), then run it again.",
        )
    if not find(machine, ENGINE):
        apt.provide(machine, PACKAGE, "Docker engine", "start an engine of your own")


def _launch(machine: Machine) -> None:
    folder = _folder(machine)
    command = (
        str(find(machine, ENGINE)),
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'pid'}",
        f"--host=unix://{_socket(machine)}",
        # Each system has a network of its own; the default one would be the whole machine's.
        "--bridge=none",
    )
    with (folder / "engine.log").open("wb") as log:
        # Nobody's child: it outlives `make up`, and leaves no zombie where it is ended.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            env=dict(machine.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=True,
        )


def _wait_for(machine: Machine, environment: Mapping[str, str]) -> Engine:
    terminal.busy("docker", "no engine answers here: one of the project's own starts")
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        if engine := _answering(machine, environment):
            return engine
        time.sleep(0.2)
    raise Failure(
        "The Docker engine did not start",
        tail(_folder(machine) / "engine.log"),
        "Where this is a container itself, it lacks the rights: start an engine outside, and set DOCKER_HOST.",
    )


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except OSError:
        return False
    return not state.startswith("Z")
