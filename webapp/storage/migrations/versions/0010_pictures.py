"""The pictures of replies and their parts; each message names its own in order."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("messages", sa.Column("pictures", sa.JSON(none_as_null=True)))
    op.create_table(
        "pictures",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("message_id", sa.String(36), sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
    )
    op.create_index("ix_pictures_message_id", "pictures", ["message_id"])
    op.create_table(
        "picture_parts",
        sa.Column("picture_id", sa.String(36), sa.ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
