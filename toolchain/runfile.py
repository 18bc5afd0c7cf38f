"""Read dapr.yaml, and move what it describes to other ports and another folder: a second system."""

import os
import random
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from toolchain.machine import secured
from toolchain.machine.failure import EX_CONFIG, Failure

ROOT = Path(__file__).parent.parent
LOCAL = ROOT / ".local"
PORTS = {
    "rabbitmq": 5672,
    "rabbitmq page": 15672,
    "postgresql": 5442,
    "smtp": 1025,
    "mail page": 8025,
    "redis": 6379,
    "kafka": 9092,
    "kafka controller": 9093,
    "otlp": 4318,
    "zipkin": 9411,
    "prometheus": 9090,
    "gateway": 8443,
    "sentry": 3520,
    "sentry health": 3521,
    "issuer": 8180,
}
"""Where the servers of a system listen, those that it may start."""
VARIABLES = {
    "rabbitmq": "RABBITMQ_URL",
    "redis": "REDIS_HOST",
    "kafka": "KAFKA_BROKERS",
}
"""The variable of the sidecars' environment that names each broker."""
GATEWAY = ("gateway/app.yaml", "appID", "command")
APP_PORTS = ("appPort", "daprHTTPPort", "daprInternalGRPCPort", "metricsPort")
BROKER, DATABASE, MAIL = "rabbitmq", "sqlite", "smtp"
"""What the dapr.yaml of this project runs on."""
DATABASES, MAILS = ("sqlite", "postgresql"), ("smtp", "api")
"""Where the services can keep their data, and how mails leave (the folders in components/mail)."""
HIGHEST_OFFSET = 49000
"""The highest port is then below 65536."""
OFFSETS = range(1100, 15000, 10)
"""How much higher the ports of another system may be."""
SINGLE = range(30700, 32700)
"""Ports that a single server of a test may take: above every system's, below the kernel's own for connections."""


@dataclass(frozen=True)
class System:
    """A system to run: the run file's document, and what of it differs from dapr.yaml.

    Its ports are `offset` higher than the usual ones; all that it keeps is under `state`.
    """

    document: dict[str, Any]
    state: Path
    offset: int = 0
    broker: str = BROKER
    database: str = DATABASE
    mail: str = MAIL
    gateway: bool = False
    secure: bool = False

    @property
    def is_as_declared(self) -> bool:
        """Return whether dapr.yaml itself describes it."""
        return bool(self.document == _declared())

    @property
    def file(self) -> Path:
        """Where its run file is written for whoever runs it by hand."""
        return self.state / "run.yaml"

    @property
    def lock(self) -> Path:
        """What a run of it holds, from before its first part starts until its last has ended."""
        return self.state / "run.lock"

    @property
    def by_hand(self) -> str:
        """What to type to run it on a broker that runs, without the toolchain."""
        other = VARIABLES.get(self.broker) if self.broker != BROKER else None
        variables = [
            f"{name}={address} "
            for name, address in self.addresses().items()
            if self.offset or name in (other, secured.FOLDER, secured.SENTRY)
        ]
        moved = f"- <{os.path.relpath(self.file, ROOT)}"
        return f"{''.join(variables)}dapr run -f {'dapr.yaml' if self.is_as_declared else moved}"

    def app(self, app_id: str) -> dict[str, Any]:
        """Return the run file's entry of one app."""
        return next(app for app in self.document["apps"] if app["appID"] == app_id)

    def invoke_url(self, app_id: str) -> str:
        """Where an app's methods are reached through the order service's sidecar."""
        return f"http://127.0.0.1:{self.app('order')['daprHTTPPort']}/v1.0/invoke/{app_id}/method"

    @property
    def secrets(self) -> Path:
        """Where the secrets of a secure run are while it runs."""
        return (self.state / "secure").absolute()

    def variables(self, app_id: str) -> Mapping[str, str]:
        """Return the environment of whoever calls an app or its sidecar: with their tokens, if the run has any."""
        with suppress(OSError):
            return {**os.environ, **secured.tokens(self.secrets, app_id)}
        return os.environ

    def port(self, server: str) -> int:
        """Where one of the servers of this system listens."""
        return PORTS[server] + self.offset

    def addresses(self) -> dict[str, str]:
        """Where the sidecars find the servers of this system, as the components read it, and their secrets."""
        secret = {
            secured.FOLDER: str(self.secrets),
            secured.SENTRY: f"127.0.0.1:{self.port('sentry')}",
        }
        return {
            **(secret if self.secure else {}),
            "RABBITMQ_URL": f"amqp://guest:guest@127.0.0.1:{self.port('rabbitmq')}",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.port("smtp")),
            "MAIL_API_URL": f"http://127.0.0.1:{self.port('mail page')}/emails",
            "REDIS_HOST": f"127.0.0.1:{self.port('redis')}",
            "KAFKA_BROKERS": f"127.0.0.1:{self.port('kafka')}",
        }


def load(
    offset: int = 0,
    state: Path | None = None,
    *,
    broker: str | None = None,
    database: str | None = None,
    mail: str | None = None,
) -> System:
    """Read dapr.yaml, with another broker, database or mail component, or moved to other ports."""
    document = _declared()
    state = state or state_of(offset)
    common = document["common"]
    broker = _swap(common, "components", broker, BROKER)
    mail = _swap(common, "components/mail", mail, MAIL)
    system = System(document, state, offset, broker, database or DATABASE, mail)
    if offset:
        _move(document, offset, state)
    if database == "postgresql":
        _use_postgresql(system)
    return system


def with_gateway(system: System) -> System:
    """Return this system with the public door beside its services (gateway/app.yaml)."""
    app = _read(*GATEWAY)
    _configure_gateway(system)
    moved = yaml.safe_dump(app).replace(".local/", f"{system.state}/")
    ports = _ports(app, system.offset) if system.offset else {}
    # Where a browser finds the services; a name of one's own comes with its certificate.
    url = os.environ.get("PUBLIC_URL") or f"https://localhost:{system.port('gateway')}/"
    notifications = f"{url}notifications/"
    _set(system.app("order"), "NOTIFICATION_PAGES_URL", notifications)
    _set(system.app("order"), "PUBLIC_URL", url)
    _set(system.app("notification"), "PUBLIC_URL", notifications)
    apps = [*system.document["apps"], {**yaml.safe_load(moved), **ports}]
    return replace(system, document={**system.document, "apps": apps}, gateway=True)


def _configure_gateway(system: System) -> None:
    """Write the Configuration of the gateway's sidecar: the others', but it can only invoke."""
    folder = system.state / "gateway"
    for each in (folder, folder / "resources"):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = _read(system.document["common"]["configFilePath"], "metadata", "spec")
    document["metadata"]["name"] = "gateway"
    document["spec"].pop("secrets", None)  # it has no store of secrets
    allowed = {"name": "invoke", "version": "v1"}
    protocols = [{**allowed, "protocol": each} for each in ("http", "grpc")]
    document["spec"]["api"] = {"allowed": protocols}
    (folder / "dapr.yaml").touch(0o600)
    (folder / "dapr.yaml").write_text(yaml.safe_dump(document))


def state_of(offset: int, root: Path = ROOT) -> Path:
    """Return where a system keeps all of its own."""
    return root / ".local" / str(offset) if offset else root / ".local"


def brokers() -> list[str]:
    """Return the brokers that can be chosen: the folders in components/ with a YAML, ours or one's own."""
    files = (ROOT / "components").glob("*/*.y*ml")
    return sorted({path.parent.name for path in files})


def _declared() -> dict[str, Any]:
    return _read("dapr.yaml", "common", "apps")


def _read(path: str, *fields: str) -> dict[str, Any]:
    """Return what a YAML holds; raises Failure where it is none, or lacks one of these fields."""
    content = None
    try:
        content = yaml.safe_load((ROOT / path).read_text())
        why = f"Needed are {', '.join(fields)}, and a value for each."
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
    if isinstance(content, dict) and all(content.get(each) for each in fields):
        return content
    remedy = "Write it to its end, then run it again."
    raise Failure(f"{path} cannot be used", why, remedy, EX_CONFIG)


def _move(document: dict[str, Any], offset: int, state: Path) -> None:
    common = document["common"]
    common["configFilePath"] = str(_configuration(common["configFilePath"], state))
    for app in document["apps"]:
        moved = _ports(app, offset)
        if "appPort" in app:
            old, new = f"--port={app['appPort']}", f"--port={moved['appPort']}"
            app["command"] = [part.replace(old, new) for part in app["command"]]
        app.update(moved)
        for port in metrics_ports(app):
            _set(app, "METRICS_PORT", str(port + offset))
        if pages := app.get("env", {}).get("NOTIFICATION_PAGES_URL"):
            port = pages.rstrip("/").rpartition(":")[2]
            there = pages.replace(port, str(int(port) + offset))
            _set(app, "NOTIFICATION_PAGES_URL", there)
        _set(app, "DATABASE_URL", f"sqlite:///{state / app['appID']}.db")
        _set(app, "SECRETS_FOLDER", str(state))


def _set(app: dict[str, Any], variable: str, value: str) -> None:
    app["env"] = {**app.get("env", {}), variable: value}


def _swap(common: dict[str, Any], parent: str, new: str | None, usual: str) -> str:
    """Put another folder of that parent in place of the declared one; return the folder that counts."""
    folders = [Path(path) for path in common["resourcesPaths"]]
    old = next((each.name for each in folders if str(each.parent) == parent), usual)
    if new in (None, old):
        return old
    # The lines that a person would change: a folder, and a broker's tuning of subscriptions that lies in it.
    before, after = f"{parent}/{old}", f"{parent}/{new}"
    common["resourcesPaths"] = [
        path.replace(before, after) for path in common["resourcesPaths"]
    ]
    env = {name: value.replace(before, after) for name, value in common["env"].items()}
    if "SUBSCRIPTION_FILE" in env and not (ROOT / env["SUBSCRIPTION_FILE"]).exists():
        del env["SUBSCRIPTION_FILE"]  # a folder of one's own may do without
    common["env"] = env
    return str(new)


def _use_postgresql(system: System) -> None:
    port = system.port("postgresql")
    for app in system.document["apps"]:
        _set(app, "DATABASE_URL", postgresql_url(app["appID"], port))


def _ports(app: dict[str, Any], offset: int) -> dict[str, int]:
    # 50001 lies where the kernel takes ports for outgoing connections: one may be taken at any moment.
    ports = {name: app[name] + offset for name in APP_PORTS if name in app}
    return {**ports, "daprGRPCPort": ports["daprHTTPPort"] + 50}


def _configuration(path: str, state: Path) -> Path:
    configuration = _read(path, "spec")
    configuration["spec"]["nameResolution"]["configuration"]["connectionString"] = str(
        state / "names.db"
    )
    state.mkdir(parents=True, exist_ok=True)
    copied = state / "dapr.yaml"
    copied.write_text(yaml.safe_dump(configuration))
    return copied


def exporting(system: System) -> dict[str, str]:
    """Return the variables with which services and sidecars export their traces to `make observe`."""
    viewer = f"http://127.0.0.1:{system.port('zipkin')}/zipkin/traces/{{trace_id}}"
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{system.port('otlp')}",
        # For the sidecars, which would otherwise take gRPC, and TLS.
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        # One order is looked for, not an average of many.
        "OTEL_TRACES_SAMPLER": "parentbased_always_on",
        "TRACE_VIEWER_URL": viewer,
    }


def observed(system: System) -> dict[str, str]:
    """Return these variables where `make observe` runs for this system."""
    return {} if is_free(system.port("otlp")) else exporting(system)


def postgresql_url(role: str, port: int, database: str | None = None) -> str:
    """Return the URL of a database of the project's own cluster; by default the one named like the role."""
    return f"postgresql://{role}@127.0.0.1:{port}/{database or role}"


def chosen_offset() -> int:
    """Return what OFFSET says; raises Failure if that is none."""
    text = os.environ.get("OFFSET") or "0"
    if text.isdecimal() and int(text) <= HIGHEST_OFFSET:
        return int(text)
    raise Failure(
        f"OFFSET={text} cannot be used",
        f"It is added to every port: a whole number from 0 to {HIGHEST_OFFSET}.",
        "This runs a second system beside the first: OFFSET=1000",
        EX_CONFIG,
    )


def free_offset() -> int:
    """Find an offset at which every port of a system is free; at random, as others may look too."""
    return next(
        offset
        for offset in random.sample(OFFSETS, len(OFFSETS))
        if ports_are_free(offset)
    )


def ports_are_free(offset: int) -> bool:
    """Return whether nothing listens where a system with this offset would."""
    return all(is_free(port) for port in every_port(offset))


def every_port(offset: int = 0) -> list[int]:
    """Return every port that a system with this offset may take."""
    ports = [port + offset for port in PORTS.values()]
    for app in (*load().document["apps"], _read(*GATEWAY)):
        ports += _ports(app, offset).values()
        ports += [port + offset for port in metrics_ports(app)]
    return ports


def ports_of(system: System) -> list[int]:
    """Return where the sidecars and the apps of a system listen."""
    names = (*APP_PORTS, "daprGRPCPort")
    apps = system.document["apps"]
    declared = [app[name] for app in apps for name in names if name in app]
    own = [system.port("gateway")] if system.gateway else []
    return own + declared + [port for app in apps for port in metrics_ports(app)]


def metrics_ports(app: dict[str, Any]) -> list[int]:
    """Return where an app shows what it measures; an app of one's own need not."""
    port = app.get("env", {}).get("METRICS_PORT")
    return [int(port)] if port else []


def free_port() -> int:
    """Find a port for a single server, where nothing listens."""
    return next(port for port in random.sample(SINGLE, 100) if is_free(port))


def is_free(port: int) -> bool:
    """Return whether nothing listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
