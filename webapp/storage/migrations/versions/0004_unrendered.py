"""Find replies that have no HTML of the present renderer, without reading all messages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

FINISHED_REPLIES = sa.text("role = 'assistant' AND status <> 'streaming'")


def upgrade() -> None:
    op.create_index(
        "ix_messages_unrendered",
        "messages",
        ["renderer"],
        sqlite_where=FINISHED_REPLIES,
        postgresql_where=FINISHED_REPLIES,
    )
