"""arrival: how each event came in, pushed or pulled, late or corrected."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this version."""
    arrival = sa.Column(
        "arrival", sa.String(20), nullable=False, server_default="PUSHED"
    )
    op.add_column("inbox", arrival)


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_column("inbox", "arrival")
