"""The manifests of deploy/kubernetes: made from the project's own YAML, and admitted by a real API server."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.eventually import within
from toolchain import runfile
from toolchain.cluster import api_server, manifests
from toolchain.cluster.api_server import Cluster
from toolchain.cluster.programs import KUBECTL
from toolchain.dapr import build
from toolchain.machine import this_machine
from verification.kubernetes import system

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy" / "kubernetes"
BROKERS = sorted(each.parent.name for each in HERE.glob("*/components.yaml"))
ANNOTATIONS = Path("pkg/injector/annotations/annotations.go")
DAPR = "github.com/dapr/dapr"
KEDA = "github.com/kedacore/keda/v2@v2.18.1"
PROMETHEUS = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
OPTIONAL = {
    "scaling": (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    "monitoring": (PROMETHEUS, "example/prometheus-operator-crd"),
}
Document = dict[str, Any]


def built(folder: Path, kubectl: Path | None = None) -> list[Document]:
    """Return what kustomize makes of a folder."""
    kubectl = kubectl or build.provide(this_machine(), KUBECTL)
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def module(name: str) -> Path:
    """Return the source of a Go module; without a version, of the one that the sidecar is built from."""
    return build.source(this_machine(), "runtime", name)


def learn(cluster: Cluster, definitions: Path) -> None:
    """Teach the API server kinds, and wait until it knows them."""
    # Server-side: what apply itself keeps of such a document would be too long for an annotation.
    said = cluster.do("apply", "--server-side", "-f", str(definitions), "-o", "name")
    cluster.do(
        "wait", "--for=condition=Established", "--timeout=60s", *said.splitlines()
    )
    # A kind is established before it is served.
    kinds = ",".join(each.partition("/")[2] for each in said.splitlines())
    question = ("get", kinds, "--all-namespaces")
    within(60, lambda: not cluster.run(*question).returncode, "kinds are served")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield an API server that knows Dapr's kinds."""
    folder = tmp_path_factory.mktemp("cluster")
    with api_server.running(this_machine(), folder) as made:
        learn(made, module(DAPR) / "charts/dapr/crds")
        # Server-side as all else: kubectl warns of what is applied in both ways.
        namespace = str(HERE / "base" / "namespace.yaml")
        made.do("apply", "--server-side", "-f", namespace)
        yield made


@pytest.mark.parametrize("broker", BROKERS)
def test_every_manifest_is_admitted_without_a_warning(
    cluster: Cluster, broker: str
) -> None:
    said = cluster.do("apply", "--server-side", "-k", str(HERE / broker))

    assert "Warning" not in said
    number = len(built(HERE / broker))
    assert said.count("serverside-applied") == number


@pytest.mark.parametrize("kind", ["Deployment", "Component", "Configuration"])
def test_a_misspelt_field_is_refused(cluster: Cluster, kind: str) -> None:
    document = next(each for each in built(HERE / "rabbitmq") if each["kind"] == kind)
    document["spec"]["misspelt"] = {}

    refused = cluster.run(
        "apply", "--dry-run=server", "-f-", given=yaml.safe_dump(document)
    )

    assert refused.returncode
    assert 'unknown field "spec.misspelt"' in refused.stderr


def pod(service: str) -> Document:
    """Return the pod that a Deployment's template describes."""
    template: Document = deployment(service)["spec"]["template"]
    metadata = {**template["metadata"], "name": service, "namespace": "orders"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template["spec"],
    }


def deployment(service: str) -> Document:
    """Return a service's Deployment."""
    return next(
        each
        for each in built(HERE / "rabbitmq")
        if each["kind"] == "Deployment" and each["metadata"]["name"] == service
    )


@pytest.mark.parametrize("service", ["order", "notification"])
def test_its_pods_may_run_where_security_is_restricted(
    cluster: Cluster, service: str
) -> None:
    cluster.do("apply", "--server-side", "-k", str(HERE / "rabbitmq"))
    mine = pod(service)
    admitted = cluster.do(
        "create", "--dry-run=server", "-f-", given=yaml.safe_dump(mine)
    )
    assert "Warning" not in admitted

    del mine["spec"]["securityContext"]["runAsNonRoot"]
    refused = cluster.run(
        "create", "--dry-run=server", "-f-", given=yaml.safe_dump(mine)
    )
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_the_dns_of_a_cluster_of_the_projects_own_is_admitted(cluster: Cluster) -> None:
    """`make cluster` runs it."""
    said = cluster.do(
        "apply", "--server-side", "--dry-run=server", "-f", str(system.DNS)
    )

    assert "Warning" not in said


def test_what_is_made_is_made_from_what_runs_here() -> None:
    for path, text in manifests.made(ROOT).items():
        assert (ROOT / path).read_text() == text, f"{path}: run `make docs`"


def test_every_broker_that_runs_here_has_an_overlay() -> None:
    assert sorted(runfile.VARIABLES) == BROKERS


@pytest.mark.parametrize("service", ["order", "notification"])
def test_a_pod_runs_what_dapr_yaml_runs(service: str) -> None:
    system = runfile.load()
    app, common = system.app(service), system.document["common"]
    template = deployment(service)["spec"]["template"]
    (container,) = template["spec"]["containers"]
    said = template["metadata"]["annotations"]

    here = ["--host=0.0.0.0" if "--host" in each else each for each in app["command"]]
    assert container["command"] == here[1:]
    assert said["dapr.io/app-id"] == service
    assert said["dapr.io/app-port"] == str(app["appPort"])
    for name in ("Path", "Interval", "Timeout", "Threshold"):
        kebab = re.sub("([A-Z])", r"-\1", declared(common, name)).lower()
        assert said[f"dapr.io/{kebab}"] == str(common[declared(common, name)])


def declared(common: Document, ending: str) -> str:
    """Return the name in dapr.yaml of what is declared about the app's health."""
    return next(
        each
        for each in common
        if each.startswith("appHealth") and each.endswith(ending)
    )


def test_every_annotation_is_one_that_dapr_knows() -> None:
    known = set(
        re.findall(r'"(dapr\.io/[^"]+)"', (module(DAPR) / ANNOTATIONS).read_text())
    )

    for broker in BROKERS:
        for each in built(HERE / broker):
            said = each.get("spec", {}).get("template", {}).get("metadata", {})
            ours = {
                name
                for name in said.get("annotations", {})
                if name.startswith("dapr.io/")
            }
            assert ours <= known


@pytest.mark.parametrize("service", ["order", "notification"])
def test_a_pod_has_time_to_end(service: str) -> None:
    template = deployment(service)["spec"]["template"]
    sidecar = int(
        template["metadata"]["annotations"]["dapr.io/graceful-shutdown-seconds"]
    )
    (container,) = template["spec"]["containers"]
    app = next(
        int(each.partition("=")[2])
        for each in container["command"]
        if each.startswith("--timeout-graceful-shutdown")
    )

    assert template["spec"]["terminationGracePeriodSeconds"] > app + sidecar


@pytest.mark.parametrize("part", OPTIONAL)
def test_the_optional_parts_are_admitted_with_each_broker(
    cluster: Cluster, tmp_path: Path, part: str
) -> None:
    owner, definitions = OPTIONAL[part]
    learn(cluster, module(owner) / definitions)
    relative = os.path.relpath(HERE, tmp_path.resolve())
    for broker in BROKERS:
        content = {
            "resources": [f"{relative}/{broker}"],
            "components": [f"{relative}/{part}"],
        }
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
        said = cluster.do(
            "apply", "--server-side", "--dry-run=server", "-k", str(tmp_path)
        )
        assert "Warning" not in said
        assert len(built(tmp_path)) == said.count("serverside-applied")
