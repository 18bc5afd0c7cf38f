"""mails with a key: how a notification was sent, and since when nobody knows whether it was."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
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
    # What was unknown before is sent once more at most, as it was promised.
    op.execute(
        "UPDATE notification SET in_doubt_since = sending_until "
        "WHERE version > 0 AND state IN ('READY', 'SENDING', 'UNKNOWN')"
    )


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_column("notification", "in_doubt_since")
    op.drop_column("notification", "keyed")
