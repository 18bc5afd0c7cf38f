"""the way back, the feed and mail."""

import json
from datetime import UTC, datetime
from typing import Any
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
    _make_the_outbox()
    _make_the_cursors()
    _let_dead_letters_be_tried_again()
    _let_notifications_be_mailed()
    _tell_what_was_sent()


def _make_the_feed() -> None:
    op.create_table(
        "feed",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    # Each database has a feed of its own, and a consumer notices when it reads another one.
    op.bulk_insert(sa.table("feed", sa.column("id", sa.Uuid())), [{"id": uuid4()}])


def _make_the_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
        ),
        sa.Column("transaction", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("event_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_feed", "outbox", ["transaction", "position"], unique=False)
    op.create_index(
        "outbox_open",
        "outbox",
        ["position"],
        unique=False,
        sqlite_where=sa.text("state IN ('PENDING', 'LEASED')"),
        postgresql_where=sa.text("state IN ('PENDING', 'LEASED')"),
    )


def _make_the_cursors() -> None:
    op.create_table(
        "feed_cursor",
        sa.Column("reaction", sa.String(length=200), nullable=False),
        sa.Column("cursor", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("reaction"),
    )


def _let_dead_letters_be_tried_again() -> None:
    op.add_column(
        "dead_letter", sa.Column("event_id", sa.String(length=200), nullable=True)
    )
    op.add_column(
        "dead_letter",
        sa.Column("state", sa.String(length=20), server_default="OPEN", nullable=False),
    )
    op.add_column(
        "dead_letter",
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
    )
    op.add_column(
        "dead_letter",
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
    )


def _let_notifications_be_mailed() -> None:
    op.add_column(
        "notification",
        sa.Column("customer_email", sa.String(length=254), nullable=True),
    )
    op.add_column(
        "notification", sa.Column("due_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "notification",
        sa.Column("sending_until", sa.DateTime(timezone=True), nullable=True),
    )
    op.add_column(
        "notification", sa.Column("reason", sa.String(length=500), nullable=True)
    )
    op.add_column(
        "notification",
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
    )
    op.add_column(
        "notification",
        sa.Column("trace", sa.String(length=200), server_default="", nullable=False),
    )
    op.add_column(
        "notification",
        sa.Column(
            "caused_by", sa.String(length=200), server_default="", nullable=False
        ),
    )
    op.drop_index(
        "notification_open",
        table_name="notification",
        sqlite_where=sa.text("state IN ('READY', 'SENDING')"),
    )
    op.create_index(
        "notification_open",
        "notification",
        ["channel", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('READY', 'SENDING', 'UNKNOWN')"),
        postgresql_where=sa.text("state IN ('READY', 'SENDING', 'UNKNOWN')"),
    )


def _tell_what_was_sent() -> None:
    # Before this version nobody was told: without these events their orders would wait for ever.
    notification = sa.table(
        "notification",
        sa.column("order_id", sa.Uuid()),
        sa.column("channel", sa.String()),
        sa.column("state", sa.String()),
        sa.column("sent_at", sa.DateTime(timezone=True)),
        sa.column("version", sa.Integer()),
    )
    columns = ("event_id", "topic", "event", "state", "attempt", "refusals")
    outbox = sa.table("outbox", *(sa.column(each) for each in columns))
    is_sent = notification.c.state == "SENT"
    sent = op.get_bind().execute(sa.select(notification).where(is_sent))
    op.bulk_insert(outbox, [_letter(row) for row in sent])
    op.execute(notification.update().where(is_sent).values(version=1))


def _letter(row: Any) -> dict[str, object]:  # noqa: ANN401 - a row as it is in this version
    order, event_id = str(row.order_id), str(uuid4())
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/notification",
        "type": "NotificationSent",
        "subject": order,
        "time": _rfc3339(datetime.now(UTC)),
        "datacontenttype": "application/json",
        "dataschema": "urn:contract:NotificationSent:1",
        "traceid": "",
        "traceparent": "",
        "correlationid": order,
        "causationid": "",
        "aggregateversion": 1,
        "data": {
            "orderId": order,
            "channel": row.channel,
            "sentAt": _rfc3339(row.sent_at),
        },
    }
    return {
        "event_id": event_id,
        "topic": "NotificationSent",
        "event": json.dumps(event),
        "state": "PULLED",
        "attempt": 0,
        "refusals": 0,
    }


def _rfc3339(moment: datetime) -> str:
    # SQLite keeps no time zone: what is stored is in UTC.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_index(
        "notification_open",
        table_name="notification",
        sqlite_where=sa.text("state IN ('READY', 'SENDING', 'UNKNOWN')"),
        postgresql_where=sa.text("state IN ('READY', 'SENDING', 'UNKNOWN')"),
    )
    op.create_index(
        "notification_open",
        "notification",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state IN ('READY', 'SENDING')"),
    )
    op.drop_column("notification", "caused_by")
    op.drop_column("notification", "trace")
    op.drop_column("notification", "version")
    op.drop_column("notification", "reason")
    op.drop_column("notification", "sending_until")
    op.drop_column("notification", "due_at")
    op.drop_column("notification", "customer_email")
    op.drop_column("dead_letter", "replayed_at")
    op.drop_column("dead_letter", "attempts")
    op.drop_column("dead_letter", "state")
    op.drop_column("dead_letter", "event_id")
    op.drop_table("feed_cursor")
    op.drop_index(
        "outbox_open",
        table_name="outbox",
        sqlite_where=sa.text("state IN ('PENDING', 'LEASED')"),
        postgresql_where=sa.text("state IN ('PENDING', 'LEASED')"),
    )
    op.drop_index("outbox_feed", table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("feed")
