"""The tables of the chassis: outbox, feed, inbox, dead letters, cursors, consumers, keys and sessions."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import context, op

revision = "0001.2_chassis"
down_revision = None
branch_labels = ("chassis",)
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = sa.DateTime(timezone=True)


def _index_where(name: str, condition: str, *columns: str) -> sa.Index:
    where = sa.text(condition)
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


# As they were at this version: the models may have gone on.
_tables = sa.MetaData()
sa.Table(
    "outbox",
    _tables,
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
    _index_where("outbox_open", "state IN ('PENDING', 'LEASED')", "position"),
    _index_where("outbox_parked", "state = 'PARKED'", "position"),
    sa.Index("outbox_feed", "transaction", "position"),
    sa.Index("outbox_created_at", "created_at"),
    sqlite_autoincrement=True,
)
_feed = sa.Table(
    "feed",
    _tables,
    sa.Column("id", sa.Uuid(), primary_key=True),
    sa.Column("service", sa.String(200), nullable=False),
    sa.Column(
        "removed_transaction", sa.BigInteger(), server_default="-1", nullable=False
    ),
    sa.Column("removed_position", sa.BigInteger(), server_default="-1", nullable=False),
)
sa.Table(
    "inbox",
    _tables,
    sa.Column("reaction", sa.String(200), primary_key=True),
    sa.Column("event_id", sa.String(200), primary_key=True),
    sa.Column("handled_at", _UTC, nullable=False),
    sa.Column("arrival", sa.String(20), server_default="PUSHED", nullable=False),
    sa.Index("inbox_handled_at", "handled_at"),
    _index_where(
        "inbox_repaired", "arrival IN ('PULLED', 'LATE')", "reaction", "arrival"
    ),
)
sa.Table(
    "attempt",
    _tables,
    sa.Column("reaction", sa.String(200), primary_key=True),
    sa.Column("event_id", sa.String(200), primary_key=True),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("attempted_at", _UTC, nullable=False),
)
sa.Table(
    "dead_letter",
    _tables,
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
    sa.Column("discarded_by", sa.String(255)),
    sa.Column("discarded_because", sa.String(1000)),
    sa.Column("fingerprint", sa.String(16), nullable=False),
    sa.Column("edited", sa.Text()),
    _index_where("dead_letter_holds", "event_id IS NOT NULL", "event_id", "reaction"),
    _index_where("dead_letter_settled", "state != 'OPEN'", "received_at"),
    sa.Index("dead_letter_by_state", "state", "id"),
    sa.Index("dead_letter_by_reaction", "reaction", "state", "id"),
    sa.Index("dead_letter_by_fingerprint", "fingerprint", "state", "id"),
    sqlite_autoincrement=True,
)
sa.Table(
    "dead_letter_group",
    _tables,
    sa.Column("fingerprint", sa.String(16), primary_key=True),
    sa.Column("reaction", sa.String(200), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("authentic", sa.Boolean(), nullable=False),
    sa.Column("open", sa.Integer(), nullable=False),
    sa.Column("replayed", sa.Integer(), server_default="0", nullable=False),
    sa.Column("discarded", sa.Integer(), server_default="0", nullable=False),
    sa.Column("first_at", _UTC, nullable=False),
    sa.Column("last_at", _UTC, nullable=False),
    sa.Index("dead_letter_group_last_at", "last_at", "fingerprint"),
)
sa.Table(
    "dead_letter_action",
    _tables,
    sa.Column("id", _NUMBER, primary_key=True),
    sa.Column("letter_id", sa.BigInteger(), nullable=False),
    sa.Column("run_id", sa.BigInteger()),
    sa.Column("at", _UTC, nullable=False),
    sa.Column("by", sa.String(255), nullable=False),
    sa.Column("act", sa.String(20), nullable=False),
    sa.Column("because", sa.String(1000)),
    sa.Column("outcome", sa.String(1000)),
    sa.Column("before", sa.Text()),
    sa.Column("after", sa.Text()),
    sa.Index("dead_letter_action_letter", "letter_id", "id"),
    sa.Index("dead_letter_action_run", "run_id", "id"),
    sqlite_autoincrement=True,
)
sa.Table(
    "dead_letter_run",
    _tables,
    sa.Column("id", _NUMBER, primary_key=True),
    sa.Column("fingerprint", sa.String(16), nullable=False),
    sa.Column("act", sa.String(20), nullable=False),
    sa.Column("by", sa.String(255), nullable=False),
    sa.Column("because", sa.String(1000), nullable=False),
    sa.Column("rate", sa.Float(), nullable=False),
    sa.Column("tolerate", sa.Integer(), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("sample", sa.Text(), nullable=False),
    sa.Column("last", sa.BigInteger(), nullable=False),
    sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
    sa.Column("step", sa.Integer(), server_default="0", nullable=False),
    sa.Column("tried", sa.Integer(), server_default="0", nullable=False),
    sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
    sa.Column("done", sa.Integer(), server_default="0", nullable=False),
    sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
    sa.Column("started_at", _UTC, nullable=False),
    sa.Column("due_at", _UTC, nullable=False),
    sa.Column("ended_at", _UTC),
    sa.Column("ended_why", sa.String(1000)),
    sa.Index("dead_letter_run_of_group", "fingerprint", "id"),
    sa.Index(
        "dead_letter_run_alone",
        "fingerprint",
        unique=True,
        sqlite_where=sa.text("state = 'RUNNING'"),
        postgresql_where=sa.text("state = 'RUNNING'"),
    ),
    sqlite_autoincrement=True,
)
sa.Table(
    "feed_cursor",
    _tables,
    sa.Column("reaction", sa.String(200), primary_key=True),
    sa.Column("cursor", sa.String(300), nullable=False),
)
sa.Table(
    "consumer",
    _tables,
    sa.Column("consumer", sa.String(200), primary_key=True),
    sa.Column("topic", sa.String(200), nullable=False),
    sa.Column("transaction", sa.BigInteger(), nullable=False),
    sa.Column("position", sa.BigInteger(), nullable=False),
    sa.Column("acknowledged_at", _UTC, nullable=False),
)
sa.Table(
    "idempotency_key",
    _tables,
    sa.Column("scope", sa.String(300), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
    sa.Column("status", sa.Integer(), nullable=False),
    sa.Column("headers", sa.Text(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.Column("created_at", _UTC, nullable=False),
    sa.Index("idempotency_key_age", "created_at"),
)
sa.Table(
    "page_session",
    _tables,
    sa.Column("id", sa.LargeBinary(32), primary_key=True),
    sa.Column("subject", sa.String(255), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("scopes", sa.Text(), nullable=False),
    sa.Column("expires_at", _UTC, nullable=False),
    sa.Index("page_session_expires_at", "expires_at"),
)


def upgrade() -> None:
    """Go to this version."""
    _tables.create_all(op.get_bind())
    # Its id tells consumers that a database is another than before; its service, whose the database is.
    service = context.config.attributes["service"]
    op.bulk_insert(_feed, [{"id": uuid4(), "service": service}])


def downgrade() -> None:
    """Go back to the version before."""
    _tables.drop_all(op.get_bind())
