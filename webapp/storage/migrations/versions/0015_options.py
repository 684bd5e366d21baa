"""The options of a conversation and a preset that few set: max_tokens, top_p, seed, reasoning_effort."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    for table in ("conversations", "presets"):
        op.add_column(table, sa.Column("options", sa.JSON))
