"""Pins, deletion with undo, presets, full-text search."""

import sqlalchemy as sa
from alembic import op

from webapp.storage.schema import Moment

revision = "0002"
down_revision = "0001"

# Words of any script, without case and accents; https://sqlite.org/fts5.html#unicode61_tokenizer
SQLITE_SEARCH = (
    """CREATE VIRTUAL TABLE search USING fts5(
        text, message_id UNINDEXED, tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
    )""",
    "INSERT INTO search (text, message_id) SELECT text, id FROM messages WHERE status <> 'streaming'",
    """CREATE TRIGGER search_insert AFTER INSERT ON messages WHEN new.status <> 'streaming' BEGIN
        INSERT INTO search (text, message_id) VALUES (new.text, new.id);
    END""",
    """CREATE TRIGGER search_finish AFTER UPDATE OF status ON messages
    WHEN old.status = 'streaming' AND new.status <> 'streaming' BEGIN
        INSERT INTO search (text, message_id) VALUES (new.text, new.id);
    END""",
)

# PostgreSQL's parser would take a path or an address for one word: their parts are words here.
MARKS = '!"#$&()*+,-./;<=>?@[]^_`{|}~'
TSVECTOR = f"to_tsvector('simple', translate(left(text, 100000), '{MARKS}', '{' ' * len(MARKS)}'))"
POSTGRESQL_SEARCH = f"CREATE INDEX ix_messages_search ON messages USING gin ({TSVECTOR}) WHERE status <> 'streaming'"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("pinned", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("conversations", sa.Column("deleted_at", Moment))
    op.create_table(
        "presets",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(36), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("temperature", sa.Float, nullable=False),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
    )
    op.create_index("ix_presets_user_id", "presets", ["user_id"])
    if op.get_bind().dialect.name == "sqlite":
        for statement in SQLITE_SEARCH:
            op.execute(statement)
    else:
        op.execute(POSTGRESQL_SEARCH)
