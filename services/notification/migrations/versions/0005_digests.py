"""digests: what an event says in 32 bytes, for each that is there."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AT_ONCE = 1000
_TRACE = ("traceid", "traceparent")


def upgrade() -> None:
    """Go to this version."""
    op.add_column("outbox", sa.Column("digest", sa.LargeBinary(length=32)))
    _fill_the_outbox()
    # What was kept there depended on the order of an event's keys, and can be compared with nothing.
    inbox = sa.table("inbox", sa.column("digest", sa.LargeBinary()))
    op.execute(inbox.update().values(digest=b""))


def _fill_the_outbox() -> None:
    outbox = sa.table(
        "outbox",
        sa.column("position", sa.BigInteger()),
        sa.column("event", sa.Text()),
        sa.column("digest", sa.LargeBinary()),
    )
    at = outbox.c.position
    rows = sa.select(at, outbox.c.event).order_by(at).limit(_AT_ONCE)
    fill = outbox.update().where(at == sa.bindparam("at"))
    last, connection = -1, op.get_bind()
    while page := connection.execute(rows.where(at > last)).all():
        filled = [{"at": row.position, "digest": _digest(row.event)} for row in page]
        connection.execute(fill, filled)
        last = page[-1].position


def _digest(event: str) -> bytes | None:
    try:
        said = json.loads(event)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    said = {name: value for name, value in said.items() if name not in _TRACE}
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def downgrade() -> None:
    """Go back to the version before."""
    op.drop_column("outbox", "digest")
