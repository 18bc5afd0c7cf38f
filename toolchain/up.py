"""Run the whole system in containers: `python -m toolchain.up`, and `python -m toolchain.up down` ends it.

Where an engine of the user's runs, the images of their makers are used (deploy/compose/public.env); else an
engine of the project's own runs, with images of the distribution's packages. IMAGES=local or public insists.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain import containers
from toolchain.containers import Engine, Image
from toolchain.dapr import build, programs
from toolchain.machine import (
    Machine,
    apt,
    failure,
    find,
    network,
    terminal,
    this_machine,
)
from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.runfile import ROOT, state_of
from toolchain.servers import gateway

COMPOSE, PARTS = ROOT / "deploy" / "compose", ROOT / "deploy" / "images" / "parts"
SERVICES = ("order", "notification")
BROKERS = {"rabbitmq": "rabbitmq-server", "redis": "redis-server"}
PACKAGES = {
    "POSTGRESQL": "postgresql",
    "GATEWAY": "nginx openssl",
    "MAIL": "python3-aiosmtpd",
    "PROMETHEUS": "prometheus",
}
STARTS_WITHIN = 300.0
GATEWAY_PORT, PROMETHEUS_PORT = 8443, 9090


@dataclass(frozen=True)
class Stack:
    """One system in containers: its engine, its offset, and the variables of its compose.yaml."""

    machine: Machine
    engine: Engine
    offset: int
    variables: Mapping[str, str]
    file: Path = COMPOSE / "compose.yaml"

    @property
    def name(self) -> str:
        """What its containers, volumes and network are named by."""
        return f"orders-{self.offset}"

    @property
    def folder(self) -> Path:
        """Where its variables are kept."""
        return state_of(self.offset) / "compose"

    @property
    def port(self) -> int:
        """Where its gateway answers, on this machine alone."""
        return GATEWAY_PORT + self.offset

    def compose(self, *arguments: str) -> str:
        """Run Compose for it and return what it prints; raises Failure with the last it said."""
        command = [
            *compose_command(self.machine, self.engine), "--project-name", self.name,
            "--env-file", str(self.folder / "env"), "--project-directory", str(COMPOSE),
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
        """Return the id of a part's container."""
        return self.compose("ps", "--quiet", service).strip()


def compose_command(machine: Machine, engine: Engine) -> tuple[str, ...]:
    """Return what runs Compose here: Docker's plugin, or Debian's package."""
    plugin = [engine.client, "compose", "version"]
    has = subprocess.run(
        plugin, env=dict(engine.environment), capture_output=True, check=False
    )
    if has.returncode == 0:
        return (engine.client, "compose")
    if not find(machine, "docker-compose"):
        apt.provide(
            machine,
            "docker-compose",
            "Docker Compose",
            "install Docker's Compose plugin",
        )
    return (str(find(machine, "docker-compose")),)


def images(
    machine: Machine, engine: Engine, *, local: bool, broker: str
) -> dict[str, str]:
    """Build what must be built; return the variables that name all images."""
    named = _public()
    base = containers.provide_base(machine, engine) if local else named["BASE"]
    for service in SERVICES:
        named[f"{service.upper()}_IMAGE"] = containers.build(
            machine, engine, image_of(service, base)
        )
    if local:
        named["DAPRD_IMAGE"] = _daprd(machine, engine, base)
        for part, packages in {**PACKAGES, broker.upper(): BROKERS[broker]}.items():
            made = Image(
                f"orders-on-dapr/{part.lower()}:local",
                PARTS / "Dockerfile",
                PARTS,
                {"BASE": base, "PACKAGES": packages},
            )
            named[f"{part}_IMAGE"] = containers.build(machine, engine, made)
    return named


def image_of(service: str, base: str) -> Image:
    """Return the image of a service, with the commit that it is built from."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    arguments = {"BASE": base, "SERVICE": service, "COMMIT": commit or "unknown"}
    return Image(
        f"orders-on-dapr/{service}:local",
        ROOT / "deploy/images/Dockerfile",
        ROOT,
        arguments,
    )


def prepare(machine: Machine) -> None:
    """Make the images that the tests run on, where an engine can run here."""
    if os.geteuid() != 0:
        terminal.warning(
            "containers", "an engine needs root; the system in containers is not tested"
        )
        return
    with containers.running(machine) as engine:
        images(machine, engine, local=True, broker="rabbitmq")
    terminal.done("containers", "images for tests of make up")


def describe(machine: Machine, engine: Engine, offset: int, broker: str) -> Stack:
    """Return the system at this offset, its images built and its passwords kept since its first start."""
    if broker not in BROKERS:
        why = f"There is no such broker in containers: {broker}."
        raise Failure(
            "make up cannot start",
            why,
            f"Choose one of {', '.join(BROKERS)}.",
            EX_CONFIG,
        )
    chosen = machine.environment.get("IMAGES") or (
        "local" if engine.is_ours else "public"
    )
    port = GATEWAY_PORT + offset
    variables = {
        **images(machine, engine, local=chosen == "local", broker=broker),
        **_passwords(state_of(offset) / "compose"),
        "BROKER": broker,
        "COMPOSE_PROFILES": broker,
        "GATEWAY_PORT": str(port),
        "PROMETHEUS_PORT": str(PROMETHEUS_PORT + offset),
        "PUBLIC_URL": f"https://localhost:{port}/",
    }
    stack = Stack(machine, engine, offset, variables)
    _write(stack.folder / "env", variables)
    return stack


def wait(stack: Stack) -> None:
    """Wait until both services answer through the gateway; raises Failure with the parts that are not well."""
    deadline = time.monotonic() + STARTS_WITHIN
    while not (gateway.serves(stack.port) and _answers(stack)):
        if time.monotonic() > deadline:
            state = stack.compose("ps")
            raise Failure(
                "The system in containers is not ready",
                state,
                f"docker logs of a part says why ({stack.name}).",
            )
        time.sleep(1)


def up(machine: Machine) -> None:
    """Build the images, start the system, and say where it is."""
    with containers.running(machine) as engine:
        stack = describe(
            machine,
            engine,
            int(os.environ.get("OFFSET") or 0),
            os.environ.get("BROKER") or "rabbitmq",
        )
        stack.compose("up", "--detach", "--remove-orphans")
        join_again(stack)
        wait(stack)
    terminal.done(
        "order desk", f"https://localhost:{stack.port}/ (its certificate is its own)"
    )
    terminal.done("measures", f"http://localhost:{stack.variables['PROMETHEUS_PORT']}/")
    terminal.done(
        "engine",
        f"DOCKER_HOST={engine.environment.get('DOCKER_HOST', '(as docker has it)')}",
    )
    terminal.plainly(
        "  Orders, mails and queues are kept; make down ends the system, make down DATA=no removes them too"
    )


def down(machine: Machine) -> None:
    """End the system; its data stay unless DATA=no, and an engine of ours ends with its last containers."""
    offset = int(os.environ.get("OFFSET") or 0)
    file = state_of(offset) / "compose" / "env"
    if not file.exists():
        raise Failure(
            "There is nothing to end",
            f"{file} is not there.",
            "make up starts the system.",
        )
    variables = dict(line.split("=", 1) for line in file.read_text().splitlines())
    volumes = ["--volumes"] if os.environ.get("DATA") == "no" else []
    with containers.running(machine) as engine:
        stack = Stack(machine, engine, offset, variables)
        stack.compose("down", "--remove-orphans", *volumes)
    terminal.done("ended", stack.name)


def join_again(stack: Stack) -> None:
    """Start again what still has the network of a pod that has died: Compose sees it run, and leaves it alone."""
    for pod in (*SERVICES, "gateway"):
        began = _began(stack, f"{pod}-pod")
        for part in (pod, f"{pod}-dapr"):
            if _began(stack, part) < began:
                stack.engine.docker("restart", stack.container(part))


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


def _public() -> dict[str, str]:
    lines = (COMPOSE / "public.env").read_text().splitlines()
    return dict(
        line.split("=", 1) for line in lines if line and not line.startswith("#")
    )


def _daprd(machine: Machine, engine: Engine, base: str) -> str:
    program = programs.choose(machine, programs.SIDECAR) or build.provide(
        machine, programs.SIDECAR
    )
    image = Image(
        "orders-on-dapr/daprd:local",
        ROOT / "deploy/images/daprd/Dockerfile",
        program.parent,
        {"BASE": base},
    )
    return containers.build(machine, engine, image)


def _passwords(folder: Path) -> dict[str, str]:
    """Return the passwords of the database and the broker; both keep those of their first start."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "passwords"
    if not file.exists():
        _write(
            file,
            {
                each: secrets.token_hex(16)
                for each in ("DATABASE_PASSWORD", "BROKER_PASSWORD")
            },
        )
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def _write(file: Path, variables: Mapping[str, str]) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


if __name__ == "__main__":
    verb = down if sys.argv[1:] == ["down"] else up
    sys.exit(failure.exit_status(lambda: verb(this_machine())))
