"""Who reads a service's feed, and how far each has come: what they ask after, they have taken in."""

from sqlalchemy import BigInteger, Column, MetaData, String, Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import Database, Utc
from chassis.errors import Rejected
from chassis.runtime import clock

metadata = MetaData()
feed_reader = Table(
    "feed_reader",
    metadata,
    # A reaction of another service, by its name.
    Column("reader", String(200), primary_key=True),
    Column("topic", String(200), nullable=False),
    Column("transaction", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("read_at", Utc, nullable=False),
)

Place = tuple[int, int]
"""A transaction's number and a position: what orders a feed."""
BEGINNING: Place = (-1, -1)


class ReaderWentBack(Rejected):
    """This reader has taken in more than it says: its database is another, or an older one."""

    status = 409


async def check(session: AsyncSession, reader: str, place: Place | None) -> None:
    """See that a reader asks after what it acknowledged, or further on; raises ReaderWentBack."""
    mine = feed_reader.c.reader == reader
    was = select(feed_reader.c.transaction, feed_reader.c.position).where(mine)
    found = (await session.execute(was)).first()
    if found and (place or BEGINNING) < tuple(found):
        raise ReaderWentBack(f"{reader} was at {tuple(found)}, and asks after {place}.")


class Readers:
    """The readers of one service's feed, as this process has seen them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[tuple[str, str], Place] = {}

    async def acknowledge(self, reader: str, topic: str, place: Place | None) -> None:
        """Write down how far this reader has come, where it is elsewhere than when it asked last.

        Who begins anew goes back, so what was asked last counts; two processes that read for one reader at
        most keep more than is needed.
        """
        place = BEGINNING if place is None else place
        if self._seen.get((reader, topic)) == place:
            return
        where = {"topic": topic, "transaction": place[0], "position": place[1]}
        row = {**where, "read_at": clock.now()}
        statement = insert(feed_reader).values(reader=reader, **row)
        async with self._database.write() as session:
            await session.execute(
                statement.on_conflict_do_update(index_elements=["reader"], set_=row)
            )
        self._seen[reader, topic] = place
