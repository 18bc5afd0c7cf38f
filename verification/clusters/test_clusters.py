"""What a run on clusters stands on: its plan, its balancer, its network, and a URL of two hosts."""

import asyncio
import os
import subprocess

import pytest

from toolchain.runfile import free_port
from verification.chaos import plan
from verification.chaos.plan import NODES, PAIR, Setting
from verification.chaos.proxy import serving
from verification.clusters import kafka, network
from verification.clusters.balancer import Balancer
from verification.clusters.network import Network

THREE = Network("oc0000", "10.200.0", ("a", "b", "c"))
SETTING = Setting(database="postgresql", replicas=4, clusters=True)


def test_a_long_plan_has_every_fault_of_every_node_and_each_failover() -> None:
    possible = plan.kinds(SETTING)

    planned = {(each.kind, each.part) for each in plan.make(1, len(possible), SETTING)}

    assert {("partition", each) for each in (*NODES, *PAIR)} <= planned
    assert {("fail over", "primary"), ("rolling restart", "broker")} <= planned
    assert {("kill", "order 4"), ("kill", "notification 4 sidecar")} <= planned


async def test_the_balancer_leads_past_a_node_that_is_away() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    away, there = free_port(), await asyncio.start_server(greet, "127.0.0.1", 0)
    addresses = (("127.0.0.1", away), there.sockets[0].getsockname()[:2])
    async with there, serving(Balancer(0, addresses=addresses)) as balancer:
        for _ in addresses:
            reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
            assert await reader.read() == b"here"
            writer.close()


def test_two_of_three_brokers_of_kafka_have_an_event_before_it_is_answered() -> None:
    servers = kafka._settings(THREE, THREE.hosts, THREE.address("b"))

    assert servers["node.id"] == "2"
    assert servers["default.replication.factor"] == "3"
    assert servers["min.insync.replicas"] == "2"


@pytest.mark.skipif(os.geteuid() != 0, reason="a network takes root")
def test_a_host_without_its_cable_reaches_nobody_and_nothing_is_left() -> None:
    with network.opened(["a", "b"]) as net:
        address = net.address("a")
        listen = net.inside("a", ["python3", "-m", "http.server", "--bind", address, "8000"])  # fmt: skip
        server = subprocess.Popen(listen, stderr=subprocess.DEVNULL)
        try:
            _becomes(net, address, reached=True)
            net.cut("a")
            _becomes(net, address, reached=False)
            net.join("a")
            _becomes(net, address, reached=True)
        finally:
            server.kill()
            server.wait()
        name = net.name

    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True)
    assert name not in spaces.stdout


def _becomes(net: Network, address: str, *, reached: bool) -> None:
    ask = f"import socket; socket.create_connection(('{address}', 8000), 1)"
    for _ in range(60):
        asked = subprocess.run(
            net.inside("b", ["python3", "-c", ask]), capture_output=True, check=False
        )
        if (asked.returncode == 0) == reached:
            return
    raise AssertionError(f"{address} reached: {not reached}")
