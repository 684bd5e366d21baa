"""Limits, the counters that they are compared with, and the figures of the usage page."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

# What there is already counts as stored. Its tokens do not count: an import cannot be told from an answer.
STORED = """
    INSERT INTO counters (holder, minute, messages, day, day_tokens, imports, month, month_tokens, bytes)
    SELECT conversations.user_id, 0, 0, '', 0, 0, '', 0,
        sum({text} + {thought}
            + (SELECT coalesce(sum(pictures.size), 0) FROM pictures WHERE pictures.message_id = messages.id))
    FROM messages JOIN conversations ON conversations.id = messages.conversation_id
    GROUP BY conversations.user_id
"""


def upgrade() -> None:
    op.add_column("messages", sa.Column("address", sa.String(64)))
    op.add_column("messages", sa.Column("is_imported", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "limits",
        sa.Column("scope", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "counters",
        sa.Column("holder", sa.String(80), primary_key=True),
        sa.Column("minute", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("day_tokens", sa.BigInteger, nullable=False),
        sa.Column("imports", sa.Integer, nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("month_tokens", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "usage",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("user_id", sa.String(36), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("errors", sa.Integer, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("estimated_tokens", sa.BigInteger, nullable=False),
        sa.Column("begun", sa.Integer, nullable=False),
        sa.Column("first_token_seconds", sa.Float, nullable=False),
    )
    size = "length(CAST({} AS BLOB))" if op.get_bind().dialect.name == "sqlite" else "octet_length({})"
    op.execute(STORED.format(text=size.format("messages.text"), thought=size.format("messages.thought")))
