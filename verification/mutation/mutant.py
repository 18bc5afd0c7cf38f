"""A mutant: one safeguard taken out of the code, found by the name of its function, so that it survives moves."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from verification.mutation.promises import ROOT, promises

SEARCHED = ("chassis", "services", "toolchain", "verification")
"""Where the functions that mutants name are looked for."""


class Stale(Exception):
    """A mutant does not fit the code or the document any more."""


@dataclass(frozen=True)
class Mutant:
    """In one place `old` becomes `new`, and `test` must fail because of that.

    `place` is the name of a function, class or constant, qualified as far as makes it unique ("relay._fence"),
    or the path of any file. `test` is named in docs/guarantees.md, and may be one of its parameters alone: the
    row that names it is the promise that this mutant breaks. A promise of docs/security.md is the row that begins
    as `row` says.
    """

    place: str
    old: str
    new: str
    test: str
    row: str = ""

    @property
    def document(self) -> str:
        """The document that has the promise."""
        return "security" if self.row else "guarantees"

    def promise(self, root: Path = ROOT) -> str:
        """Return the promise that it breaks; raises Stale."""
        return self._row(root)[0]

    def node_id(self, root: Path = ROOT) -> str:
        """Return its test as pytest names it; raises Stale."""
        return f"{self._row(root)[1]}::{self.test}"

    def _row(self, root: Path) -> tuple[str, str]:
        function = self.test.partition("[")[0]
        rows = [
            (each.text, file)
            for each in promises(root, self.document)
            for file, name in each.tests
            if name == function and each.text.startswith(self.row)
        ]
        if len(rows) != 1:
            raise Stale(f"docs/{self.document}.md has {function} {len(rows)} times")
        return rows[0]

    def apply(self, root: Path = ROOT) -> tuple[Path, str]:
        """Return a file, and its text with the mutant in it; raises Stale."""
        file, first, last = _find(root, self.place)
        lines = (root / file).read_text().splitlines(keepends=True)
        before, inside = "".join(lines[:first]), "".join(lines[first:last])
        after = "".join(lines[last:]) if last else ""
        if (times := inside.count(self.old)) != 1:
            raise Stale(f"{self.place} has {self.old!r} {times} times")
        return file, before + inside.replace(self.old, self.new) + after


def load() -> list[Mutant]:
    """Return all mutants."""
    listed = yaml.safe_load(Path(__file__).with_name("mutants.yaml").read_text())
    return [Mutant(**each) for each in listed]


class _Place(NamedTuple):
    file: Path
    first: int
    last: int | None


def _find(root: Path, place: str) -> _Place:
    if "/" in place:
        return _Place(Path(place), 0, None)
    ending = f".{place}"
    found = [at for name, at in _definitions(root) if name.endswith(ending)]
    if len(found) != 1:
        raise Stale(f"{place} is in the code {len(found)} times")
    return found[0]


@cache
def _definitions(root: Path) -> list[tuple[str, _Place]]:
    files = (each for top in SEARCHED for each in (root / top).rglob("*.py"))
    return [each for file in sorted(files) for each in _defined_in(root, file)]


def _defined_in(root: Path, file: Path) -> Iterator[tuple[str, _Place]]:
    path = file.relative_to(root)
    return _walk(
        ".".join(path.with_suffix("").parts), path, ast.parse(file.read_text())
    )


def _walk(
    prefix: str, path: Path, node: ast.Module | ast.ClassDef
) -> Iterator[tuple[str, _Place]]:
    for each in node.body:
        for name in _names(each):
            yield f"{prefix}.{name}", _Place(path, each.lineno - 1, each.end_lineno)
        if isinstance(each, ast.ClassDef):
            yield from _walk(f"{prefix}.{each.name}", path, each)


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign():
            return [each.id for each in node.targets if isinstance(each, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []
