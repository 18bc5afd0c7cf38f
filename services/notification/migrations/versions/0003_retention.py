"""retention: who reads the feed, since when each event is there, and up to where it has gaps."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "feed_reader",
        sa.Column("reader", sa.String(length=200), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("reader"),
    )
    for name in ("gone_transaction", "gone_position"):
        gone = sa.Column(name, sa.BigInteger(), server_default="-1", nullable=False)
        op.add_column("feed", gone)
    _date_the_events()


def _date_the_events() -> None:
    # What is there already counts as made now: it is kept rather too long than too short.
    utc = sa.DateTime(timezone=True)
    op.add_column("outbox", sa.Column("created_at", utc, nullable=True))
    outbox = sa.table("outbox", sa.column("created_at", utc))
    op.execute(outbox.update().values(created_at=datetime.now(UTC)))


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_column("outbox", "created_at")
    op.drop_column("feed", "gone_position")
    op.drop_column("feed", "gone_transaction")
    op.drop_table("feed_reader")
