"""The API of dead letters as an operator asks it, through any sidecar."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from chassis.inbox.dead_letter import State

AT_ONCE = 50
"""Letters that are asked for in one call: each may have 64 KiB."""


class NotHeard(Exception):
    """The service was not heard, or is in trouble: what was asked may be asked again."""


class Refused(Exception):
    """The service says that this cannot be done, and why."""

    def __init__(self, detail: str, problem: str) -> None:
        super().__init__(detail)
        self.problem = problem


class Shown(BaseModel):
    """A dead letter, as far as a list of them shows it."""

    id: int
    state: State
    attempts: int
    receivedAt: str  # noqa: N815 - its name on the wire
    reaction: str
    reason: str


class Listed(BaseModel):
    """A page of dead letters."""

    items: list[Shown]
    next: str | None


class Tried(BaseModel):
    """What came of trying one again."""

    outcome: str


class InFull(BaseModel, extra="allow"):
    """Whatever the service shows of one dead letter."""

    id: int


M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class DeadLetters:
    """The dead letters of one service; `http` leads to the service. All raise NotHeard and Refused."""

    http: httpx.AsyncClient

    async def each(
        self,
        state: State | None,
        reaction: str | None,
        *,
        oldest_first: bool,
    ) -> AsyncIterator[Shown]:
        """Give those of a state and of a reaction, or of any; as many as there are."""
        given = {"state": state, "reaction": reaction}
        query: dict[str, str | int] = {k: v for k, v in given.items() if v is not None}
        query |= {"limit": AT_ONCE, "oldestFirst": str(oldest_first).lower()}
        while True:
            page = await self._ask(Listed, "GET", "", params=query)
            for letter in page.items:
                yield letter
            if page.next is None:
                return
            query["cursor"] = page.next

    async def show(self, letter: int) -> InFull:
        """Give one in full."""
        return await self._ask(InFull, "GET", f"/{letter}")

    async def replay(self, letter: int, *, dry_run: bool) -> str:
        """Try one again; give what came of it."""
        query = {"dryRun": str(dry_run).lower()}
        return (await self._tell(Tried, f"/{letter}/replay", params=query)).outcome

    async def discard(self, letter: int, *, because: str, by: str) -> None:
        """Discard one."""
        why = {"reason": because, "by": by}
        await self._tell(InFull, f"/{letter}/discard", json=why)

    async def _tell(self, expected: type[M], path: str, **given: Any) -> M:  # noqa: ANN401 - httpx's
        # The sidecar may itself repeat what it passes on.
        key = {"idempotency-key": str(uuid4())}
        return await self._ask(expected, "POST", path, headers=key, **given)

    async def _ask(
        self,
        expected: type[M],
        method: str,
        path: str,
        **given: Any,  # noqa: ANN401 - httpx's
    ) -> M:
        try:
            answer = await self.http.request(method, f"/api/dead-letter{path}", **given)
        except httpx.HTTPError as error:
            where = self.http.base_url.netloc.decode()
            said = f"Nothing answers at {where} ({type(error).__name__})."
            raise NotHeard(said) from error
        # A sidecar may answer 200 for a service that is dead: only with its body it counts.
        try:
            if answer.status_code == 200:
                return expected.model_validate_json(answer.content)
        except ValidationError as error:
            raise _trouble(answer) from error
        raise _refusal(answer)


def _refusal(answer: httpx.Response) -> Exception:
    try:
        said = answer.json()
        problem, detail = str(said["type"]), str(said["detail"])
    except (ValueError, KeyError, TypeError):
        return _trouble(answer)
    return Refused(detail, problem) if answer.status_code < 500 else NotHeard(detail)


def _trouble(answer: httpx.Response) -> NotHeard:
    return NotHeard(f"The answer was {answer.status_code} {answer.text[:300]}")
