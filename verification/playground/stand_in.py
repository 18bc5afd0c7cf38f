"""A program that does not run: it remembers what is done to it, for tests of the engine and the page."""

import asyncio
from collections.abc import Iterable
from typing import Any

from verification.chaos.load import Load
from verification.playground.courier import Courier
from verification.playground.side import PARTS, Side, State
from verification.playground.tally import Tally


class StandIn(Side):
    """One of the two programs, without its processes; `notifies` is how often each order's line is printed."""

    def __init__(self, name: str, notifies: int = 1) -> None:
        tally = Tally(lost_after=0.01)
        load = Load([], tally, 0, 0.0)
        # Nobody asks it for a stage, or for connections.
        nothing: Any = None
        super().__init__(nothing, Courier(), tally, load, nothing)
        self.called, self.notifies = name, notifies
        self.done: list[str] = []
        self.may_kill = asyncio.Event()
        self.may_kill.set()

    @property
    def name(self) -> str:
        """What its column is called."""
        return self.called

    async def kill(self, part: str) -> None:
        """Note that a part is killed; it takes as long as the test wants."""
        await self.may_kill.wait()
        self.done.append(f"kill {part}")

    async def take_down(self, part: str) -> None:
        """Note that a part is down."""
        self.done.append(f"down {part}")
        self._down.add(part)
        self.states[part] = State.DOWN

    async def bring_up(self, part: str) -> None:
        """Note that a part is up."""
        self.done.append(f"up {part}")
        self._down.discard(part)

    async def freeze(self, part: str) -> None:
        """Note that a part is frozen."""
        self.done.append(f"freeze {part}")

    async def recompose(self, service: str, without: Iterable[str]) -> None:
        """Note what a service starts again without."""
        self.done.append(f"{service} without {', '.join(without) or 'nothing'}")

    def order(self, name: str) -> None:
        """Accept an order, and notify its customer."""
        identity = f"{abs(hash((self.called, name))):032x}"
        self.tally.accepted(identity)
        self.tally.print_lines([identity] * self.notifies)

    async def look(self) -> None:
        """See every part work that is not down."""
        for part in PARTS:
            self.states[part] = State.DOWN if part in self._down else State.WORKS
        self.tally.calm_since = self.tally.calm_since or 0.0
        self.tally.judge()
