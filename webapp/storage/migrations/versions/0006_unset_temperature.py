"""A temperature may be unset: then the model's own default holds."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for table in ("conversations", "presets"):
        with op.batch_alter_table(table) as batch:
            batch.alter_column("temperature", existing_type=sa.Float, nullable=True)
    # 0.7 was the default of every conversation: hardly anybody chose it.
    op.execute("UPDATE conversations SET temperature = NULL WHERE temperature = 0.7")
