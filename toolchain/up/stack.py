"""One system in containers: its variables and passwords, Compose, and when it is ready."""

import secrets
import subprocess
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from toolchain.containers import Engine
from toolchain.machine import Machine, apt, find, network, terminal
from toolchain.machine.failure import Failure
from toolchain.runfile import PORTS, ROOT, state_of
from toolchain.servers import gateway, zipkin
from toolchain.supervise import locks
from toolchain.up import images

FILE = ROOT / "deploy" / "compose" / "compose.yaml"
STARTS_WITHIN = 300.0


@dataclass(frozen=True)
class Stack:
    """One system in containers: its engine, its offset, and the variables of its compose.yaml."""

    machine: Machine
    engine: Engine
    offset: int
    variables: Mapping[str, str]
    file: Path = FILE

    @property
    def name(self) -> str:
        """What its containers, volumes and network are named by."""
        return f"orders-{self.offset}"

    @property
    def folder(self) -> Path:
        """Where its variables are kept."""
        return folder_of(self.offset)

    @property
    def port(self) -> int:
        """Where its gateway answers, on this machine alone."""
        return int(self.variables["GATEWAY_PORT"])

    def page(self, server: str) -> str:
        """Return the address of what shows traces (zipkin) or measures (prometheus)."""
        return f"http://localhost:{self.variables[f'{server.upper()}_PORT']}/"

    def compose(self, *arguments: str) -> str:
        """Run Compose for it and return what it prints; raises Failure with the last it said."""
        command = [
            *compose_command(self.machine, self.engine), "--project-name", self.name,
            "--env-file", str(self.folder / "env"), "--project-directory", str(FILE.parent),
            "--file", str(self.file), *arguments,
        ]  # fmt: skip
        done = subprocess.run(
            command,
            env={**self.engine.environment, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join(done.stderr.strip().splitlines()[-12:])
            raise Failure(
                f"docker compose {arguments[0]} failed",
                said,
                "Correct it, then run it again.",
            )
        return done.stdout

    def container(self, service: str) -> str:
        """Return the id of a part's container; Compose itself would take seconds to find it."""
        labels = {"project": self.name, "service": service}
        wanted = [
            f"--filter=label=com.docker.compose.{name}={value}"
            for name, value in labels.items()
        ]
        return self.engine.docker("ps", "--all", "--quiet", *wanted).strip()


def compose_command(machine: Machine, engine: Engine) -> tuple[str, ...]:
    """Return what runs Compose here: Docker's plugin, or Debian's package."""
    plugin = [engine.client, "compose", "version"]
    has = subprocess.run(
        plugin, env=dict(engine.environment), capture_output=True, check=False
    )
    if has.returncode == 0:
        return (engine.client, "compose")
    if not find(machine, "docker-compose"):
        instead = "install Docker's Compose plugin"
        apt.provide(machine, "docker-compose", "Docker Compose", instead)
    return (str(find(machine, "docker-compose")),)


def describe(machine: Machine, engine: Engine, offset: int, broker: str) -> Stack:
    """Return the system at this offset, its images built and its passwords kept since its first start."""
    local = images.are_local(machine, engine)
    variables = {
        **images.provide(machine, engine, local=local, broker=broker),
        **_passwords(folder_of(offset)),
        "BROKER": broker,
        "COMPOSE_PROFILES": broker,
        "GATEWAY_PORT": str(PORTS["gateway"] + offset),
        "PROMETHEUS_PORT": str(PORTS["prometheus"] + offset),
        "ZIPKIN_PORT": str(PORTS["zipkin"] + offset),
        "ZIPKIN_SPANS": str(zipkin.MOST_SPANS),
        "PUBLIC_URL": f"https://localhost:{PORTS['gateway'] + offset}/",
    }
    stack = Stack(machine, engine, offset, variables)
    _write(stack.folder / "env", variables)
    return stack


def variables_of(offset: int) -> dict[str, str]:
    """Return the variables of the system that was started at this offset; raises Failure where none was."""
    file = folder_of(offset) / "env"
    if not file.exists():
        why = f"No `make up` has started a system here{f' at OFFSET={offset}' if offset else ''}."
        raise Failure("There is nothing to end", why, "make up starts one.")
    return _read(file)


def alone(offset: int) -> AbstractContextManager[int]:
    """Return what keeps a second `make up` or `make down` of this system waiting until the first has ended."""
    waiting = "another make up or make down is at work here: waiting for it"
    lock = state_of(offset) / "compose.lock"
    return locks.alone(lock, lambda: terminal.busy("system", waiting))


def wait(stack: Stack) -> None:
    """Wait until both services and the viewer answer; raises Failure with the parts that are not well."""
    deadline = time.monotonic() + STARTS_WITHIN
    while not (gateway.serves(stack.port) and _answers(stack) and _shows(stack)):
        if time.monotonic() > deadline:
            raise Failure(
                "The system in containers is not ready",
                stack.compose("ps"),
                f"docker logs of a part says why ({stack.name}).",
            )
        time.sleep(1)


def join_again(stack: Stack) -> None:
    """Start again what still has the network of a pod that has died: Compose sees it run, and leaves it alone."""
    for pod in (*images.SERVICES, "gateway"):
        began = _began(stack, f"{pod}-pod")
        for part in (pod, f"{pod}-dapr"):
            if _began(stack, part) < began:
                # Nobody reaches it, so there is nothing that it could end in good order.
                stack.engine.docker("restart", "--time=1", stack.container(part))


def folder_of(offset: int) -> Path:
    """Return where the variables of the system at this offset are kept."""
    return state_of(offset) / "compose"


def _began(stack: Stack, part: str) -> str:
    """Return when a container was started, to the second: it sorts as text."""
    format_ = "--format={{.State.StartedAt}}"
    found = stack.engine.docker("inspect", format_, stack.container(part))
    return found[: len("2026-11-29T09:00:00")]


def _answers(stack: Stack) -> bool:
    return all(
        (
            network.ask(
                ("127.0.0.1", stack.port),
                _question(path),
                size=12,
                encrypted=gateway.any_certificate(),
            )
            or b""
        ).endswith(b" 200")
        for path in ("/api/order", "/api/notification")
    )


def _question(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )


def _shows(stack: Stack) -> bool:
    return zipkin.is_up(int(stack.variables["ZIPKIN_PORT"]))


def _passwords(folder: Path) -> dict[str, str]:
    """Return the passwords of the database and the broker; both keep those of their first start."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "passwords"
    if not file.exists():
        names = ("DATABASE_PASSWORD", "BROKER_PASSWORD")
        _write(file, {each: secrets.token_hex(16) for each in names})
    return _read(file)


def _read(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def _write(file: Path, variables: Mapping[str, str]) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
