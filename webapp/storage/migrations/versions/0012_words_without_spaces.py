"""The words of Chinese, Japanese, Korean, Thai and the like, which are found anywhere in a text from now on."""

import sqlalchemy as sa
from alembic import op

from webapp import snippets
from webapp.storage import message_words

revision = "0012"
down_revision = "0011"

AT_ONCE = 100
NEXT = sa.text(
    """SELECT message_words.number, conversations.user_id, substr(messages.text, 1, :chars) AS text
    FROM message_words
    JOIN messages ON messages.id = message_words.message_id
    JOIN conversations ON conversations.id = messages.conversation_id
    WHERE message_words.number > :number ORDER BY message_words.number LIMIT :limit"""
)


def upgrade() -> None:
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    value = ":words" if is_sqlite else "CAST(:words AS tsvector)"
    change = sa.text(f"UPDATE message_words SET words = {value} WHERE number = :number")
    number, is_changed = 0, False
    limits = {"limit": AT_ONCE, "chars": message_words.SEARCHED_CHARS}
    while rows := connection.execute(NEXT, {"number": number, **limits}).all():
        for row in rows:
            if snippets.has_runs(row.text):
                words = message_words.joined(connection, row.user_id, row.text)
                connection.execute(change, {"words": words, "number": row.number})
                is_changed = True
        number = rows[-1].number
    if is_changed and is_sqlite:
        op.execute("INSERT INTO search (search) VALUES ('rebuild')")
