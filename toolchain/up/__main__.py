"""Run the whole system in containers: `python -m toolchain.up`, and `python -m toolchain.up down` ends it.

Where an engine of the user's runs, the images of their makers are used (deploy/compose/public.env); else an
engine of the project's own runs, with images of the distribution's packages. IMAGES=local or public insists.
"""

import os
import shutil
import sys

from toolchain import containers
from toolchain.machine import Machine, failure, terminal, this_machine
from toolchain.up import images
from toolchain.up import stack as stacks
from toolchain.up.stack import Stack


def up(machine: Machine) -> None:
    """Build the images, start the system, and say where it is."""
    broker = os.environ.get("BROKER") or "rabbitmq"
    with containers.running(machine) as engine:
        stack = stacks.describe(machine, engine, _offset(), broker)
        terminal.busy("system", f"{stack.name} starts, with {broker}: about a minute")
        others = [each for each in images.BROKERS if each != broker]
        stack.compose("rm", "--stop", "--force", *others)
        stack.compose("up", "--detach", "--remove-orphans")
        stacks.join_again(stack)
        stacks.wait(stack)
    terminal.plainly(welcome(stack))


def welcome(stack: Stack) -> str:
    """Return where to look, how to look inside, and how it ends."""
    offset = f" OFFSET={stack.offset}" if stack.offset else ""
    host = stack.engine.environment.get("DOCKER_HOST")
    client = f"DOCKER_HOST={host} docker" if host else "docker"
    return (
        f"\n  Order desk  https://localhost:{stack.port}/   (a browser warns: its certificate is its own)\n"
        f"  Traces      {stack.page('zipkin')}zipkin/\n"
        f"  Metrics     {stack.page('prometheus')}\n\n"
        f"  Containers  {client} ps\n\n"
        f"  make down{offset} ends it and keeps its data; make down{offset} DATA=no removes them too.\n"
    )


def down(machine: Machine) -> None:
    """End the system; its data stay unless DATA=no, and an engine of ours ends with its last containers."""
    kept = os.environ.get("DATA") != "no"
    with containers.running(machine) as engine:
        stack = stacks.started_before(machine, engine, _offset())
        volumes = [] if kept else ["--volumes"]
        stack.compose("down", "--remove-orphans", *volumes)
    if not kept:
        shutil.rmtree(stack.folder)
    data = "its data are kept for the next make up" if kept else "its data are removed"
    terminal.done("ended", f"{stack.name}; {data}")


def _offset() -> int:
    return int(os.environ.get("OFFSET") or 0)


if __name__ == "__main__":
    verb = down if sys.argv[1:] == ["down"] else up
    sys.exit(failure.exit_status(lambda: verb(this_machine())))
