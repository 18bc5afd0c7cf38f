"""Add a service to this repository: make new-service NAME=invoicing."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template

from toolchain import runfile
from toolchain.machine import terminal
from toolchain.machine.failure import exit_status
from toolchain.machine.processes import python
from toolchain.new_service import edits
from toolchain.new_service.name import Name, check, ports

TEMPLATES = Path(__file__).parent / "template"
REACTION = "count_order_on_order_created"
FILES = {
    "services/{}/__init__.py": None,
    "services/{}/app.py": "app.py",
    "services/{}/model.py": "model.py",
    "services/{}/reactions/__init__.py": None,
    f"services/{{}}/reactions/{REACTION}.py": "reaction.py",
    "services/{}/views/__init__.py": None,
    "services/{}/views/orders_per_day.py": "view.py",
    "tests/{}/__init__.py": None,
    f"tests/{{}}/test_{REACTION}.py": "test.py",
}
"""What is written, and the template that it is written from; the others are empty."""


def main(text: str) -> None:
    """Add the service of this name; raises Failure, and then nothing has changed."""
    root = runfile.ROOT
    name = check(text, root)
    changed = texts(root, name, ports(root))
    before = {each: (root / each).read_text() for each in changed if (root / each).is_file()}  # fmt: skip
    try:
        _write(root, changed)
        _generate(root, name)
    except BaseException:
        _write(root, before)
        for each in changed.keys() - before.keys():
            (root / each).unlink(missing_ok=True)
        for folder in ("services", "tests"):
            shutil.rmtree(root / folder / name.package, ignore_errors=True)
        raise
    _report(name, sorted(before))


def texts(root: Path, name: Name, given: Mapping[str, int]) -> dict[str, str]:
    """Return the text of every file that is new or edited, but for what is generated from the code."""
    values = {"app": name.app, "package": name.package, "words": name.words}
    values |= {"tag": name.words.capitalize()} | {k: str(v) for k, v in given.items()}

    def filled(template: str) -> str:
        return Template((TEMPLATES / f"{template}.txt").read_text()).substitute(values)

    metrics = given["METRICS_PORT"], given["metricsPort"]
    edited = edits.edited(root, name, filled("app.yaml"), filled("policy.yaml"), metrics)  # fmt: skip
    new = {
        path.format(name.package): filled(template) if template else ""
        for path, template in FILES.items()
    }
    secure = f"configuration/secure/{name.app}.yaml"
    return {**edited, **new, secure: filled("secure.yaml")}


def _write(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def _generate(root: Path, name: Name) -> None:
    """Write the migration and the documents, by the commands that one types for them."""
    package, folders = f"services.{name.package}", ("services", "tests")
    ours = [f"{folder}/{name.package}" for folder in folders]
    for command in (
        ("-m", "chassis.database.migrate", package, "Days"),
        ("-m", "ruff", "check", "--quiet", "--fix", *ours),
        ("-m", "ruff", "format", "--quiet", *ours),
        ("-m", "toolchain.documents"),
    ):
        remedy = "Nothing was changed. Correct that, then run it again."
        python(root, *command, remedy=remedy)


def _report(name: Name, edited: list[str]) -> None:
    package = name.package
    what = "an app, a table with its migration, a reaction, a view"
    terminal.done("service", f"services/{package}: {what}")
    terminal.done("test", f"tests/{package}")
    secure = f"configuration/secure/{name.app}.yaml"
    terminal.done("secure", f"{secure}: the gateway stays closed to it")
    terminal.done("edited", "\n".join(edited))
    terminal.done("made", "docs/api, docs/reference.md")
    terminal.plainly(f"""
  It counts the orders of each day. Try it, then make it yours:

    make format check && .venv/bin/python -m pytest tests/{package}
    make run                                     # then, after `make demo` in another terminal:
    curl localhost:3500/v1.0/invoke/{name.app}/method/api/{name.app}

  docs/tutorial.md goes through its files, and says how to replace the example.""")


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(sys.argv[1] if len(sys.argv) > 1 else "")))
