"""Number the messages: siblings are ordered by insertion, whatever the clock said. Existing ones keep their order."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("messages", sa.Column("number", sa.Integer, nullable=False, server_default="0"))
    op.execute(
        "UPDATE messages SET number = ordered.number FROM"
        " (SELECT id, row_number() OVER (ORDER BY created_at, id) AS number FROM messages) AS ordered"
        " WHERE ordered.id = messages.id"
    )
    op.create_index("ix_messages_number", "messages", ["number"])
