"""The ID token of a sign-in at an identity provider."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("sign_ins", sa.Column("id_token", sa.Text, nullable=False, server_default=""))
