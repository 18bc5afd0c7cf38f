"""mails with a key, and releases: how it was sent, since when that is in doubt, and who lets it go."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this version."""
    op.add_column(
        "notification",
        sa.Column("keyed", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(
        "notification", sa.Column("in_doubt_since", sa.DateTime(timezone=True))
    )
    op.add_column("notification", sa.Column("released_at", sa.DateTime(timezone=True)))
    op.add_column("notification", sa.Column("released_by", sa.String(length=100)))
    op.add_column("notification", sa.Column("release_reason", sa.String(length=500)))
    # What was unknown before is sent once more at most, as it was promised.
    op.execute(
        "UPDATE notification SET in_doubt_since = sending_until "
        "WHERE version > 0 AND state IN ('READY', 'SENDING', 'UNKNOWN')"
    )


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_column("notification", "release_reason")
    op.drop_column("notification", "released_by")
    op.drop_column("notification", "released_at")
    op.drop_column("notification", "in_doubt_since")
    op.drop_column("notification", "keyed")
