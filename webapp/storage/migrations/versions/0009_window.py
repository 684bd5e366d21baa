"""The context window that a reply was asked for in, and how many tokens its conversation has at least."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("messages", sa.Column("window_tokens", sa.Integer))
    op.add_column("messages", sa.Column("least_tokens", sa.Integer))
