"""The whole system on its real parts: RabbitMQ, both sidecars and both services, on free ports of its own."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.eventually import eventually
from toolchain import descendants, rabbitmq, rabbitmq_node, runfile, server
from toolchain.runfile import ROOT, System

STOPS_WITHIN = 50.0
COMMON = {
    "enableAppHealthCheck": "enable-app-health-check",
    "appHealthCheckPath": "app-health-check-path",
    "appHealthProbeInterval": "app-health-probe-interval",
    "appHealthProbeTimeout": "app-health-probe-timeout",
    "appHealthThreshold": "app-health-threshold",
    "apiListenAddresses": "dapr-listen-addresses",
    "placementHostAddress": "placement-host-address",
    "schedulerHostAddress": "scheduler-host-address",
    "configFilePath": "config",
}
"""The keys of dapr.yaml and the flags of daprd that `dapr run` makes of them."""


@dataclass
class Part:
    """A sidecar or a service, kept running by the project's own keeper."""

    command: list[str]
    environment: dict[str, str]
    log: Path
    keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with its keeper."""
        with self.log.open("ab") as log:
            self.keeper = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def kill(self) -> None:
        """Kill the part itself with SIGKILL, not its keeper, and wait until it is gone."""
        (pid,) = self.pids()
        os.kill(pid, 9)

        async def is_gone() -> bool:
            return pid not in self.pids()

        await eventually(is_gone, f"{self.log.stem} is gone")

    def kill_for_good(self) -> None:
        """Kill the part and its keeper with SIGKILL: nobody starts it again."""
        pids = self.pids()
        if self.keeper:
            self.keeper.kill()
            self.keeper.wait()
        for pid in pids:
            with suppress(ProcessLookupError):  # the keeper's end has reached it
                os.kill(pid, 9)

    def pids(self) -> set[int]:
        """Give the process id of the part, if it runs."""
        return descendants.children(self.keeper.pid) if self.keeper else set()

    def said(self) -> str:
        """Give all that it has written so far."""
        return self.log.read_text() if self.log.exists() else ""

    def ask_to_stop(self) -> None:
        """Ask it to stop in good order."""
        if self.keeper:
            self.keeper.terminate()

    def stop(self) -> None:
        """Stop it in good order."""
        self.ask_to_stop()
        self.has_stopped()

    def has_stopped(self) -> None:
        """Wait until it has stopped, and end it by force if that takes too long."""
        if self.keeper:
            with suppress(subprocess.TimeoutExpired):
                self.keeper.wait(STOPS_WITHIN)
            self.keeper.kill()
            self.keeper.wait()


@dataclass
class RealSystem:
    """Every part of the system, each to be started, killed and stopped on its own."""

    system: System
    node: rabbitmq_node.Node
    broker: server.RunningServer | None = None
    sidecars: dict[str, Part] = field(default_factory=dict)
    apps: dict[str, Part] = field(default_factory=dict)

    def start_broker(self) -> None:
        """Start RabbitMQ; the data of an earlier start is there again."""
        self.broker = server.start(self.node.server())

    def kill_broker(self) -> None:
        """Kill RabbitMQ as a power cut would."""
        assert self.broker
        server.kill(self.broker)
        self.broker = None

    def start_sidecars(self) -> None:
        """Start both sidecars."""
        for part in self.sidecars.values():
            part.start()

    def start_apps(self) -> None:
        """Start both services."""
        for part in self.apps.values():
            part.start()

    async def is_ready(self, deadline: float = 60.0) -> None:
        """Wait until both services say so, and reach each other through Dapr."""
        async with httpx.AsyncClient(trust_env=False) as client:
            for app in self.system.document["apps"]:
                name = app["appID"]
                await _answers(
                    client, f"http://127.0.0.1:{app['appPort']}/readyz", deadline
                )
                await _answers(
                    client, f"{self.system.invoke_url(name)}/readyz", deadline
                )

        async def keeps() -> bool:
            asked = (self.node, "OrderCreated", "notification")
            return await asyncio.to_thread(rabbitmq.keeps, *asked)

        await eventually(
            keeps, "the broker keeps events for the notification service", deadline
        )

    def stop(self) -> None:
        """Stop all that is running: services, sidecars, broker."""
        parts = [*self.apps.values(), *self.sidecars.values()]
        for part in parts:
            part.ask_to_stop()
        for part in parts:
            part.has_stopped()
        if self.broker:
            self.kill_broker()  # in good order takes six seconds, for data that nobody reads again


async def _answers(client: httpx.AsyncClient, url: str, deadline: float) -> None:
    last = "nothing"

    async def ready() -> bool:
        nonlocal last
        with suppress(httpx.HTTPError):
            answer = await client.get(url)
            last = f"{answer.status_code} {answer.text}"
            return answer.status_code == 200 and answer.json() == {"status": "ready"}
        return False

    try:
        await eventually(ready, f"{url} is ready", deadline)
    except AssertionError as error:
        raise AssertionError(f"{error}; its last answer: {last}") from None


def build(folder: Path, *, pulls: bool = True) -> RealSystem:
    """Make a system with all that it keeps in this folder; nothing of it runs yet.

    Without the pull, the feeds refuse whoever asks: the services do not share a secret.
    """
    system = runfile.load(runfile.free_offset(), folder)
    node = rabbitmq_node.node_in(folder / "rabbitmq", system.port("rabbitmq"))
    real = RealSystem(system, node)
    for app in system.document["apps"]:
        name = app["appID"]
        environment = {**os.environ, **system.addresses(), "APP_ID": name}
        real.sidecars[name] = Part(
            sidecar_command(system, app), environment, folder / f"{name}-sidecar.log"
        )
        settings = {
            **system.document["common"]["env"],
            **app["env"],
            "DAPR_HTTP_PORT": str(app["daprHTTPPort"]),
            "FEED_SECRET_FILE": str(folder / f"{'feed' if pulls else name}.secret"),
        }
        real.apps[name] = Part(
            list(app["command"]), {**environment, **settings}, folder / f"{name}.log"
        )
    return real


def sidecar_command(system: System, app: dict[str, Any]) -> list[str]:
    """Make the command line that `dapr run -f dapr.yaml` makes for an app's sidecar."""
    common = system.document["common"]
    flags = [f"--{flag}={_value(common[key])}" for key, flag in COMMON.items()]
    flags += [f"--resources-path={ROOT / path}" for path in common["resourcesPaths"]]
    own = {
        "--app-id": app["appID"],
        "--app-port": app["appPort"],
        "--dapr-http-port": app["daprHTTPPort"],
        "--dapr-grpc-port": app["daprGRPCPort"],
        "--dapr-internal-grpc-port": app["daprInternalGRPCPort"],
        "--metrics-port": app["daprGRPCPort"] + 10,
    }
    pairs = [str(each) for pair in own.items() for each in pair]
    return [str(ROOT / common["runtimePath"] / ".dapr/bin/daprd"), *pairs, *flags]


def _value(setting: object) -> str:
    return str(setting).lower() if isinstance(setting, bool) else str(setting)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[RealSystem]:
    """Run the whole system, ready to be used."""
    real = build(folder)
    try:
        await asyncio.to_thread(real.start_broker)
        real.start_sidecars()
        real.start_apps()
        await real.is_ready()
        yield real
    finally:
        await asyncio.to_thread(real.stop)
