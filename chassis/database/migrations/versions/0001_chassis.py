"""The tables of the chassis: outbox, feed, inbox, dead letters, cursors, consumers and idempotency keys."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import context, op

revision = "0001_chassis"
down_revision = None
branch_labels = ("chassis",)
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go to this version."""
    _create_outbox()
    _create_feed()
    _create_inbox()
    _create_dead_letters()
    _create_cursors()
    _create_idempotency_keys()


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("position", _NUMBER, primary_key=True),
        sa.Column("transaction", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("event_id", sa.String(200), nullable=False, unique=True),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("owner", sa.String(64)),
        sa.Column("lease_until", _UTC),
        sa.Column("due_at", _UTC),
        sa.Column("published_at", _UTC),
        sa.Column("created_at", _UTC, nullable=False),
        sqlite_autoincrement=True,
    )
    is_open = sa.text("state IN ('PENDING', 'LEASED')")
    _create_partial_index("outbox_open", "outbox", ["position"], is_open)
    op.create_index("outbox_feed", "outbox", ["transaction", "position"])
    op.create_index("outbox_created_at", "outbox", ["created_at"])


def _create_partial_index(
    name: str, table: str, columns: list[str], where: sa.TextClause
) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _create_feed() -> None:
    op.create_table(
        "feed",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column(
            "removed_transaction",
            sa.BigInteger(),
            server_default="-1",
            nullable=False,
        ),
        sa.Column(
            "removed_position", sa.BigInteger(), server_default="-1", nullable=False
        ),
    )
    # Its id tells consumers that a database is another than before; its service, whose the database is.
    feed = sa.table("feed", sa.column("id", sa.Uuid()), sa.column("service"))
    service = context.config.attributes["service"]
    op.bulk_insert(feed, [{"id": uuid4(), "service": service}])


def _create_inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("reaction", sa.String(200), primary_key=True),
        sa.Column("event_id", sa.String(200), primary_key=True),
        sa.Column("handled_at", _UTC, nullable=False),
        sa.Column("arrival", sa.String(20), server_default="PUSHED", nullable=False),
    )
    op.create_index("inbox_handled_at", "inbox", ["handled_at"])
    repaired = sa.text("arrival IN ('PULLED', 'LATE')")
    _create_partial_index("inbox_repaired", "inbox", ["reaction", "arrival"], repaired)
    op.create_table(
        "attempt",
        sa.Column("reaction", sa.String(200), primary_key=True),
        sa.Column("event_id", sa.String(200), primary_key=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempted_at", _UTC, nullable=False),
    )


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("reaction", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", _UTC, nullable=False),
        sa.Column("event_id", sa.String(200)),
        sa.Column("authentic", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("state", sa.String(20), server_default="OPEN", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("replayed_at", _UTC),
        sa.Column("discarded_at", _UTC),
        sa.Column("discarded_by", sa.String(200)),
        sa.Column("discarded_because", sa.String(1000)),
        sqlite_autoincrement=True,
    )
    holds = sa.text("event_id IS NOT NULL")
    _create_partial_index(
        "dead_letter_holds", "dead_letter", ["event_id", "reaction"], holds
    )
    settled = sa.text("state != 'OPEN'")
    _create_partial_index(
        "dead_letter_settled", "dead_letter", ["received_at"], settled
    )


def _create_cursors() -> None:
    op.create_table(
        "feed_cursor",
        sa.Column("reaction", sa.String(200), primary_key=True),
        sa.Column("cursor", sa.String(300), nullable=False),
    )
    op.create_table(
        "consumer",
        sa.Column("consumer", sa.String(200), primary_key=True),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", _UTC, nullable=False),
    )


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("scope", sa.String(300), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _UTC, nullable=False),
    )
    op.create_index("idempotency_key_age", "idempotency_key", ["created_at"])


def downgrade() -> None:
    """Go back to the version before."""
    for name in (
        *("idempotency_key", "consumer", "feed_cursor", "dead_letter"),
        *("attempt", "inbox", "feed", "outbox"),
    ):
        op.drop_table(name)
