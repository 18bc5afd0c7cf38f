"""A YAML file as a sidecar reads it: its documents, the line of each field, and why it cannot be read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from toolchain.doctor.finding import Problem

TOO_LONG = 64 * 1024
"""The bytes of one document at which daprd, and the CLI, read without end and take all memory."""
Key = str | int
Lines = Mapping[tuple[Key, ...], int]


@dataclass(frozen=True)
class Document:
    """One document of a file. Every value is the text that it is: nothing is converted."""

    file: Path
    data: Any
    lines: Lines

    def at(self, *path: Key) -> Any:  # noqa: ANN401 - whatever a YAML may hold
        """Return the value there; None where there is none."""
        value = self.data
        for key in path:
            value = _inside(value, key)
        return value

    def text(self, *path: Key) -> str:
        """Return the text there; nothing where there is none."""
        value = self.at(*path)
        return value if isinstance(value, str) else ""

    def mapping(self, *path: Key) -> dict[str, Any]:
        """Return the mapping there; an empty one where there is none."""
        value = self.at(*path)
        return value if isinstance(value, dict) else {}

    def items(self, *path: Key) -> list[Any]:
        """Return the list there; an empty one where there is none."""
        value = self.at(*path)
        return value if isinstance(value, list) else []

    def line(self, *path: Key) -> int:
        """Return the line of a field, or of what it should stand in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, message: str, *path: Key) -> Problem:
        """Return that something is wrong there."""
        return Problem(self.file, self.line(*path), dotted(path), message)

    @property
    def kind(self) -> str:
        """Return the kind of resource that it is."""
        return self.text("kind")

    @property
    def name(self) -> str:
        """Return the resource's name."""
        return self.text("metadata", "name")


@dataclass(frozen=True)
class YamlFile:
    """A file: what is read of it, or its fault: the rule that it breaks, the line, and what is wrong."""

    path: Path
    documents: Sequence[Document] = ()
    fault: tuple[str, int, str] | None = None


def read(path: Path) -> YamlFile:
    """Return what a sidecar would read of a file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        why = " (an editor's lock)" if path.is_symlink() else ""
        return _faulty(
            path, "yaml_unreadable", 0, f"cannot be read: {error.strerror}{why}"
        )
    start = 0
    for part in content.split(b"\n---"):
        if len(part) >= TOO_LONG:
            line = content[:start].count(b"\n") + 1
            return _faulty(
                path, "yaml_too_large", line, "has 64 KiB or more in one document"
            )
        start += len(part) + 4
    return _parsed(path, content)


def _parsed(path: Path, content: bytes) -> YamlFile:
    try:
        nodes = yaml.compose_all(content.decode("utf-8-sig"), yaml.BaseLoader)
        found = [_document(path, node) for node in nodes]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line + 1, len(content.splitlines())) if mark else 0
        return _faulty(path, "yaml_malformed", line, f"is no YAML: {error.problem}")
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        return _faulty(
            path, "yaml_malformed", 0, f"is no YAML: {' '.join(str(error).split())}"
        )
    found = [each for each in found if each.data]
    if not found:
        return _faulty(path, "yaml_empty", 0, "is empty")
    return YamlFile(path, found)


def _faulty(path: Path, rule: str, line: int, message: str) -> YamlFile:
    return YamlFile(path, fault=(rule, line, message))


def dotted(path: Sequence[Key]) -> str:
    """Return a path as people write it: spec.metadata[0].name."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


@dataclass
class _Reader:
    lines: dict[tuple[Key, ...], int] = field(default_factory=dict)
    seen: dict[int, Any] = field(default_factory=dict)

    def value(self, node: yaml.Node, path: tuple[Key, ...]) -> Any:  # noqa: ANN401 - as above
        self.lines.setdefault(path, node.start_mark.line + 1)
        # What an anchor names again is read once: nested ones would multiply without end.
        if id(node) not in self.seen:
            self.seen[id(node)] = None
            self.seen[id(node)] = self._made(node, path)
        return self.seen[id(node)]

    def _made(self, node: yaml.Node, path: tuple[Key, ...]) -> Any:  # noqa: ANN401 - as above
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, (*path, i)) for i, each in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path))
        return node.value

    def _pairs(
        self, node: yaml.MappingNode, path: tuple[Key, ...]
    ) -> Iterator[tuple[str, Any]]:
        own = []
        for key, value in node.value:
            name = str(key.value)
            place = (*path, name)
            self.lines[place] = key.start_mark.line + 1
            read = self.value(value, place)
            if name == "<<" and isinstance(read, dict):
                yield from read.items()
            else:
                own.append((name, read))
        yield from own


def _document(path: Path, node: yaml.Node) -> Document:
    reader = _Reader()
    return Document(path, reader.value(node, ()), reader.lines)


def _inside(value: Any, key: Key) -> Any:  # noqa: ANN401 - as above
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None


def texts(value: Any) -> Any:  # noqa: ANN401 - as above
    """Return a value as it would be read from a file: every scalar the text that it is."""
    if isinstance(value, dict):
        return {str(key): texts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [texts(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
