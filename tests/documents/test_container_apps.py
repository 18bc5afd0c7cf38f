"""deploy/azure/template.json: Azure knows every property in it, and it says what the project's files say.

That it is up to date, test_publishing.py checks.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain.documents import container_apps
from toolchain.documents.container_apps import ROOT

Json = dict[str, Any]

TEMPLATE: Json = json.loads((ROOT / container_apps.FILE).read_text())
COMPONENTS = [each for each in TEMPLATE["resources"] if "dapr" in each["type"]]
APPS = [each for each in TEMPLATE["resources"] if "dapr" not in each["type"]]
TYPES = yaml.safe_load((Path(__file__).parent / "azure" / "types.yaml").read_text())
PLAIN = {"str": str, "int": int, "bool": bool}


def misfits(value: Any, kind: Any, where: str) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield where a value is not of its type."""
    if isinstance(kind, list):
        for each in value:
            yield from misfits(each, kind[0], where)
    elif kind not in PLAIN:
        known = dict.fromkeys(value, "str") if kind == "values" else TYPES[kind]
        yield from (f"{where}.{each} is unknown" for each in value.keys() - known)
        for name in value.keys() & known:
            yield from misfits(value[name], known[name], f"{where}.{name}")
    elif type(value) is not PLAIN[kind]:
        yield f"{where} is no {kind}"


@pytest.mark.parametrize(
    "resource", TEMPLATE["resources"], ids=lambda each: str(each["name"])[-20:]
)
def test_every_property_is_one_of_azures(resource: Json) -> None:
    kind = "Component" if resource in COMPONENTS else "App"

    assert list(misfits(resource["properties"], kind, "properties")) == []
    assert resource["apiVersion"] == "2025-07-01"


def test_a_property_that_azure_does_not_have_is_found() -> None:
    app = json.loads(json.dumps(APPS[0]["properties"]))
    app["configuration"]["dapr"]["appID"] = app["configuration"]["dapr"].pop("appId")
    app["template"]["scale"]["minReplicas"] = "2"

    assert sorted(misfits(app, "App", "app")) == [
        "app.configuration.dapr.appID is unknown",
        "app.template.scale.minReplicas is no int",
    ]


def test_a_component_says_what_its_file_says() -> None:
    for file, resource in zip(container_apps.COMPONENTS, COMPONENTS, strict=True):
        declared = yaml.safe_load((ROOT / file).read_text())
        made = resource["properties"]
        assert made["componentType"] == declared["spec"]["type"]
        assert made["scopes"] == declared["scopes"]
        names = [each["name"] for each in declared["spec"]["metadata"]]
        assert [each["name"] for each in made["metadata"]] == names
        values = {each["name"]: each.get("value") for each in made["metadata"]}
        for each in declared["spec"]["metadata"]:
            if "value" in each:
                assert values[each["name"]] == each["value"]


def test_every_parameter_is_declared_and_used() -> None:
    text = (ROOT / container_apps.FILE).read_text()

    used = set(re.findall(r"parameters\('(\w+)'\)", text))

    assert used == TEMPLATE["parameters"].keys()


def test_no_secret_stands_in_the_template_and_each_that_is_used_is_there() -> None:
    for resource in TEMPLATE["resources"]:
        properties = resource["properties"]
        held = properties.get("configuration", properties)["secrets"]
        used = set(re.findall(r'"secretRef": "([a-z-]+)"', json.dumps(properties)))
        assert {each["name"] for each in held} == used
        assert {each["name"] for each in held if "value" in each} <= {"subscription"}
        assert all(re.fullmatch(r"[a-z0-9-]+", each["name"]) for each in held)


def test_what_an_app_reads_is_in_its_image_or_is_mounted() -> None:
    for app in APPS:
        template = app["properties"]["template"]
        (container,), (volume,) = template["containers"], template["volumes"]
        (mount,) = container["volumeMounts"]
        values = {each["name"]: each.get("value") for each in container["env"]}

        mounted = {f"{mount['mountPath']}/{each['path']}" for each in volume["secrets"]}
        assert values["SUBSCRIPTION_FILE"] in mounted
        assert values["SECRETS_FOLDER"] == mount["mountPath"]
        assert {"feed.secret", "order.keys", "notification.keys"} <= {
            Path(each).name for each in mounted
        }
        assert Path(container["command"][0]).name == "uvicorn"
        assert "127.0.0.1" not in json.dumps(app)


def test_the_tuning_that_is_mounted_is_that_of_the_brokers_folder() -> None:
    for app in APPS:
        held = app["properties"]["configuration"]["secrets"]
        (tuning,) = [each["value"] for each in held if each["name"] == "subscription"]
        assert yaml.safe_load(tuning)["kind"] == "SubscriptionTuning"
        assert tuning == container_apps.TUNING.read_text()
