"""the way back, the feed and mail."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this version."""
    _make_the_feed()
    _make_the_inbox()
    _make_the_dead_letters()
    _make_the_cursors()
    _let_orders_show_their_notification()
    _let_the_outbox_be_read()


def _make_the_feed() -> None:
    op.create_table(
        "feed",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    # Each database has a feed of its own, and a consumer notices when it reads another one.
    op.bulk_insert(sa.table("feed", sa.column("id", sa.Uuid())), [{"id": uuid4()}])


def _make_the_inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("reaction", sa.String(length=200), nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("reaction", "event_id"),
    )


def _make_the_dead_letters() -> None:
    op.create_table(
        "dead_letter",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("reaction", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=True),
        sa.Column("state", sa.String(length=20), server_default="OPEN", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )


def _make_the_cursors() -> None:
    op.create_table(
        "feed_cursor",
        sa.Column("reaction", sa.String(length=200), nullable=False),
        sa.Column("cursor", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("reaction"),
    )


def _let_orders_show_their_notification() -> None:
    op.add_column(
        "orders", sa.Column("customer_email", sa.String(length=254), nullable=True)
    )
    op.add_column(
        "orders",
        sa.Column(
            "notification_state",
            sa.String(length=20),
            server_default="WAITING",
            nullable=False,
        ),
    )
    op.add_column(
        "orders", sa.Column("notification_channel", sa.String(length=20), nullable=True)
    )
    op.add_column(
        "orders",
        sa.Column("notification_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.add_column(
        "orders", sa.Column("notification_reason", sa.String(length=500), nullable=True)
    )
    op.add_column(
        "orders",
        sa.Column(
            "notification_version", sa.Integer(), server_default="0", nullable=False
        ),
    )


def _let_the_outbox_be_read() -> None:
    op.add_column(
        "outbox",
        sa.Column("transaction", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.create_index("outbox_feed", "outbox", ["transaction", "position"], unique=False)


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_index("outbox_feed", table_name="outbox")
    op.drop_column("outbox", "transaction")
    op.drop_column("orders", "notification_version")
    op.drop_column("orders", "notification_reason")
    op.drop_column("orders", "notification_at")
    op.drop_column("orders", "notification_channel")
    op.drop_column("orders", "notification_state")
    op.drop_column("orders", "customer_email")
    op.drop_table("feed_cursor")
    op.drop_table("dead_letter")
    op.drop_table("inbox")
    op.drop_table("feed")
