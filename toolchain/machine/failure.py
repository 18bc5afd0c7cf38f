"""A failure that the reader can act on: what failed, why, and what to do."""

from dataclasses import dataclass


# An exception is compared by identity, and Python itself sets its traceback: not frozen.
@dataclass(eq=False)
class Failure(Exception):
    """What failed, why, and what to do about it; programs print it without a traceback and end with 1."""

    what: str
    why: str
    remedy: str

    def __str__(self) -> str:
        """The whole story in one text, for logs and tests."""
        return f"{self.what}: {self.why}\n{self.remedy}"
