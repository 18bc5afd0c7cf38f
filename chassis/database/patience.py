"""How long a statement waits for a server of PostgreSQL that takes it and answers nothing: one that is frozen.

No time-out of such a server comes, and its host keeps the connection alive: only the client can give it up.
"""

from collections.abc import Generator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

RV = TypeVar("RV")
STATEMENT = 30
"""Seconds after which the server itself ends a statement."""
SILENT, ENDING = STATEMENT + 5.0, 2.0
"""Seconds that a statement waits: normally, and where the process ends."""


class ServerSilent(psycopg.OperationalError):
    """The server does not answer."""


@dataclass
class Patience:
    """How long the statements of one database wait, those under way as well."""

    seconds: float = SILENT
    is_ending: bool = False

    def end(self) -> None:
        """Wait for a moment only from now on: the process ends."""
        self.seconds, self.is_ending = ENDING, True

    def check(self, began: float) -> None:
        """Raise ServerSilent where a statement that began then has waited for too long."""
        if monotonic() - began < self.seconds:
            return
        if self.is_ending:
            self.seconds = 0.0  # nothing else that has to end waits once more
        raise ServerSilent("the server of the database does not answer")

    def connect(self, *arguments: Any, **options: Any) -> "PatientConnection":  # noqa: ANN401 - the driver's
        """Connect to the server."""
        if not self.seconds:
            raise ServerSilent("the server of the database did not answer before")
        made = PatientConnection.connect(*arguments, **options)
        made.patience = self
        return made


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed where its server does not answer."""

    patience = Patience()

    def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:  # noqa: ANN401 - the driver's
        """Wait for a server's answer; raises ServerSilent."""
        try:
            return super().wait(self._within_patience(gen), *arguments, **options)
        except ServerSilent:
            self.close()
            raise

    def _within_patience(self, gen: PQGen[RV]) -> Generator[Any, Any, RV]:
        began = monotonic()
        try:
            asks_for = next(gen)
            while True:
                # Every tenth of a second without an answer, the driver sends nothing.
                is_there = yield asks_for
                if not is_there:
                    self.patience.check(began)
                asks_for = gen.send(is_there)
        except StopIteration as ended:
            answer: RV = ended.value
            return answer
