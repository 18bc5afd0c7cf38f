"""The orders."""

import sqlalchemy as sa
from alembic import op

revision = "0001.2_order"
down_revision = None
branch_labels = ("order",)
depends_on = None

_UTC = sa.DateTime(timezone=True)
_NAME_KEY = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("customer_name", sa.String(200), nullable=False),
        sa.Column("name_key", _NAME_KEY, nullable=False),
        sa.Column("created_at", _UTC, nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("customer_email", sa.String(254)),
        sa.Column("email_key", sa.String(254)),
        sa.Column("created_event", sa.String(36), nullable=False),
        sa.Column("erased_at", _UTC),
        sa.Column(
            "notification_state",
            sa.String(20),
            server_default="WAITING",
            nullable=False,
        ),
        sa.Column("notification_channel", sa.String(20)),
        sa.Column("notification_at", _UTC),
        sa.Column("notification_reason", sa.String(500)),
        sa.Column(
            "notification_version", sa.Integer(), server_default="0", nullable=False
        ),
    )
    is_unsent = sa.text("notification_state != 'SENT'")
    op.create_index(
        "orders_unsent",
        "orders",
        ["notification_state", "id"],
        sqlite_where=is_unsent,
        postgresql_where=is_unsent,
    )
    op.create_index("orders_name", "orders", ["name_key"])
    has_owner = sa.text("owner IS NOT NULL")
    op.create_index(
        "orders_owner",
        "orders",
        ["owner", "id"],
        sqlite_where=has_owner,
        postgresql_where=has_owner,
    )
    has_email = sa.text("email_key IS NOT NULL")
    op.create_index(
        "orders_email",
        "orders",
        ["email_key", "id"],
        sqlite_where=has_email,
        postgresql_where=has_email,
    )
    op.create_table(
        "erasure",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
        ),
        sa.Column("at", _UTC, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_table("erasure")
    op.drop_table("orders")
