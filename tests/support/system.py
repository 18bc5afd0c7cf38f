"""The whole system on its real parts: a broker, both sidecars and both services, on free ports of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import yaml

from tests.support.brokers import OwnBroker, own_broker
from tests.support.database import secrets_in
from tests.support.eventually import eventually
from tests.support.part import Part
from toolchain import readiness, runfile
from toolchain.issuer import provision
from toolchain.machine import secured, this_machine
from toolchain.runfile import ROOT, System
from toolchain.servers import companions
from toolchain.servers import secured as made
from toolchain.supervise import server

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
SECRETS = {"APP_API_TOKEN", "DAPR_API_TOKEN", secured.FOLDER, "OIDC_ISSUER"}
"""What a shell may have of another system: this one has none, or its own."""
TOPIC_SCOPES = ("protectedTopics", "publishingScopes", "subscriptionScopes")


@dataclass
class RealSystem:
    """Every part of the system, each to be started, killed and stopped on its own."""

    system: System
    own: OwnBroker
    broker: server.RunningServer | None = None
    sidecars: dict[str, Part] = field(default_factory=dict)
    apps: dict[str, Part] = field(default_factory=dict)
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The run file's entry for each process of a service, by its name; replicas have other ports."""

    def start_broker(self) -> None:
        """Start the broker; the data of an earlier start is there again."""
        self.broker = server.start(self.own.server)

    def kill_broker(self) -> None:
        """Kill the broker as a power cut would."""
        assert self.broker
        server.kill(self.broker)
        self.broker = None

    def start_sidecars(self) -> None:
        """Start the sidecars."""
        for part in self.sidecars.values():
            part.start()

    def start_apps(self) -> None:
        """Start the services."""
        for part in self.apps.values():
            part.start()

    async def swap_mail(self, mail: str) -> None:
        """Start the notification service's sidecar again with another folder of components for its mails."""
        kept = {"broker": self.system.broker, "database": self.system.database}
        other = runfile.load(self.system.offset, self.system.state, mail=mail, **kept)
        part = self.sidecars["notification"]
        await asyncio.to_thread(part.stop)
        part.command = sidecar_command(other, other.app("notification"))
        part.start()
        await self.is_ready()

    async def is_ready(self, deadline: float = 60.0) -> None:
        """Wait until all services are ready, reach each other through Dapr, and have their subscriptions."""
        async with httpx.AsyncClient(trust_env=False) as client:
            for app in self.instances.values():
                ready = f"http://127.0.0.1:{app['appPort']}/readyz"
                await _answers(client, ready, deadline)
            for caller in self.instances:
                client.headers = readiness.token_of(
                    "DAPR", self.sidecars[caller].environment
                )
                for app in self.system.document["apps"]:
                    ready = f"{self.invoke_url(caller, app['appID'])}/readyz"
                    await self._is_found(client, ready, app["appID"], deadline)

        for name in self.instances:
            await self._has_its_subscriptions(name, deadline)

    async def _is_found(
        self, client: httpx.AsyncClient, ready: str, app_id: str, deadline: float
    ) -> None:
        try:
            await _answers(client, ready, deadline)
        except AssertionError as error:
            if "no host found" not in str(error) or app_id not in self.sidecars:
                raise
            # One that could not write its name in time is found once it starts again (configuration/dapr.yaml).
            await self.sidecars[app_id].kill()
            await _answers(client, ready, deadline)

    async def _has_its_subscriptions(self, name: str, deadline: float) -> None:
        app, environment = self.instances[name], self.apps[name].environment

        def keeps() -> bool:
            topics = readiness.topics_of(app, environment)
            return topics is not None and all(
                self.own.keeps(topic, app["appID"]) for topic in topics
            )

        async def kept() -> bool:
            return await asyncio.to_thread(keeps)

        await eventually(kept, f"the broker keeps events for {app['appID']}", deadline)

    def invoke_url(self, caller: str, app_id: str) -> str:
        """Return where an app's methods are reached through the sidecar of one of the processes."""
        port = self.instances[caller]["daprHTTPPort"]
        return f"http://127.0.0.1:{port}/v1.0/invoke/{app_id}/method"

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


def build(  # noqa: PLR0913 - each part of a system can be chosen
    folder: Path,
    *,
    broker: str = runfile.BROKER,
    database: str = runfile.DATABASE,
    mail: str = runfile.MAIL,
    pulls: bool = True,
    replicas: int = 1,
    secure: bool = False,
) -> RealSystem:
    """Make a system with all that it keeps in this folder; nothing of it runs yet.

    A secure one needs `secrets_of` it, sentry and the issuer.

    Without the pull, the feeds refuse every consumer: the services share their signing keys alone. Each
    service runs in so many processes with a sidecar each: `order`, `order 2` and so on.
    """
    offset = runfile.free_offset()
    chosen = {"broker": broker, "database": database, "mail": mail}
    system = runfile.load(offset, folder, **chosen)
    apps = system.document["apps"]
    services = {path.parent.name for path in (ROOT / "services").glob("*/app.py")}
    # Whatever else dapr.yaml may run beside them.
    system.document["apps"] = [
        each for each in apps if each["appID"].replace("-", "_") in services
    ]
    system = replace(system, secure=secure)
    if secure:
        provision.trust(system)
    real, step = RealSystem(system, own_broker(system, folder)), len(services)
    for number in range(1, replicas + 1):
        for app in system.document["apps"]:
            name = app["appID"] if number == 1 else f"{app['appID']} {number}"
            secrets = folder / ("secrets" if pulls else f"{app['appID']}-secrets")
            secrets.mkdir(exist_ok=True)
            _add(real, name, _replica(app, step * (number - 1)), secrets_in(secrets))
    return real


@contextmanager
def secrets_of(real: RealSystem) -> Iterator[None]:
    """Make the secrets of a secure system, for its parts and for whoever asks them whether they are ready."""
    with made.secrets_of(real.system):
        for name, app in real.instances.items() if real.system.secure else ():
            tokens = secured.tokens(real.system.secrets, app["appID"])
            for part in (real.apps[name], real.sidecars[name]):
                part.environment.update(tokens)
        yield


def _add(real: RealSystem, name: str, app: dict[str, Any], secrets: Path) -> None:
    system, folder = real.system, real.system.state
    inherited = {name: os.environ[name] for name in os.environ if name not in SECRETS}
    environment = {**inherited, **system.addresses(), "APP_ID": app["appID"]}
    log = folder / f"{name.replace(' ', '-')}-sidecar.log"
    real.instances[name] = app
    real.sidecars[name] = Part(sidecar_command(system, app), environment, log)
    settings = {
        **system.document["common"]["env"],
        **app["env"],
        "DAPR_HTTP_PORT": str(app["daprHTTPPort"]),
        "DAPR_GRPC_PORT": str(app["daprGRPCPort"]),
        "SECRETS_FOLDER": str(secrets),
    }
    log = folder / f"{name.replace(' ', '-')}.log"
    real.apps[name] = Part(list(app["command"]), {**environment, **settings}, log)


REPLICA_PORTS = (*runfile.APP_PORTS, "daprGRPCPort")


def _replica(app: dict[str, Any], higher: int) -> dict[str, Any]:
    """Return the run file's entry for another process of this service: its ports are so much higher."""
    ports = {name: app[name] + higher for name in REPLICA_PORTS}
    old, new = f"--port={app['appPort']}", f"--port={ports['appPort']}"
    env = dict(app["env"])
    for port in runfile.metrics_ports(app):
        env["METRICS_PORT"] = str(port + higher)
    return {
        **app,
        **ports,
        "env": env,
        "command": [part.replace(old, new) for part in app["command"]],
    }


def sidecar_command(system: System, app: dict[str, Any]) -> list[str]:
    """Return the command line that `dapr run -f dapr.yaml` makes for an app's sidecar."""
    common = {**system.document["common"], **app}
    flags = [f"--{flag}={_value(common[key])}" for key, flag in COMMON.items()]
    flags += [f"--resources-path={ROOT / path}" for path in common["resourcesPaths"]]
    own = {
        "--app-id": app["appID"],
        "--app-port": app.get("appPort", 0),
        "--dapr-http-port": app["daprHTTPPort"],
        "--dapr-grpc-port": app["daprGRPCPort"],
        "--dapr-internal-grpc-port": app["daprInternalGRPCPort"],
        "--metrics-port": app["metricsPort"],
    }
    pairs = [str(each) for pair in own.items() for each in pair]
    return [str(ROOT / common["runtimePath"] / ".dapr/bin/daprd"), *pairs, *flags]


def without_scopes(metadata: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a component's settings without those that say who may use which topic."""
    return [each for each in metadata if each["name"] not in TOPIC_SCOPES]


def without_topic_scopes(system: System, folder: Path) -> None:
    """Take the topic scopes from the components of a system: a test has topics of its own."""
    paths = system.document["common"]["resourcesPaths"]
    for path in (ROOT / "components" / system.broker).glob("pubsub*.yaml"):
        component = yaml.safe_load(path.read_text())
        component["spec"]["metadata"] = without_scopes(component["spec"]["metadata"])
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_text(yaml.safe_dump(component))
    declared = f"components/{system.broker}"
    paths[paths.index(declared)] = str(folder)


def _value(setting: object) -> str:
    return str(setting).lower() if isinstance(setting, bool) else str(setting)


@asynccontextmanager
async def running(
    folder: Path,
    *,
    broker: str = runfile.BROKER,
    database: str = runfile.DATABASE,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[RealSystem]:
    """Run the whole system, ready to be used; all its parts have this environment, too."""
    real = build(folder, broker=broker, database=database)
    for part in (*real.apps.values(), *real.sidecars.values()):
        part.environment.update(environment)
    # It lives as long as the thread that starts it, which is this one: the kernel ends it then.
    with companions.database(this_machine(), real.system):
        async with started(real):
            yield real


@asynccontextmanager
async def started(real: RealSystem) -> AsyncIterator[None]:
    """Start all of a system, ready to be used; it is stopped at the end."""
    try:
        await asyncio.to_thread(real.start_broker)
        real.start_sidecars()
        real.start_apps()
        await real.is_ready()
        yield
    finally:
        await asyncio.to_thread(real.stop)
