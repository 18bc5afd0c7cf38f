"""The documents name and show only what is there; tests/toolchain/test_run.py types their commands."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_verb_that_a_document_names_is_one_of_the_makefile(
    document: Path,
) -> None:
    verbs = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )

    named = set(
        re.findall(r"(?:`|^|&& )make ([a-z-]+)", document.read_text(), re.MULTILINE)
    )

    assert named <= verbs


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_a_document_names_is_there(document: Path) -> None:
    folders = (
        "chassis|components|configuration|contracts|docs|observability|services|tests|toolchain"
        "|verification"
    )
    named = re.findall(rf"`((?:{folders})/[\w./-]*\w)[/`]", document.read_text())
    named += re.findall(r"\]\(((?!http)[^)#]+)\)", document.read_text())

    missing = [
        name
        for name in named
        if not (ROOT / name).exists() and not (document.parent / name).exists()
    ]

    # What a document tells the reader to write is not there yet.
    to_write = ("cancel_order", "/statistics", "/order_archive", "upgrade/1.1")
    assert [
        name for name in missing if not any(each in name for each in to_write)
    ] == []


def test_help_lists_every_verb_with_what_it_does() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    makefile = (ROOT / "Makefile").read_text()
    work, proof = (
        set(re.findall(rf"^([a-z-]+):.*{mark} ", makefile, re.MULTILINE))
        for mark in ("##", "#proof")
    )
    groups = [group.splitlines() for group in shown.split("\n\n")]
    assert [{line.split()[1] for line in each} for each in groups] == [work, proof]
    assert len(work - {"help"}) <= 20
    known = {"simulate", "chaos", "alerts", "playground", "bench", "mutants"}
    known |= {
        "mutation",
        "audit",
        "fuzz",
        "release",
        "publish",
        "clusters",
        "cluster",
        "drill",
        "images",
    }
    assert proof <= known


def test_the_code_that_the_readme_shows_is_the_code() -> None:
    shown = re.findall(
        r"^```python\n(.+?)^```", (ROOT / "README.md").read_text(), re.M | re.S
    )

    statements = {each for block in shown for each in _statements(block)}

    services = (ROOT / "services").glob("**/*.py")
    written = {each for file in services for each in _statements(file.read_text())}
    assert statements
    assert statements <= written


def _statements(code: str) -> list[str]:
    """Return a module's statements without their docstrings, comments and layout."""
    body = ast.parse(code).body
    for each in body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            is_documented = ast.get_docstring(each) is not None
            each.body = each.body[is_documented:]
    return [ast.unparse(each) for each in body]
