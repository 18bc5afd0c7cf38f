"""The notifications, and what was decided about many of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001.2_notification"
down_revision = None
branch_labels = ("notification",)
depends_on = None

_UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "notification",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("order_id", sa.Uuid(), nullable=False, unique=True),
        sa.Column("customer_name", sa.String(200), nullable=False),
        sa.Column("customer_email", sa.String(254)),
        sa.Column("created_at", _UTC, nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("due_at", _UTC),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("sending_until", _UTC),
        sa.Column("keyed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sent_at", _UTC),
        sa.Column("reason", sa.String(500)),
        sa.Column("slot_at", _UTC),
        sa.Column("slot_of", sa.String(32)),
        sa.Column("refused_since", _UTC),
        sa.Column("in_doubt_since", _UTC),
        sa.Column("released_at", _UTC),
        sa.Column("released_by", sa.String(255)),
        sa.Column("release_reason", sa.String(500)),
        sa.Column("discarded_at", _UTC),
        sa.Column("discarded_by", sa.String(255)),
        sa.Column("discard_reason", sa.String(500)),
        sa.Column("reports", sa.String(800), server_default="", nullable=False),
        sa.Column("erased_at", _UTC),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("trace", sa.String(200), server_default="", nullable=False),
        sa.Column("caused_by", sa.String(200), server_default="", nullable=False),
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("act", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("like", sa.String(500)),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("made_at", _UTC, nullable=False),
        sa.Column("until", sa.Uuid()),
        sa.Column("after", sa.Uuid()),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("ended_at", _UTC),
    )
    is_open = "state IN ('READY', 'SENDING', 'UNKNOWN')"
    _index("notification_open", ["due_at", "id"], is_open)
    in_trouble = "state IN ('FAILED', 'UNKNOWN', 'HELD', 'DISCARDED')"
    _index("notification_in_trouble", ["state", "id"], in_trouble)
    _index("notification_to", ["slot_of", "slot_at"], "slot_at IS NOT NULL")
    _index("notification_left", ["slot_at"], "slot_at IS NOT NULL")


def _index(name: str, columns: list[str], rows: str) -> None:
    where = sa.text(rows)
    op.create_index(
        name, "notification", columns, sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_table("decision")
    op.drop_table("notification")
