"""What is generated, and where: a published schema is never replaced by one that breaks it."""

import json
from pathlib import Path
from typing import Any

import yaml

from chassis.event import Event
from toolchain.cluster import manifests
from toolchain.doctor import page
from toolchain.doctor.finding import PAGE
from toolchain.documents import (
    asyncapi,
    cluster_run,
    container_apps,
    names,
    reference,
    schemas,
    services,
)
from toolchain.documents.compatibility import incompatibilities
from toolchain.machine.failure import Failure

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = "contracts/schemas"
API = "docs/api"


def generated() -> dict[str, str]:
    """Return every generated document by its path from the root; the same code makes the same text."""
    found = {_path(each): _json(schemas.of_event(each)) for each in schemas.events()}
    for name in services.names():
        found[f"{API}/{name}.openapi.json"] = _json(services.app(name).openapi())
    text = yaml.dump(
        asyncapi.document(),
        Dumper=Plain,
        sort_keys=False,
        allow_unicode=True,
        width=110,
    )
    head = "# Made by `make docs` from the code; a change here would be lost.\n"
    found[f"{API}/asyncapi.yaml"] = head + text
    found[PAGE] = page.text()
    found |= manifests.made(ROOT)
    found[container_apps.FILE] = container_apps.document()
    found[cluster_run.FILE] = cluster_run.document()
    found[names.PAGE] = names.document()
    return {**found, "docs/reference.md": reference.document()}


class Plain(yaml.SafeDumper):
    """YAML without anchors, with texts of several lines as they are read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401 - its base's signature
        """Write what occurs twice twice."""
        return True


def _text(dumper: Plain, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


Plain.add_representer(str, _text)


def _path(event: type[Event]) -> str:
    return f"{SCHEMAS}/{schemas.file_name(event)}.json"


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def publish(root: Path) -> str:
    """Write every document that changed; write nothing at all if a published version would break."""
    documents = generated()
    for event in schemas.events():
        check(event, root)
    changed = {
        path: text for path, text in documents.items() if _differs(root / path, text)
    }
    for path, text in changed.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return f"{len(documents)} documents, {len(changed)} of them changed"


def check(event: type[Event], root: Path) -> None:
    """Raise Failure where an event's class breaks its version that is published."""
    published = root / _path(event)
    if not published.exists():
        return
    found = incompatibilities(
        json.loads(published.read_text(encoding="utf-8")), schemas.of_event(event)
    )
    if found:
        raise Failure(
            f"{event.contract()}, version {event.version}, is published, and its class would break it",
            "\n".join(found),
            f"Take the change back, or make version {event.version + 1} beside it: "
            'CONTRIBUTING.md, "Change an event".',
        )


def _differs(file: Path, text: str) -> bool:
    return not file.exists() or file.read_text(encoding="utf-8") != text
