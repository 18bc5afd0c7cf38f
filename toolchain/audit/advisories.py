"""Which locked Python packages are known to be vulnerable, by pip-audit; and which nobody could ask about."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.audit.programs import run


@dataclass(frozen=True)
class Asked:
    """The packages that were checked, what is known of them, and those that could not be checked."""

    checked: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def ask(root: Path, requirements: str) -> Asked:
    """Return what is known of the packages of a file; raises CalledProcessError where nobody answers."""
    said = run(
        root,
        *("pip-audit", "--disable-pip", "--require-hashes", "-r", requirements),
        *("--format", "json", "--progress-spinner", "off"),
        # It is 1 where something was found.
        accepts=(0, 1),
    )
    return answer(json.loads(said))


def answer(document: dict[str, Any]) -> Asked:
    """Return what pip-audit's document says; it counts as clean what it could not ask about."""
    asked = Asked()
    for package in document["dependencies"]:
        name = package["name"]
        if "skip_reason" in package:
            asked.unchecked.append(name)
            continue
        asked.checked.append(name)
        for known in package["vulns"]:
            fixed = ", ".join(known["fix_versions"]) or "none yet"
            asked.findings.append(
                f"{name} {package['version']}: {known['id']}, fixed in: {fixed}"
            )
    return asked
