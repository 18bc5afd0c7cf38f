"""The system on clusters: three nodes of a broker, a primary with a standby, and replicas of each service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.support.brokers import OwnBroker
from tests.support.eventually import eventually
from tests.support.system import build
from toolchain.machine import this_machine
from toolchain.runfile import VARIABLES
from toolchain.servers import postgresql as programs
from toolchain.servers import rabbitmq_node
from toolchain.supervise import server
from verification.chaos.plan import (
    APPS,
    FAIL_OVER,
    FAIL_OVER_BY_CABLE,
    NODES,
    PAIR,
    PARTITION,
    ROLLING,
    Fault,
    Setting,
)
from verification.chaos.proxy import serving
from verification.chaos.reading import Reader
from verification.chaos.stage import Stage, mail_server, redirect, stop
from verification.clusters import kafka, network, rabbitmq
from verification.clusters.balancer import Balancer
from verification.clusters.network import Network
from verification.clusters.postgresql import Pair

HOSTS = ("broker-1", "broker-2", "broker-3", "database-1", "database-2")
BROKERS = HOSTS[:3]
WHOLE_WITHIN = 120.0
LATE = 2.0


@dataclass
class Clusters:
    """The clusters of a stage, and what can be done to them as a whole."""

    stage: Stage
    network: Network
    pair: Pair

    def host(self, part: str) -> str:
        """Return on which host a part is now."""
        if part in PAIR:
            return self.pair.hosts[PAIR.index(part)]
        return BROKERS[NODES.index(part)]

    async def partition(self, fault: Fault) -> None:
        """Cut a node off for some seconds."""
        host = self.host(fault.part)
        self.network.cut(host)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            self.network.join(host)

    async def roll(self, _fault: Fault) -> None:
        """Restart each node in good order, the next one when the broker is whole again."""
        for each in NODES:
            await asyncio.to_thread(server.stop, self.stage.servers[each])
            await self.stage.up(each)
            await self._is_whole()

    async def fail_over(self, fault: Fault) -> None:
        """Kill the primary, or cut it off, promote the standby, and make the other host its standby."""
        await self._has_a_standby()
        lost, standby = self.pair.hosts
        if not self.pair.synchronous:
            # As far behind as a standby may be that no commit waits for.
            self.network.cut(standby)
            await asyncio.sleep(LATE)
            self.network.cut(lost)
        if fault.kind == FAIL_OVER_BY_CABLE:
            self.network.cut(lost)
            await asyncio.sleep(fault.seconds)
        else:
            await self.stage.down("primary")
        self.network.join(standby)
        await asyncio.to_thread(self.pair.promote)
        # Whoever comes back must not find two primaries: the old one is dead before it has its cable again.
        await self.stage.down("primary")
        self.network.join(lost)
        servers = self.stage.servers
        servers["primary"] = servers.pop("standby")
        servers["standby"] = await asyncio.to_thread(self.pair.start_standby)

    async def _has_a_standby(self) -> None:
        async def is_whole() -> bool:
            return await asyncio.to_thread(self.pair.is_whole)

        await eventually(is_whole, "the standby has all", WHOLE_WITHIN, 0.5)

    async def _is_whole(self) -> None:
        if self.stage.setting.broker != "rabbitmq":
            return

        async def is_whole() -> bool:
            return await asyncio.to_thread(rabbitmq.is_whole, self.network, BROKERS)

        await eventually(is_whole, "every queue has three copies", WHOLE_WITHIN, 0.5)


@asynccontextmanager
async def running(
    folder: Path, setting: Setting, _faults: Sequence[Fault] = (), _orders: int = 0
) -> AsyncIterator[Stage]:
    """Run the whole system on clusters; nothing of it is left at the end."""
    real = build(
        folder,
        broker=setting.broker,
        database="postgresql",
        mail=setting.mail,
        replicas=setting.replicas,
    )
    stage = Stage(real, setting)
    async with AsyncExitStack() as stack:
        net = stack.enter_context(network.opened(HOSTS))
        where = programs.provided_programs(this_machine())
        standby = (HOSTS[3], HOSTS[4])
        pair = Pair(net, standby, folder, where, APPS, setting.synchronous)
        clusters = Clusters(stage, net, pair)
        stage.faults.update(
            {
                PARTITION: clusters.partition,
                ROLLING: clusters.roll,
                FAIL_OVER: clusters.fail_over,
                FAIL_OVER_BY_CABLE: clusters.fail_over,
            }
        )
        _use_pair(stage, pair)
        stack.push_async_callback(stop, stage)
        await _start(clusters, stack)
        real.start_sidecars()
        real.start_apps()
        await real.is_ready(deadline=180.0)
        yield stage


def _use_pair(stage: Stage, pair: Pair) -> None:
    for service in APPS:
        stage.readers[service] = Reader(pair.url(service))
    for name, app in stage.real.apps.items():
        app.environment["DATABASE_URL"] = pair.url(name.split()[0])


async def _start(clusters: Clusters, stack: AsyncExitStack) -> None:
    stage, pair = clusters.stage, clusters.pair
    started = stage.servers
    started["mail"] = await asyncio.to_thread(server.start, mail_server(stage))
    started["primary"] = await asyncio.to_thread(pair.start_primary)
    started["standby"] = await asyncio.to_thread(pair.start_standby)
    if stage.setting.broker == "kafka":
        await _start_kafka(clusters)
    else:
        await _start_rabbitmq(clusters, stack)


async def _start_kafka(clusters: Clusters) -> None:
    stage, net = clusters.stage, clusters.network
    all_servers = kafka.servers(net, BROKERS, stage.real.system.state)
    # None serves before two of them run.
    starting = (asyncio.to_thread(server.start, each) for each in all_servers)
    for name, running in zip(NODES, await asyncio.gather(*starting), strict=True):
        stage.servers[name] = running
    addresses = kafka.addresses(net, BROKERS)
    redirect(stage, VARIABLES["kafka"], lambda _: addresses)
    stage.real.own = OwnBroker(all_servers[0])


async def _start_rabbitmq(clusters: Clusters, stack: AsyncExitStack) -> None:
    stage, net = clusters.stage, clusters.network
    all_servers = rabbitmq.servers(net, BROKERS, stage.real.system.state)
    for name, each in zip(NODES, all_servers, strict=True):
        stage.servers[name] = await asyncio.to_thread(server.start, each)
    addresses = tuple((net.address(host), rabbitmq.AMQP) for host in BROKERS)
    balancer = await stack.enter_async_context(
        serving(Balancer(0, addresses=addresses))
    )
    url = f"amqp://guest:guest@127.0.0.1:{balancer.port}"
    redirect(stage, VARIABLES["rabbitmq"], lambda _: url)
    page = rabbitmq.page(net, BROKERS[0])
    keeps = partial(rabbitmq_node.is_bound, page)
    stage.real.own = replace(stage.real.own, keeps=keeps, page=page)
