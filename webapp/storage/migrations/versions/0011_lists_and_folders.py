"""An index for the pages of the list of conversations."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_index("ix_conversations_listed", "conversations", ["user_id", "pinned", "updated_at", "id"])
