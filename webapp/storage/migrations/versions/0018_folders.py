"""Folders of conversations."""

import sqlalchemy as sa
from alembic import op

from webapp.storage.schema import Moment

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "folders",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(36), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("preset_id", sa.String(36), sa.ForeignKey("presets.id", ondelete="SET NULL"), index=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.UniqueConstraint("user_id", "name", name="uq_folders_user_id_name"),
    )
    # A table of its own: SQLite would have to copy the conversations to give them one more foreign key.
    op.create_table(
        "foldered",
        sa.Column(
            "conversation_id", sa.String(36), sa.ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column(
            "folder_id", sa.String(36), sa.ForeignKey("folders.id", ondelete="CASCADE"), nullable=False, index=True
        ),
    )
