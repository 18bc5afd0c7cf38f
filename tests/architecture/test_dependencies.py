"""What the services depend on: locked, without a broker's client, and without each other's address."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from chassis.runtime.settings import ServiceSettings, TelemetrySettings
from services.notification.app import Settings as NotificationSettings
from services.order.app import Settings as OrderSettings
from toolchain import runfile

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt")
SETTINGS: tuple[type[ServiceSettings], ...] = (OrderSettings, NotificationSettings)

# fmt: off
CLIENTS = {
    "aio-pika", "aiobotocore", "aiokafka", "aiomqtt", "aiormq", "aiosmtplib", "amqp", "azure-servicebus",
    "boto3", "botocore", "celery", "confluent-kafka", "faststream", "google-cloud-pubsub", "hiredis",
    "kafka-python", "kafka-python-ng", "kombu", "nats-py", "paho-mqtt", "pamqp", "pika", "pulsar-client",
    "redis", "stomp-py", "valkey",
}
# fmt: on
"""Distributions that speak to a broker or a mail server: Dapr does, and the services do not."""

URL_WITH_HOST = re.compile(r"[a-z][a-z0-9+.-]*://(?!/)[^\s\"']*", re.IGNORECASE)
HOST_AND_PORT = re.compile(
    r"(?:\b[a-z][\w.-]*|\d+\.\d+\.\d+\.\d+):\d{2,5}\b", re.IGNORECASE
)


@cache
def locked(file: str) -> dict[str, Version]:
    """Return what a lock has: the version of every distribution, by its normal name."""
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


@cache
def declared(file: str) -> list[Requirement]:
    """Return what a lock must contain, by pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = [*project["project"]["dependencies"]]
    if file == "requirements-dev.txt":
        names += project["dependency-groups"]["dev"]
    return [Requirement(name) for name in names]


@pytest.mark.parametrize("file", LOCKS)
def test_every_direct_dependency_is_locked_at_a_version_it_allows(file: str) -> None:
    pins = locked(file)

    for requirement in declared(file):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{file} lacks {name}; run make lock"
        version = pins[name]
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{file} has {name} {version}, pyproject.toml asks for {requirement}; run make lock"
        )


def test_what_is_tested_is_what_runs() -> None:
    runtime, dev = (locked(file) for file in LOCKS)

    differing = {
        name: (version, dev.get(name))
        for name, version in runtime.items()
        if dev.get(name) != version
    }

    assert differing == {}


def test_no_client_of_a_broker_or_a_mail_server_comes_with_the_services() -> None:
    found = CLIENTS & set(locked("requirements.txt"))

    assert not found, f"requirements.txt contains {', '.join(sorted(found))}"


def test_dapr_and_its_fastapi_extension_belong_together() -> None:
    pins = locked("requirements.txt")

    sdk, extension = pins["dapr"], pins["dapr-ext-fastapi"]

    assert (sdk.major, sdk.minor) == (extension.major, extension.minor)


def literals(file: Path) -> Iterator[str]:
    """Yield what a machine reads of a file: of Python its strings without the docstrings, else every line."""
    if file.suffix != ".py":
        yield from file.read_text(errors="replace").splitlines()
        return
    tree = ast.parse(file.read_text())
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in prose:
            yield str(node.value)


@cache
def ports(kind: str) -> set[str]:
    """Return the ports of this kind in dapr.yaml."""
    return {str(app[kind]) for app in runfile.load().document["apps"]}


def addresses(text: str) -> set[str]:
    """Return what looks like an address, except that of a sidecar on this machine."""
    sidecars = {f"127.0.0.1:{port}" for port in ports("daprHTTPPort")}
    sidecars |= {f"http://{sidecar}" for sidecar in sidecars}
    found = {*URL_WITH_HOST.findall(text), *HOST_AND_PORT.findall(text)}
    return (found | ({text} & ports("appPort"))) - sidecars


def test_no_service_names_the_address_of_another() -> None:
    files = [f for f in (ROOT / "services").rglob("*") if f.is_file()]
    sources = [f for f in files if f.suffix != ".pyc"]

    named = {
        str(file.relative_to(ROOT)): found
        for file in sources
        if (found := set[str]().union(*map(addresses, literals(file))))
    }

    assert sources
    assert named == {}


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_service_has_at_most_eighteen_settings_besides_its_telemetrys(
    settings: type[ServiceSettings],
) -> None:
    own = settings.model_fields.keys() - TelemetrySettings.model_fields.keys()
    assert len(own) <= 18


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_setting_names_an_address_but_the_sidecars(
    settings: type[ServiceSettings],
) -> None:
    defaults = {
        name: str(field.default) for name, field in settings.model_fields.items()
    }

    named = {name: found for name in defaults if (found := addresses(defaults[name]))}

    assert named == {}
    assert settings.model_construct().sidecar_url == "http://127.0.0.1:3500"


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8002",
        "http://",
        "http://notification/api",
        "amqp://guest@rabbit",
        "notification:8002",
        "127.0.0.1:5672",
        "localhost:3500",
        "8002",
    ],
)
def test_an_address_is_recognised(text: str) -> None:
    assert addresses(text)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///.local/order.db",
        "http://127.0.0.1:3500",
        "urn:contract:OrderCreated:1",
        "2026-01-31T08:15:30.123Z",
        "/api/order",
    ],
)
def test_what_is_no_address_is_left_alone(text: str) -> None:
    assert not addresses(text)
