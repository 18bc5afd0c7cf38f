"""Makes what deploy/kubernetes has of components/, configuration/ and observability/: `make docs`."""

from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "orders"
SHARED = (
    "components/resiliency.yaml",
    "components/secrets.yaml",
    "components/mail/smtp/email.yaml",
)
HEADER = "# Made from {source} by `make docs`: change it there.\n"


def made(root: Path) -> dict[str, str]:
    """Return the text of each generated manifest by its path."""
    here = "deploy/kubernetes"
    files = {
        f"{here}/base/dapr.yaml": _base(root),
        f"{here}/monitoring/rules.yaml": _rules(root),
    }
    for folder in sorted((root / here).glob("*/components.yaml")):
        broker = folder.parent.name
        files[f"{here}/{broker}/components.yaml"] = _broker(root, broker)
        tuning = f"components/{broker}/subscription.yaml"
        files[f"{here}/{broker}/subscription.yaml"] = _copy(root, tuning)
    return files


def _base(root: Path) -> str:
    configurations = [
        HEADER.format(source=f"configuration/ for {each}")
        + yaml.safe_dump(_configuration(root, each), sort_keys=False)
        for each in ("order", "notification")
    ]
    return "---\n".join([*configurations, *(_copy(root, each) for each in SHARED)])


def _configuration(root: Path, app: str) -> dict[str, Any]:
    """Return both Configurations of an app in one: a pod takes only one, and Kubernetes has its own names."""
    shared = yaml.safe_load((root / "configuration/dapr.yaml").read_text())
    own = yaml.safe_load((root / f"configuration/secure/{app}.yaml").read_text())
    spec = {"secrets": shared["spec"]["secrets"], **own["spec"]}
    for policy in spec["accessControl"]["policies"]:
        policy["namespace"] = NAMESPACE
    return {**own, "spec": spec}


def _broker(root: Path, broker: str) -> str:
    folder = root / "components" / broker
    return "---\n".join(
        _copy(root, str(file.relative_to(root)))
        for file in sorted(folder.glob("*.yaml"))
        if file.name != "subscription.yaml"
    )


def _rules(root: Path) -> str:
    folder = root / "observability" / "rules"
    groups = [
        group
        for file in sorted(folder.glob("*.yaml"))
        for group in yaml.safe_load(file.read_text())["groups"]
    ]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "orders"},
        "spec": {"groups": groups},
    }
    text: str = yaml.safe_dump(rule, sort_keys=False, width=120)
    return HEADER.format(source="observability/rules") + text


def _copy(root: Path, source: str) -> str:
    return HEADER.format(source=source) + (root / source).read_text()
