"""The project's own RabbitMQ node: child processes of the caller, with their own data, ports and settings."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from toolchain import amqp, processes
from toolchain.failure import Failure
from toolchain.locks import try_lock

LIBRARY = "usr/lib/rabbitmq/bin/rabbitmq-server"
ERLANG_ARGUMENTS = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
STARTS_WITHIN = 60.0
STOPS_WITHIN = 30.0


@dataclass(frozen=True)
class Node:
    """A node that can be started: its name, its ports, and the folder of its data, settings and log."""

    folder: Path
    amqp_port: int
    management_port: int
    dist_port: int
    epmd_port: int
    name: str = "orders"

    @property
    def url(self) -> str:
        """The address for AMQP clients."""
        return f"amqp://guest:guest@127.0.0.1:{self.amqp_port}"

    @property
    def page(self) -> str:
        """The address of the management page (guest/guest)."""
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def log(self) -> Path:
        """What the node says, from its start on."""
        return self.folder / "node.log"


@dataclass(frozen=True)
class RunningNode:
    """A node with its two processes; beam itself is the child, so its process id is the one to kill."""

    node: Node
    names: subprocess.Popen[bytes]
    beam: subprocess.Popen[bytes]


def node_in(folder: Path, amqp_port: int = 0, management_port: int = 0) -> Node:
    """A node with its data in that folder; a port not named, or a page's that is taken, is a free one."""
    free_amqp, management, dist, epmd = _free_ports(0, management_port, 0, 0)
    return Node(folder.absolute(), amqp_port or free_amqp, management, dist, epmd)


@contextmanager
def running(node: Node) -> Iterator[RunningNode]:
    """Start the node, and stop it whatever happens meanwhile."""
    started = start(node)
    try:
        yield started
    finally:
        stop(started)


def start(node: Node, patience: float = STOPS_WITHIN) -> RunningNode:
    """Start the node and return when it serves AMQP, with the data of an earlier start."""
    node.folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(node.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for_predecessor(node, lock, patience)
        _write_settings(node)
        started = _start_processes(node, lock)
    finally:
        # The node holds it from here on: the kernel frees it when the node is really gone, and not before.
        os.close(lock)
    return _once_it_serves(started)


def stop(started: RunningNode) -> None:
    """End the node in good order, or by force if that takes too long; nothing of it is left."""
    for child, patience in ((started.beam, STOPS_WITHIN), (started.names, 5)):
        # Only beam itself is asked: its helpers in the group would take it with them, unsaved.
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(patience)
        processes.end(child, signal.SIGKILL)


def kill(started: RunningNode) -> None:
    """End the node as a power cut would; `start` brings it back with the same data."""
    processes.end(started.beam, signal.SIGKILL)
    processes.end(started.names, signal.SIGKILL)


def server_command(system: Path = Path("/")) -> Path | None:
    """The script that starts a node, if RabbitMQ is installed; the one on the PATH changes the user."""
    command = system / LIBRARY
    return command if command.exists() else None


def _free_ports(*preferred: int) -> list[int]:
    with ExitStack() as all_held:
        held = [all_held.enter_context(closing(_bound(port))) for port in preferred]
        return [int(each.getsockname()[1]) for each in held]


def _bound(port: int) -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("127.0.0.1", port))
    except OSError:
        held.bind(("127.0.0.1", 0))
    return held


def _wait_for_predecessor(node: Node, lock: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not try_lock(lock):
        if time.monotonic() > deadline:
            raise Failure(
                "The project's own RabbitMQ node could not be started",
                f"Another node works with the data in {node.folder}.",
                "End the program that started it (another `make run`?), then run it again.",
            )
        time.sleep(0.1)


def _write_settings(node: Node) -> None:
    for name, text in {
        "rabbitmq.conf": f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {node.management_port}\n",
        "advanced.config": "[].\n",
        "enabled_plugins": "[rabbitmq_management].\n",
    }.items():
        (node.folder / name).write_text(text)


def _start_processes(node: Node, lock: int) -> RunningNode:
    server, epmd = server_command(), shutil.which("epmd")
    if not (server and epmd):
        raise Failure(
            "The project's own RabbitMQ node could not be started",
            "RabbitMQ is not installed on this machine.",
            "Type: make setup",
        )
    with node.log.open("wb") as log:
        # The daemon of names comes first, as our child: one that Erlang starts would stay behind.
        names_task = _task(node, (epmd, "-port", str(node.epmd_port)))
        names = processes.start(names_task, log.fileno())
        try:
            beam = processes.start(_task(node, (str(server),)), log.fileno(), (lock,))
        except BaseException:
            processes.end(names, signal.SIGKILL)
            raise
    return RunningNode(node, names, beam)


def _task(node: Node, command: tuple[str, ...]) -> processes.Task:
    return processes.Task(command, node.folder, _environment(node), node.log)


def _environment(node: Node) -> dict[str, str]:
    """All that the node reads, so that neither the caller's variables nor the system's files change it."""
    folder = node.folder
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(node.epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_NODENAME": f"{node.name}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(node.amqp_port),
        "RABBITMQ_DIST_PORT": str(node.dist_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "node.pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(folder / "none.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
        # The script then becomes beam instead of watching over it: our child is beam itself.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _once_it_serves(started: RunningNode) -> RunningNode:
    try:
        _wait_until_it_serves(started)
    except BaseException:
        stop(started)
        raise
    return started


def _wait_until_it_serves(started: RunningNode) -> None:
    node, deadline = started.node, time.monotonic() + STARTS_WITHIN
    while amqp.probe("127.0.0.1", node.amqp_port).found != "rabbitmq":
        if started.beam.poll() is not None:
            raise _did_not_start(node, "It ended at once")
        if time.monotonic() > deadline:
            raise _did_not_start(
                node, f"It did not answer within {STARTS_WITHIN:.0f} s"
            )
        time.sleep(0.1)


def _did_not_start(node: Node, why: str) -> Failure:
    return Failure(
        "The project's own RabbitMQ node could not be started",
        f"{why}; its last words:\n{processes.tail(node.log)}",
        f"Its logs: {node.log} and {node.folder / 'log'}.\n"
        f"If its data is damaged and you can do without: rm -r {node.folder}",
    )
