"""What an approval is for, sealed; and through which login of PostgreSQL a request was added.

Approvals of earlier versions have no seal, so they lapse: whoever gave one gives it again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deletion_requests", sa.Column("approval", sa.String(80)))
    op.add_column("deletion_requests", sa.Column("created_login", sa.String(64)))
    if op.get_bind().dialect.name == "postgresql":
        # Afterwards, as in 0003: what is older says nothing. cron/postgres-roles.sql grants nobody
        # to write it. SQLite has no users: null there.
        op.alter_column(
            "deletion_requests", "created_login", server_default=sa.text("session_user")
        )


def downgrade() -> None:
    op.drop_column("deletion_requests", "created_login")
    op.drop_column("deletion_requests", "approval")
