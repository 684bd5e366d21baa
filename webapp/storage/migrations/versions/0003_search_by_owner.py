"""Full-text search that asks for the owner first, and forgets what is deleted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from webapp.storage import message_words

revision = "0003"
down_revision = "0002"

# The words are ready-made, so the simplest tokenizer will do. The owner is put before each of them here: a prefix is
# its eight characters and two or three of a word. https://sqlite.org/fts5.html#external_content_tables
SQLITE_SEARCH = (
    "DROP TRIGGER search_insert",
    "DROP TRIGGER search_finish",
    "DROP TABLE search",
    """CREATE VIEW search_words AS
        SELECT number, replace(' ' || words, ' ', ' ' || owner) AS words FROM message_words""",
    """CREATE VIRTUAL TABLE search USING fts5(
        words, content = 'search_words', content_rowid = 'number', columnsize = 0, tokenize = 'ascii', prefix = '10 11'
    )""",
    """CREATE TRIGGER search_insert AFTER INSERT ON message_words BEGIN
        INSERT INTO search (rowid, words) VALUES (new.number, replace(' ' || new.words, ' ', ' ' || new.owner));
    END""",
    """CREATE TRIGGER search_delete AFTER DELETE ON message_words BEGIN
        INSERT INTO search (search, rowid, words)
        VALUES ('delete', old.number, replace(' ' || old.words, ' ', ' ' || old.owner));
        UPDATE search_deleted SET times = times + 1;
    END""",
    "CREATE TABLE search_deleted (times INTEGER NOT NULL)",  # since traces of it were removed: `storage.forgetting`
    "INSERT INTO search_deleted VALUES (0)",
)

POSTGRESQL_SEARCH = (
    "DROP INDEX ix_messages_search",
    # Without a list of pending words, which every search would read, whoever wrote them.
    "CREATE INDEX ix_message_words_search ON message_words USING gin (words) WITH (fastupdate = off)",
)


def upgrade() -> None:
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    op.create_table(
        "message_words",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column(
            "message_id", sa.String(36), sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, unique=True
        ),
        sa.Column("owner", sa.String(8), nullable=False),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
    )
    for statement in SQLITE_SEARCH if is_sqlite else POSTGRESQL_SEARCH:
        op.execute(statement)
    finished = "SELECT id FROM messages WHERE status <> 'streaming' ORDER BY created_at, id"
    message_words.add(connection, connection.execute(sa.text(finished)).scalars().all())
