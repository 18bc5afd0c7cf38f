"""Chance that is keyed: each decision has bits of its own, so that leaving one out disturbs no other."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Chance:
    """The chance of one actor in the run of one seed."""

    seed: int
    actor: str
    _drawn: int = field(default=0)

    def bits(self, number: int) -> int:
        """Return so many bits, 512 at most."""
        self._drawn += 1
        text = f"{self.seed}/{self.actor}/{self._drawn}".encode()
        return int.from_bytes(blake2b(text).digest()) >> (512 - number)

    def between(self, least: float, most: float) -> float:
        """Return a number between the two."""
        return least + (most - least) * self.bits(32) / 2**32

    def number(self, least: int, most: int) -> int:
        """Return a whole number from the one to the other."""
        return least + self.bits(32) * (most - least + 1) // 2**32

    def one_of(self, choices: list[T]) -> T:
        """Return one of these."""
        return choices[self.number(0, len(choices) - 1)]
