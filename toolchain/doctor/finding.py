"""A rule, and what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolchain.doctor.project import Project

PAGE = "docs/doctor.md"


class Severity(IntEnum):
    """How bad it is; each is worse than the ones before it."""

    INFO = 0
    """Worth knowing."""
    WARNING = 1
    """Works, and will hurt some day."""
    ERROR = 2
    """Something does not work, or loses data."""
    FATAL = 3
    """A sidecar dies of it or goes on without the whole file, the CLI refuses it, or nothing is ever delivered."""

    @property
    def word(self) -> str:
        """Return the severity as it is written."""
        return self.name.lower()


@dataclass(frozen=True)
class Problem:
    """One place where a rule is broken: the file, the line, the field, and what is wrong in one sentence."""

    file: Path
    line: int
    field: str
    message: str


@dataclass(frozen=True)
class Rule:
    """A rule: the function that looks for what breaks it, how bad that is, and what to do about it.

    The function's name is the rule's id, and its docstring says what is wrong (first line), and why it matters.
    """

    check: Callable[["Project"], Iterator[Problem]]
    severity: Severity
    remedy: str

    @property
    def id(self) -> str:
        """Return the rule's id."""
        return self.check.__name__.replace("_", "-")

    @property
    def title(self) -> str:
        """Return in a few words what is wrong."""
        return self._paragraphs()[0].removesuffix(".")

    @property
    def why(self) -> str:
        """Return why it matters."""
        return "\n\n".join(self._paragraphs()[1:])

    @property
    def page(self) -> str:
        """Return where the rule is described."""
        return f"{PAGE}#{self.id}"

    def _paragraphs(self) -> list[str]:
        parts = (self.check.__doc__ or "").strip().split("\n\n")
        return [" ".join(part.split()) for part in parts]


@dataclass(frozen=True)
class Finding:
    """A problem, and the rule that it breaks."""

    rule: Rule
    problem: Problem
    file: str

    @property
    def place(self) -> str:
        """Return where it is, as editors and terminals link it."""
        line = self.problem.line
        return f"{self.file}:{line}" if line else self.file

    @property
    def sentence(self) -> str:
        """Return all that a reader must know in one line."""
        return f"{self.place}: {self.problem.message}; {_lowered(self.rule.remedy)}"


def _lowered(sentence: str) -> str:
    return (sentence[:1].lower() + sentence[1:]).rstrip(".")
