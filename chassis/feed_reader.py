"""Who reads a service's feed, and how far each has come: what they ask after, they have taken in."""

from sqlalchemy import BigInteger, Column, MetaData, String, Table
from sqlalchemy.dialects.postgresql import insert

from chassis import ambient
from chassis.database import Database, Utc

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


class Readers:
    """The readers of one service's feed, as this process has seen them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[tuple[str, str], Place] = {}

    async def acknowledge(self, reader: str, topic: str, place: Place | None) -> None:
        """Write down how far this reader has come, where it is elsewhere than when it asked last.

        It may have gone back: a database that was restored, or begun anew, knows less than it did. So what
        was asked last counts, and two processes that read for one reader at most keep more than is needed.
        """
        place = BEGINNING if place is None else place
        if self._seen.get((reader, topic)) == place:
            return
        where = {"topic": topic, "transaction": place[0], "position": place[1]}
        row = {**where, "read_at": ambient.now()}
        statement = insert(feed_reader).values(reader=reader, **row)
        async with self._database.write() as session:
            await session.execute(
                statement.on_conflict_do_update(index_elements=["reader"], set_=row)
            )
        self._seen[reader, topic] = place
