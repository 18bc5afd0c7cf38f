"""An outbox with a relay that takes a step when a test wants it to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause
from chassis.event import Delivery, Event
from chassis.outbox import Relay, append
from chassis.outbox.leases import lease
from chassis.outbox.outbox import Leased, outbox
from tests.support.database import migrated
from tests.support.simulated_dapr import SimulatedDapr

CAUSE = Cause("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


class Happened(Event):
    """An event with any data."""

    source = "order"
    content: Any = None


class HappenedQuietly(Happened):
    """An event that is only pulled."""

    delivery = Delivery.PULL


class Box:
    """The outbox of a database, and a relay."""

    def __init__(self, folder: Path, dapr: SimulatedDapr) -> None:
        self.database = migrated("order", folder)
        self.relay = Relay(self.database, dapr.sidecar(), "pubsub")

    async def append(self, *events: Event) -> list[str]:
        """Append events in one transaction; return their ids."""

        def work(session: Session) -> None:
            for each in events:
                append(session, each, subject=uuid4(), cause=CAUSE)

        await self.database.write(work)
        return [row.event_id for row in await self.rows()][-len(events) :]

    async def fill(self, number: int) -> list[str]:
        """Append so many events; return their ids."""
        return await self.append(*(Happened(content=n) for n in range(number)))

    async def publish_all(self) -> None:
        """Take steps until there is nothing to publish."""
        while await self.relay.step():
            pass

    async def lease(self, owner: str, *, probing: bool = False) -> Sequence[Leased]:
        """Lease what there is, as the relay of this owner does."""
        return await self.database.write(
            lambda session: lease(session, owner, probing=probing)
        )

    async def rows(self) -> list[Row[Any]]:
        """Return all rows, oldest first."""
        query = select(outbox).order_by(outbox.c.position)
        return await self.database.read(
            lambda session: list(session.execute(query).all())
        )

    async def states(self) -> list[str]:
        """Return the state of each row, oldest first."""
        return [row.state for row in await self.rows()]

    async def change(self, **values: object) -> None:
        """Change all rows."""
        await self.database.write(
            lambda session: session.execute(update(outbox).values(**values))
        )
