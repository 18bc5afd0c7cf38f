"""`dapr run -k` with deploy/dapr-run-k.yaml: what the CLI deploys, to an API server and a kubectl that note it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from toolchain.documents import cluster_run
from toolchain.machine import this_machine

ROOT = Path(__file__).parents[2]
KUBECTL = """\
#!/bin/sh
# kubectl apply -f FILE
number=$(ls "{folder}" | wc -l)
cp "$3" "{folder}/$number-$1.yaml"
"""
Json = dict[str, Any]


class Api(BaseHTTPRequestHandler):
    """An API server whose pods run when they are asked for, and are then gone."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Answer what the CLI asks about pods; there is nothing else."""
        is_pods = "/pods" in self.path
        self.send_response(200 if is_pods else 404)
        self.send_header("content-type", "application/json")
        self.end_headers()
        pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "pod"}}
        running = {**pod, "status": {"phase": "Running"}}
        listed = {"kind": "PodList", "apiVersion": "v1", "items": [pod]}
        events = [{"type": each, "object": running} for each in ("MODIFIED", "DELETED")]
        for each in events if "watch=" in self.path else [listed]:
            self.wfile.write(json.dumps(each).encode() + b"\n")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def api() -> Iterator[str]:
    """Run the API server; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def deployed(run_file: Path, folder: Path) -> list[tuple[str, Json]]:
    """Return what kubectl is told to apply and to delete, in order."""
    noted, home = folder / "noted", folder / "home"
    for each in (noted, home / ".kube"):
        each.mkdir(parents=True)
    kubectl = folder / "kubectl"
    kubectl.write_text(KUBECTL.format(folder=noted))
    kubectl.chmod(0o755)
    with api() as url:
        context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": url}}],
            "contexts": [context],
            "users": [{"name": "x", "user": {}}],
        }
        (home / ".kube" / "config").write_text(yaml.safe_dump(configuration))
        environment = {**os.environ, "HOME": str(home), "KUBECONFIG": ""}
        environment["PATH"] = f"{folder}:{environment['PATH']}"
        subprocess.run(
            [this_machine().programs / "dapr", "run", "-k", "-f", run_file],
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
    files = sorted(noted.iterdir(), key=lambda each: int(each.name.partition("-")[0]))
    return [
        (each.stem.partition("-")[2], yaml.safe_load(each.read_text()))
        for each in files
    ]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with the run file and what it names."""
    for each in ("order", "notification"):
        (tmp_path / "services" / each).mkdir(parents=True)
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / cluster_run.FILE, tmp_path / cluster_run.FILE)
    return tmp_path


def names(found: list[tuple[str, Json]]) -> list[tuple[str, str]]:
    """Return the verbs with the deployments' names."""
    return [(verb, each["metadata"]["name"]) for verb, each in found]


def test_both_services_are_deployed_with_their_images_and_removed_again(
    clone: Path, tmp_path: Path
) -> None:
    found = deployed(clone / cluster_run.FILE, tmp_path / "run")

    both = ("order", "notification")
    assert names(found) == [
        (verb, each) for verb in ("apply", "delete") for each in both
    ]
    for (_, made), name in zip(found, both, strict=False):
        pod = made["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        assert container["image"] == f"orders-on-dapr/{name}"
        variables = {each["name"] for each in container["env"]}
        assert {"PORT", "METRICS_PORT", "DATABASE_URL"} <= variables


def test_the_cli_passes_over_all_that_is_not_in_the_file(
    clone: Path, tmp_path: Path
) -> None:
    file = clone / cluster_run.FILE
    document = yaml.safe_load(file.read_text())
    shared = yaml.safe_load((ROOT / "dapr.yaml").read_text())["common"]
    kept = ("appHealthCheckPath", "enableAppHealthCheck", "appHealthThreshold")
    document["common"] = {each: shared[each] for each in kept}
    document["apps"][0]["command"] = ["something", "else"]
    file.write_text(yaml.safe_dump(document))

    (_, made), *_ = deployed(file, tmp_path / "run")

    pod = made["spec"]["template"]
    assert {*pod["metadata"]["annotations"]} == {
        *("dapr.io/app-id", "dapr.io/app-port", "dapr.io/enabled"),
        *("dapr.io/metrics-port", "dapr.io/unix-domain-socket-path"),
    }
    assert "command" not in pod["spec"]["containers"][0]


def test_with_one_folder_for_both_the_cli_leaves_the_first_deployment_behind(
    clone: Path, tmp_path: Path
) -> None:
    file = clone / cluster_run.FILE
    file.write_text(file.read_text().replace("services/order", "services/notification"))

    found = deployed(file, tmp_path / "run")

    assert names(found)[2:] == [("delete", "notification")] * 2
