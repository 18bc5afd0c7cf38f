"""RabbitMQ in a container, where a Docker engine answers."""

import subprocess

from toolchain.machine import Machine, find, processes, say
from toolchain.machine.failure import Failure

IMAGE = "rabbitmq:4-management"
NAME = "orders-on-dapr-rabbitmq"


def available(machine: Machine) -> bool:
    """Whether an engine answers; a docker command alone says nothing."""
    return (
        find(machine, "docker") is not None
        and _docker(machine, "info", "--format", "{{.ServerVersion}}") == 0
    )


def fetch(machine: Machine) -> None:
    """Fetch the image beforehand, so that starting takes seconds."""
    if _docker(machine, "image", "inspect", IMAGE) == 0:
        return
    say.busy("RabbitMQ", f"the image {IMAGE} is fetched: once, about 1 min")
    log = machine.cache / "logs" / "docker-pull.log"
    task = processes.Task(
        ("docker", "pull", IMAGE), machine.root, machine.environment, log
    )
    if processes.carry_out(
        task, lambda elapsed: say.busy("RabbitMQ", processes.duration(elapsed))
    ):
        raise _failure(f"The image {IMAGE} could not be fetched", processes.tail(log))


def start(machine: Machine, amqp_port: int, management_port: int) -> None:
    """Start the container; what an earlier run that was killed left of it is removed, its data is kept."""
    _docker(machine, "rm", "--force", NAME)
    ports = (f"127.0.0.1:{amqp_port}:5672", f"127.0.0.1:{management_port}:15672")
    # The data belongs to a node named after its host: without a fixed name each start begins anew.
    options = (
        "--name",
        NAME,
        "--hostname",
        NAME,
        "--volume",
        f"{NAME}:/var/lib/rabbitmq",
    )
    published = [word for port in ports for word in ("--publish", port)]
    answer = _run(machine, "run", "--rm", "--detach", *options, *published, IMAGE)
    if answer.returncode:
        raise _failure(
            "RabbitMQ's container could not be started", answer.stderr.strip()
        )


def stop(machine: Machine) -> None:
    """Stop the container in good order; its data stays in the volume."""
    _docker(machine, "stop", "--time", "30", NAME)


def logs(machine: Machine) -> str:
    """The container's last words, for a message."""
    answer = _run(machine, "logs", "--tail", "12", NAME)
    return (answer.stdout + answer.stderr).strip()


def _docker(machine: Machine, *arguments: str) -> int:
    return _run(machine, *arguments).returncode


def _run(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(find(machine, "docker") or "docker"), *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        check=False,
        text=True,
        env=dict(machine.environment),
    )


def _failure(what: str, why: str) -> Failure:
    return Failure(what, why, "Try it by hand with: docker run --rm " + IMAGE)
