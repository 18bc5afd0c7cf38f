"""What a safeguard is to the proof: a sentence, the text that makes it, and who notices when it is gone."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


class Rotten(Exception):
    """The text of a safeguard is not in its file exactly once."""


@dataclass(frozen=True)
class Safeguard:
    """One safeguard: `old` in `file` becomes `new`, and one of `tests` (pytest's node ids) has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def removed(self, root: Path = ROOT) -> str:
        """Give the file's text without the safeguard; raises Rotten."""
        text = (root / self.file).read_text()
        if (count := text.count(self.old)) != 1:
            raise Rotten(f"{self.name}: its text is in {self.file} {count} times")
        return text.replace(self.old, self.new)
