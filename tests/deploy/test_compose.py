"""Tests of deploy/compose beside what `make run` and `make observe` do: no setting is forgotten in one of them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain import runfile
from toolchain.observe import collector
from toolchain.runfile import ROOT
from toolchain.servers import kafka
from toolchain.up import images, stack

DOCKERFILE = images.FOLDER / "Dockerfile"
SERVERS = ("postgresql", *images.BROKERS)
USER = "10001:10001"


@pytest.fixture(scope="module")
def parts() -> dict[str, dict[str, Any]]:
    """The parts of compose.yaml, with what they share."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(stack.FILE.read_text())[
        "services"
    ]
    return found


def test_kafka_is_set_as_make_run_sets_it(parts: dict[str, dict[str, Any]]) -> None:
    wanted = {
        f"KAFKA_{name.upper().replace('.', '_')}": value
        for name, value in kafka.SETTINGS.items()
    }

    assert wanted.items() <= parts["kafka"]["environment"].items()


def test_each_service_and_sidecar_exports_its_traces_as_beside_make_observe(
    parts: dict[str, dict[str, Any]],
) -> None:
    wanted = runfile.exporting(runfile.load())
    there = f"http://collector:{collector.PORT}"
    assert parts["collector"]["command"][:3] == ["python3", "-m", collector.__name__]

    for part in (*images.SERVICES, *(f"{each}-dapr" for each in images.SERVICES)):
        given = parts[part]["environment"]
        assert given["OTEL_EXPORTER_OTLP_ENDPOINT"] == there, part
        for name in ("PROTOCOL", "INSECURE"):
            variable = f"OTEL_EXPORTER_OTLP_{name}"
            assert given[variable] == wanted[variable], part
        assert given["OTEL_TRACES_SAMPLER"] == wanted["OTEL_TRACES_SAMPLER"], part
        page = wanted["TRACE_VIEWER_URL"].partition("/zipkin")[2]
        assert given["TRACE_VIEWER_URL"].endswith(f"/zipkin{page}"), part


def test_each_image_has_a_name_where_it_is_pulled_or_is_built_here() -> None:
    used = set(re.findall(r"\$\{(\w+_IMAGE)\}", stack.FILE.read_text()))
    pulled = {
        line.partition("=")[0]
        for line in images.PUBLIC.read_text().splitlines()
        if not line.startswith("#")
    }
    built = {f"{each.upper()}_IMAGE" for each in images.SERVICES}

    assert used == (pulled | built) - {"BASE"}


def test_each_broker_has_a_part_and_a_folder_of_components(
    parts: dict[str, dict[str, Any]],
) -> None:
    for broker in images.BROKERS:
        assert parts[broker]["profiles"] == [broker]
        assert (ROOT / "components" / broker / "pubsub.yaml").exists()


def test_what_a_server_stores_is_in_a_volume_of_its_own(
    parts: dict[str, dict[str, Any]],
) -> None:
    """Where it stores it: postgresql keeps the orders, a broker what it has accepted, mail what has arrived."""
    stored = {
        "postgresql": "/var/lib/postgresql/data",
        "rabbitmq": "/var/lib/rabbitmq",
        "redis": parts["redis"]["command"][-3],
        "kafka": parts["kafka"]["environment"]["KAFKA_LOG_DIRS"],
        "mail": str(Path(parts["mail"]["environment"]["MP_DATABASE"]).parent),
    }
    found = {part: parts[part]["volumes"][0].split(":") for part in stored}

    assert {part: place for part, (_, place) in found.items()} == stored
    assert len({volume for volume, _ in found.values()}) == len(stored)


def test_each_part_starts_again_by_itself(parts: dict[str, dict[str, Any]]) -> None:
    assert {each["restart"] for each in parts.values()} == {"always"}


def test_a_part_is_not_root_writes_nothing_and_has_no_right_of_the_kernel(
    parts: dict[str, dict[str, Any]],
) -> None:
    """Servers that begin as root to give their data to their own user are left out."""
    own = ("${ORDER_IMAGE}", "${NOTIFICATION_IMAGE}")
    of_image = re.findall(r"^USER (.+)", DOCKERFILE.read_text(), re.MULTILINE)
    limited = {name: each for name, each in parts.items() if name not in SERVERS}

    assert of_image == [USER]
    for name, each in limited.items():
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        if name not in ("mail", "prometheus"):
            assert each["image"] in own or each["user"] == USER, name


def test_what_is_published_is_published_to_this_machine_alone(
    parts: dict[str, dict[str, Any]],
) -> None:
    published = [port for each in parts.values() for port in each.get("ports", ())]

    assert len(published) == 3
    assert all(each.startswith("127.0.0.1:") for each in published)


def test_an_image_takes_no_package_that_is_not_locked_by_its_hash() -> None:
    installs = re.findall(r"pip install (.+)", DOCKERFILE.read_text())

    assert len(installs) == 1
    assert {"--no-deps", "--require-hashes"} <= {*installs[0].split()}
