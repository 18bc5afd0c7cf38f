"""Brings the system into a cluster as docs/kubernetes.md says: Dapr by its own chart, secrets, one overlay."""

import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chassis.dapr.tokens import load_feed_secret
from chassis.keys import load_signing_keys
from tests.support.eventually import within
from toolchain.cluster import node
from toolchain.cluster.api_server import Cluster
from toolchain.cluster.node import ADDRESS
from toolchain.cluster.programs import HELM
from toolchain.dapr import build
from toolchain.issuer.tokens import AUDIENCE
from toolchain.machine import Machine
from verification.kubernetes.issuer import URL, Published

HERE = Path(__file__).parent
DNS = Path(node.__file__).with_name("dns.yaml")
SERVICES = ("order", "notification")
DATABASE = "10.96.0.54"
READY_WITHIN = 300
CHART = {
    "global.registry": "orders-on-dapr",
    "global.tag": "local",
    # Nothing here uses actors, jobs or workflows.
    "global.actors.enabled": "false",
    "global.scheduler.enabled": "false",
    "dapr_sidecar_injector.sidecarDropALLCapabilities": "true",
    # No pod of ours without its sidecar, and no other one waits for the injector.
    "dapr_sidecar_injector.webhookFailurePolicy": "Fail",
    r"dapr_sidecar_injector.namespaceSelector.matchLabels.kubernetes\.io/metadata\.name": "orders",
}


@dataclass(frozen=True)
class System:
    """The system in its cluster."""

    machine: Machine
    cluster: Cluster
    folder: Path
    password: str

    def database(self, service: str) -> str:
        """Return the URL of a service's database; this machine reaches it, and pods do."""
        return f"postgresql://{service}:{self.password}@{DATABASE}/{service}"

    def apply(self, text: str) -> None:
        """Apply manifests, again until all of their kinds are served."""
        command = ("apply", "--server-side", "-f-")
        within(
            60,
            lambda: not self.cluster.run(*command, given=text).returncode,
            f"applied: {text[:60]}",
        )

    def is_rolled_out(self, namespace: str) -> None:
        """Wait until every pod that a Deployment or StatefulSet wants is ready."""
        for each in self.names("deployments,statefulsets", namespace):
            self.cluster.do(
                "rollout", "status", each, f"--namespace={namespace}", f"--timeout={READY_WITHIN}s"
            )  # fmt: skip

    def names(self, kinds: str, namespace: str, label: str = "") -> list[str]:
        """Return the names of objects, each after its kind."""
        return self.cluster.do(
            "get", kinds, f"--namespace={namespace}", f"--selector={label}", "--output=name"
        ).split()  # fmt: skip


def install_dns(system: System) -> None:
    """Install what finds a Service by its name."""
    system.apply(DNS.read_text())
    system.is_rolled_out("kube-system")


def install_dapr(system: System) -> None:
    """Install Dapr's control plane as its chart has it."""
    chart = build.source(system.machine, "runtime", "github.com/dapr/dapr")
    chart = chart / "charts" / "dapr"
    helm = build.provide(system.machine, HELM)
    settings = [f"--set={name}={value}" for name, value in CHART.items()]
    rendered = subprocess.run(
        [helm, "template", "dapr", chart, "--namespace=dapr-system", *settings],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(system.folder)},
    ).stdout
    system.cluster.do("create", "namespace", "dapr-system")
    system.cluster.do("apply", "--server-side", "-f", str(chart / "crds"))
    system.apply(rendered)
    system.is_rolled_out("dapr-system")


def install(system: System, issuer: Published) -> None:
    """Install the servers, the secrets and the overlay for RabbitMQ; returns when all of it is ready."""
    cluster = system.cluster
    base = Path("deploy/kubernetes/base/namespace.yaml")
    cluster.do("apply", "--server-side", "-f", str(system.machine.root / base))
    servers = (
        (HERE / "servers.yaml").read_text().replace("OF-THIS-RUN", system.password)
    )
    *first, gateway = servers.split("---\n")
    system.apply("---\n".join(first))
    _configure_databases(system)
    system.is_rolled_out("servers")
    system.apply(
        "---\n".join(yaml.safe_dump(each) for each in _secrets(system, issuer))
    )
    cluster.do("apply", "--server-side", "-k", str(_own(system)))
    system.apply(gateway)
    system.is_rolled_out("orders")
    cluster.do(
        "wait", "--for=condition=Ready", "pod/gateway", "--namespace=orders", "--timeout=120s"
    )  # fmt: skip


def _configure_databases(system: System) -> None:
    script = system.machine.root / "deploy/compose/databases.sh"
    system.cluster.do(
        "create", "configmap", "databases", "--namespace=servers", f"--from-file={script}"
    )  # fmt: skip


def _own(system: System) -> Path:
    """Write the kustomization that a user writes: the issuer and the images are their own."""
    folder = system.folder / "overlay"
    folder.mkdir()
    overlay = system.machine.root / "deploy" / "kubernetes" / "rabbitmq"
    settings = {
        "OIDC_ISSUER": URL,
        "OIDC_AUDIENCE": AUDIENCE,
        "SSL_CERT_FILE": "/run/secrets/orders/issuer.pem",
    }
    content = {
        "namespace": "orders",
        "resources": [os.path.relpath(overlay, folder)],
        "configMapGenerator": [
            {
                "name": "settings",
                "behavior": "merge",
                "literals": [f"{name}={value}" for name, value in settings.items()],
            }
        ],
        "images": [
            {"name": f"orders-on-dapr/{each}", "newTag": "local"} for each in SERVICES
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return folder


def _secrets(system: System, issuer: Published) -> list[dict[str, Any]]:
    keys = system.folder / "keys"
    load_feed_secret(keys / "feed.secret")
    for service in SERVICES:
        load_signing_keys(keys / f"{service}.keys")
    files = {each.name: each.read_text() for each in keys.iterdir()}
    files["issuer.pem"] = issuer.certificate.read_text()
    broker = f"amqp://orders:{system.password}@rabbitmq.servers.svc.cluster.local:5672"
    mail = {"SMTP_HOST": ADDRESS, "SMTP_PORT": "587", "SMTP_FROM": "orders@example.org"}
    found = [
        _secret("broker", {"RABBITMQ_URL": broker}),
        _secret("mail", {**mail, "SMTP_USER": "", "SMTP_PASSWORD": ""}),
    ]
    for service in SERVICES:
        found += [
            _secret(f"{service}-database", {"url": system.database(service)}),
            _secret(f"{service}-keys", files),
            _secret(f"{service}-api-token", {"token": secrets.token_hex()}),
            _secret(f"{service}-app-token", {"token": secrets.token_hex()}),
        ]
    return found


def _secret(name: str, content: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "orders"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "stringData": content,
    }
