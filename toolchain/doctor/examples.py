"""The examples of each rule, a bad and a good one: documentation, and its tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "rules"
HEAD = "apiVersion: dapr.io/{version}\nkind: {kind}\nmetadata: {{name: {name}}}\n"
RUN_FILE = "dapr.yaml"


@dataclass(frozen=True)
class Example:
    """An example of a rule: an excerpt, or whole files, and what lies beside it."""

    bad: Mapping[str, str]
    good: Mapping[str, str]
    of: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    daprd: str | None = None

    def write(self, files: Mapping[str, str], folder: Path) -> None:
        """Write the bad or the good one into a folder, as a project."""
        for name, text in {**self.beside, **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if name in self.beside else _whole(self.of, text))


@cache
def all_examples() -> Mapping[str, Example]:
    """Return the examples by their rules' ids."""
    found: dict[str, Example] = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        for rule, told in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            found[rule] = _example(told)
    return found


def _example(told: dict[str, Any]) -> Example:
    return Example(
        _files(told, "bad"),
        _files(told, "good"),
        told.get("of", ""),
        told.get("beside", {}),
        told.get("environment"),
        told.get("daprd"),
    )


def _files(told: dict[str, Any], key: str) -> dict[str, str]:
    content = told[key]
    if isinstance(content, dict):
        return dict(content)
    return {
        RUN_FILE if told.get("of") == "run file" else "components/example.yaml": content
    }


def _whole(of: str, excerpt: str) -> str:
    """Return the file that an excerpt stands for."""
    if of in ("", "run file"):
        return excerpt
    if of in ("Configuration", "Resiliency", "Subscription"):
        return (
            HEAD.format(version="v1alpha1", kind=of, name="example")
            + f"spec:\n{indent(excerpt, '  ')}"
        )
    head = HEAD.format(version="v1alpha1", kind="Component", name="pubsub")
    return f"{head}spec:\n  type: {of}\n  version: v1\n  metadata:\n{indent(excerpt, '  ')}"
