"""Write what a release consists of into .local/release: python -m toolchain.release [v1.2.3].

The chassis as a package, the CHANGELOG's section as notes, and the bills of materials, those of the images too.
"""

import re
import shutil
import subprocess
import sys

from toolchain import images
from toolchain.audit.__main__ import BILLS, write_bills
from toolchain.machine import Machine, terminal, this_machine
from toolchain.machine.failure import Failure, exit_status

FOLDER = ".local/release"
NOTES = "notes.md"


def write(machine: Machine, tag: str) -> None:
    """Write the release of the version in pyproject.toml; raises Failure where the tag is of another."""
    version = machine.version
    if tag not in {"", f"v{version}"}:
        raise Failure(
            f"The tag is {tag}, and the version in pyproject.toml is {version}",
            "A release is named by both.",
            f"Tag the commit as v{version}, or correct pyproject.toml and tag again.",
        )
    notes = notes_of((machine.root / "CHANGELOG.md").read_text(), version)
    folder = machine.root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / NOTES).write_text(notes)
    uv = machine.programs / "uv"
    subprocess.run(
        [uv, "build", "--quiet", "--out-dir", folder, machine.root], check=True
    )
    write_bills(machine)
    images.write_bills(machine)
    for bill in (machine.root / BILLS).glob("*.json"):
        shutil.copy(bill, folder)
    terminal.done("release", f"{version} in {FOLDER}")


def notes_of(changelog: str, version: str) -> str:
    """Return the version's section of the CHANGELOG; raises Failure where it has none."""
    section = rf"^## \[?{re.escape(version)}\]?[^\n]*\n(.+?)(?=^## |\Z)"
    found = re.search(section, changelog, re.MULTILINE | re.DOTALL)
    if not found:
        raise Failure(
            f"CHANGELOG.md has no section {version}",
            "It is what the release says about itself.",
            f"Write one, under a line that begins with: ## {version}",
        )
    return found[1].strip() + "\n"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(exit_status(lambda: write(this_machine(), "".join(arguments))))
