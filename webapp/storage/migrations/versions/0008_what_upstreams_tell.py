"""What upstreams tell of a reply: reasoning and cached tokens, its sources, a tool, settings that they refused."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("messages", sa.Column("reasoning_tokens", sa.Integer))
    op.add_column("messages", sa.Column("cached_tokens", sa.Integer))
    op.add_column("messages", sa.Column("sources", sa.JSON))
    op.add_column("messages", sa.Column("tool", sa.Text))
    op.add_column("messages", sa.Column("dropped", sa.Text))
    op.add_column("pieces", sa.Column("was_reasoning", sa.Boolean, nullable=False, server_default=sa.false()))
