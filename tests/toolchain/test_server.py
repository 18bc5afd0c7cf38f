"""A server of the project's own, for real, as a RabbitMQ node: it serves and keeps its data."""

import base64
import http.client
import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.toolchain.stand_ins import (
    bare_machine,
    elsewhere,
    processes_of,
    program,
    until,
)
from toolchain.machine.failure import Failure
from toolchain.servers.rabbitmq_node import Node, answers, node_in
from toolchain.supervise import server

pytestmark = pytest.mark.system

QUEUE = "/api/queues/%2F/kept"


def ask(node: Node, method: str, path: str, body: object = None) -> object:
    """Ask the node's management page."""
    page = http.client.HTTPConnection("127.0.0.1", node.management_port, timeout=30)
    login = base64.b64encode(b"guest:guest").decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    with closing(page):
        page.request(method, path, json.dumps(body), headers)
        answer = page.getresponse().read()
    return json.loads(answer or b"null")


def declare(node: Node) -> None:
    """Make a queue that survives a kill; RabbitMQ stores the name of a new one a second later."""
    ask(node, "PUT", QUEUE, {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    until(lambda: node.remembers("kept"))


def publish(node: Node, text: str) -> None:
    """Put a message that must survive into the queue, and wait for the broker's word that it has it."""
    body = {"properties": {"delivery_mode": 2}, "routing_key": "kept", "payload": text}
    ask(
        node,
        "POST",
        "/api/exchanges/%2F/amq.default/publish",
        {**body, "payload_encoding": "string"},
    )


def messages(node: Node) -> list[str]:
    """What waits in the queue."""
    how = {"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"}
    found = ask(node, "POST", f"{QUEUE}/get", how)
    assert isinstance(found, list)
    return [message["payload"] for message in found]


def test_it_serves_only_this_machine_and_leaves_nothing_behind(tmp_path: Path) -> None:
    node = node_in(tmp_path / "rabbitmq")

    with server.running(node.server()):
        assert answers(("127.0.0.1", node.amqp_port))
        listeners = ask(node, "GET", "/api/nodes")
        assert '"ip_address": "::"' not in json.dumps(listeners)
        assert "beam.smp" in processes_of(node.folder)

    until(lambda: not processes_of(node.folder))
    assert not answers(("127.0.0.1", node.amqp_port))


def test_what_it_accepted_survives_a_kill_and_a_stop(tmp_path: Path) -> None:
    node = node_in(tmp_path / "rabbitmq")
    started = server.start(node.server())
    try:
        declare(node)
        publish(node, "first")
    finally:
        server.kill(started)
    until(lambda: not processes_of(node.folder))

    with server.running(node.server()):
        assert messages(node) == ["first"]
        publish(node, "second")

    with server.running(node.server()):
        assert messages(node) == ["first", "second"]


def test_it_ends_when_the_program_that_started_it_is_killed(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)
    folder = tmp_path / "rabbitmq"
    work = f"(server.start(rabbitmq_node.node_in(Path('{folder}')).server()), print('up'), signal.pause())"
    with elsewhere(work, machine) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "up\n"
        node = node_in(folder)
        assert "beam.smp" in processes_of(node.folder)

        parent.kill()

    until(lambda: not processes_of(node.folder))


def test_two_nodes_never_share_their_data(tmp_path: Path) -> None:
    node = node_in(tmp_path / "rabbitmq")
    with (
        server.running(node.server()),
        pytest.raises(Failure, match="Another one works with the data"),
    ):
        server.start(node_in(node.folder).server(), patience=0.1)


def test_one_that_cannot_start_says_its_last_words_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    node = node_in(tmp_path / "rabbitmq")
    program(node.folder / "data" / f"{node.name}@localhost", "not a folder")

    with pytest.raises(Failure, match="could not be started") as failure:
        server.start(node.server())

    assert "ended at once" in failure.value.why
    until(lambda: not processes_of(node.folder))
