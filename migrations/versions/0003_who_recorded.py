"""When and as whom an event was recorded, by the database's own word: no writer says it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIMESTAMP = sa.TIMESTAMP(timezone=True).with_variant(sa.DATETIME(), "sqlite")

#: cron/postgres-roles.sql grants nobody to write these columns, so nobody but the tables' owner
#: can say otherwise. SQLite has no users, and whoever can write can write anything: null there.
WORDS = {"recorded_at": "clock_timestamp()", "recorded_by": "session_user"}


def upgrade() -> None:
    op.add_column("audit_events", sa.Column("recorded_at", TIMESTAMP))
    op.add_column("audit_events", sa.Column("recorded_by", sa.String(64)))
    if op.get_bind().dialect.name == "postgresql":
        # Afterwards, and not in ADD COLUMN: that would rewrite the table, and would say of every
        # old event that it was recorded just now. What is older says nothing.
        for name, word in WORDS.items():
            op.alter_column("audit_events", name, server_default=sa.text(word))


def downgrade() -> None:
    for name in WORDS:
        op.drop_column("audit_events", name)
