"""How long an account keeps conversations; deleted users; an index of deleted conversations, for the purge."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("users", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    op.create_index("ix_users_deleted_at", "users", ["deleted_at"])
    op.add_column("accounts", sa.Column("retention_days", sa.Integer))
    op.create_index(
        "ix_conversations_deleted",
        "conversations",
        ["deleted_at"],
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
