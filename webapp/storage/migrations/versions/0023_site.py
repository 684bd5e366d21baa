"""What administrators set for everybody: the models that a role may use, and the texts of the page."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "allowed_models",
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("model", sa.String(300), primary_key=True),
    )
    op.create_table(
        "site_texts",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
