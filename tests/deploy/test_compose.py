"""Tests of deploy/compose beside what `make run` and `make observe` do: no setting is forgotten in one of them."""

import re
from typing import Any

import pytest
import yaml

from toolchain import runfile
from toolchain.observe import collector
from toolchain.runfile import ROOT
from toolchain.servers import kafka
from toolchain.up import images, stack


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


def test_each_broker_has_a_part_a_folder_of_components_and_a_volume(
    parts: dict[str, dict[str, Any]],
) -> None:
    """Data of one are not given to another."""
    for broker in images.BROKERS:
        assert parts[broker]["profiles"] == [broker]
        assert (ROOT / "components" / broker / "pubsub.yaml").exists()
        assert parts[broker]["volumes"][0].startswith(f"{broker}:")
