"""The edits that a new service needs in YAML: lines are added, and every comment stays."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.new_service.name import Name

Edit = Callable[[str], str]
TOPIC = "OrderCreated"
"""What the example subscribes to."""
SENDER = "order"
"""The service whose feed it pulls."""


def edited(root: Path, name: Name, app: str, policy: str, metrics: tuple[int, int]) -> dict[str, str]:  # fmt: skip
    """Return the new text of each file that is edited, by its path; raises Failure where one cannot be."""
    texts: dict[str, str] = {}
    for path, edit in _edits(root, name, app, policy, metrics):
        before = (root / path).read_text()
        after = edit(before)
        if after != before:
            _check(path, after, name)
            texts[path] = after
    return texts


def _edits(
    root: Path, name: Name, app: str, policy: str, metrics: tuple[int, int]
) -> Iterator[tuple[str, Edit]]:
    yield "dapr.yaml", lambda text: _ended(text) + app
    yield f"configuration/secure/{SENDER}.yaml", lambda text: _ended(text) + policy
    yield "observability/prometheus.yaml", lambda text: _scraped(text, name, metrics)
    yield "components/secrets.yaml", lambda text: _scoped(text, name)
    for file in sorted(root.glob("components/*/pubsub*.yaml")):
        path = str(file.relative_to(root))
        yield path, lambda text: _with_topics(_scoped(text, name), name)


def _ended(text: str) -> str:
    return text.rstrip("\n") + "\n"


def _scoped(text: str, name: Name) -> str:
    """Add a service to a component's scopes; one without scopes is for every service."""
    return re.sub(
        r"(?m)^scopes:\n(?:  - .*\n)+",
        rf"\g<0>  - {name.app}\n",
        _ended(text),
    )


def _with_topics(text: str, name: Name) -> str:
    """Allow it to subscribe to the example's topic and to its dead letters, which nobody else may publish."""
    dead = f"{name.app}-dead-letter"
    for setting, value in (
        ("protectedTopics", f",{dead}"),
        ("publishingScopes", f";{name.app}={dead}"),
        ("subscriptionScopes", f";{name.app}={TOPIC},{dead}"),
    ):
        pattern = rf"(- name: {setting}\n +value: .*)"
        text = re.sub(pattern, rf"\g<0>{value}", text)
    return text


def _scraped(text: str, name: Name, metrics: tuple[int, int]) -> str:
    """Add it at the end of Prometheus' lists of services and of sidecars."""
    for job, port in zip(("services", "sidecars"), metrics, strict=True):
        line = f'      - {{targets: ["127.0.0.1:{port}"], labels: {{service: {name.app}}}}}\n'
        text = re.sub(
            rf"- job_name: {job}\n    static_configs:\n(?:      - .*\n)+",
            rf"\g<0>{line}",
            _ended(text),
        )
    return text


def _check(path: str, text: str, name: Name) -> None:
    try:
        named = re.search(rf"\b{name.app}\b", str(yaml.safe_load(text)))
    except yaml.YAMLError:
        named = None
    if not named:
        raise Failure(
            f"{path} is not laid out as the others",
            f"With what {name.app} needs at its end it would be no YAML any more.",
            "Nothing was changed. Lay its lists out as in a fresh clone, then run it again.",
            EX_CONFIG,
        )
