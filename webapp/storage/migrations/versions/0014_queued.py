"""The message that waits for the end of a reply, one a conversation."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "queued",
        sa.Column(
            "conversation_id",
            sa.String(36),
            sa.ForeignKey("conversations.id", ondelete="CASCADE", name="fk_queued_conversation_id_conversations"),
            primary_key=True,
        ),
        sa.Column(
            "reply_id",
            sa.String(36),
            sa.ForeignKey("messages.id", ondelete="CASCADE", name="fk_queued_reply_id_messages"),
            nullable=False,
        ),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("is_held", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("ix_queued_reply_id", "queued", ["reply_id"])
