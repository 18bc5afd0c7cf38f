"""What a safeguard is to the proof: a sentence, the text that makes it, and who notices when it is gone."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


class Rotten(Exception):
    """The text of a safeguard is not in its file exactly once."""


@dataclass(frozen=True)
class Safeguard:
    """One safeguard: `old` in `file` becomes `new`, and one of `tests` has to fail by that.

    `tests` are pytest's node ids, as narrow as they can be: they are run for this one alone. Or the
    simulation is, with these `faults`, written as it shows them. What needs daprd and a broker is
    `on_the_real_system`: it runs last, and alone.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    on_the_real_system: bool = False

    def removed(self, root: Path = ROOT) -> str:
        """Give the file's text without the safeguard; raises Rotten."""
        text = (root / self.file).read_text()
        if (count := text.count(self.old)) != 1:
            raise Rotten(f"{self.name}: its text is in {self.file} {count} times")
        return text.replace(self.old, self.new)


def tests(file: str, *names: str) -> tuple[str, ...]:
    """Name tests of one file in tests/: `test_` before each name, and what it is run with in brackets."""
    return tuple(f"tests/{file}.py::test_{name}" for name in names)
