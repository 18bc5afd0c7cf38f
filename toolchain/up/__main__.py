"""Run the whole system in containers: `python -m toolchain.up`, and `python -m toolchain.up down` ends it.

Where an engine of the user's runs, the images of their makers are used (deploy/compose/public.env); else an
engine of the project's own runs, with images of the distribution's packages. IMAGES=local or public insists.
"""

import os
import shutil
import sys

from toolchain import containers, runfile
from toolchain.machine import Machine, failure, terminal, this_machine
from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.up import images
from toolchain.up import stack as stacks
from toolchain.up.stack import Stack


def up(machine: Machine) -> None:
    """Build the images, start the system, and say where it is."""
    offset, broker = runfile.chosen_offset(), _broker()
    with stacks.alone(offset), containers.running(machine) as engine:
        stack = stacks.describe(machine, engine, offset, broker)
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
    kept, offset = os.environ.get("DATA") != "no", runfile.chosen_offset()
    variables = stacks.variables_of(offset)
    with stacks.alone(offset), containers.running(machine) as engine:
        # Of each broker that ran here: Compose leaves alone what no profile has.
        profiles = {"COMPOSE_PROFILES": ",".join(images.BROKERS)}
        stack = Stack(machine, engine, offset, {**variables, **profiles})
        volumes = [] if kept else ["--volumes"]
        stack.compose("down", "--remove-orphans", *volumes)
    if not kept:
        shutil.rmtree(stack.folder)
    data = "its data are kept for the next make up" if kept else "its data are removed"
    terminal.done("ended", f"{stack.name}; {data}")


def _broker() -> str:
    broker = os.environ.get("BROKER") or "rabbitmq"
    if broker in images.BROKERS:
        return broker
    why = f"There is no such broker in containers: {broker}."
    remedy = f"Choose one of {', '.join(images.BROKERS)}."
    raise Failure("make up cannot start", why, remedy, EX_CONFIG)


if __name__ == "__main__":
    verb = down if sys.argv[1:] == ["down"] else up
    sys.exit(failure.exit_status(lambda: verb(this_machine())))
