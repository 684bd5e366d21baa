"""Numbers of changes: open pages are told which conversations of a user have changed since the number they know."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    for table in ("users", "conversations"):
        op.add_column(table, sa.Column("revision", sa.Integer, nullable=False, server_default="0"))
    op.create_index("ix_conversations_user_id_revision", "conversations", ["user_id", "revision"])
