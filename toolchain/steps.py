"""The steps of set-up, in order: Python, Dapr, RabbitMQ; the tests need the other servers too."""

import os
from pathlib import Path

from toolchain.cluster.programs import FOR_MANIFESTS
from toolchain.dapr import build, programs
from toolchain.machine import (
    Machine,
    chromium,
    faketime,
    terminal,
    virtual_environment,
)
from toolchain.servers import (
    gateway,
    kafka,
    pgbouncer,
    postgresql,
    prometheus,
    rabbitmq,
    redis,
)
from toolchain.supervise.locks import alone
from toolchain.up import images


def set_up(machine: Machine, *, for_tests: bool = False) -> None:
    """Make the machine ready to run the project: use what is there, install or build what is missing."""
    waiting = "another set-up is at work here: waiting for that one"
    with alone(lock_of(machine), lambda: terminal.busy("set-up", waiting)):
        _take_the_steps(machine)
        if for_tests:
            for each in (programs.SENTRY, *FOR_MANIFESTS):
                build.provide(machine, each)
            redis.PRODUCT.prepare(machine)
            kafka.PRODUCT.prepare(machine)
            postgresql.prepare(machine)
            pgbouncer.prepare(machine)
            faketime.prepare(machine)
            chromium.prepare(machine)
            prometheus.prepare(machine)
            gateway.prepare(machine)
            images.prepare(machine)
    terminal.done("Ready", "type: make run")


def lock_of(machine: Machine) -> Path:
    """Return the lock of set-up: beside the environment, which several worktrees may share by a link."""
    return machine.virtual_environment.resolve().parent / ".local" / "setup.lock"


def was_set_up(machine: Machine) -> bool:
    """Return whether set-up has come to its end here before, and so has printed its warnings."""
    return all(
        (machine.programs / each.name).exists()
        for each in (programs.CLI, programs.SIDECAR)
    )


def provide_program(machine: Machine, program: programs.Program) -> Path:
    """Find or build one of Dapr's programs and link it into `.venv/bin`."""
    present = programs.choose(machine, program)
    path = present or build.provide(machine, program)
    version = programs.version_of(path) or build.pinned_version(machine, program)
    link(machine.programs / program.name, path)
    terminal.done(
        program.name,
        f"{version}, {'found at' if present else 'our own build,'} {path}",
    )
    programs.warn_of_known_flaws(program, version)
    return path


def link(name: Path, target: Path) -> None:
    """Make a name point at a program; there is no moment at which the name is missing."""
    if name.is_symlink() and name.readlink() == target:
        return
    half = name.with_name(f".{name.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    half.symlink_to(target)
    half.replace(name)


def _take_the_steps(machine: Machine) -> None:
    virtual_environment.prepare(machine)
    for program in (programs.CLI, programs.SIDECAR):
        provide_program(machine, program)
    rabbitmq.PRODUCT.prepare(machine)
    if machine.environment.get("SECURE") == "yes":
        build.provide(machine, programs.SENTRY)
    if machine.environment.get("DATABASE") == "postgresql":
        postgresql.prepare(machine)
