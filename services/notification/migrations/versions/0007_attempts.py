"""attempts: how often an event was tried on which a reaction fails, and who discarded a dead letter."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "attempt",
        sa.Column("reaction", sa.String(length=200), nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("reaction", "event_id"),
    )
    for column in (
        sa.Column("discarded_at", sa.DateTime(timezone=True)),
        sa.Column("discarded_by", sa.String(length=200)),
        sa.Column("discarded_because", sa.String(length=1000)),
    ):
        op.add_column("dead_letter", column)
    holds = sa.text("event_id IS NOT NULL")
    op.create_index(
        "dead_letter_holds",
        "dead_letter",
        ["event_id", "reaction"],
        sqlite_where=holds,
        postgresql_where=holds,
    )


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_index("dead_letter_holds", "dead_letter")
    for name in ("discarded_because", "discarded_by", "discarded_at"):
        op.drop_column("dead_letter", name)
    op.drop_table("attempt")
