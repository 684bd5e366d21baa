"""The words of finished messages, as search asks for them: each begins with its owner.

So the database never reads what others wrote, and the time of a search tells nothing of it. The words are made
here and not by the database: both databases find the same, and find what `webapp.snippets` marks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from webapp import snippets
from webapp.loop import give_way
from webapp.storage import insert_or_keep
from webapp.storage.schema import conversations, message_words, messages

SEARCHED_CHARS = 100_000  # a tsvector holds 1 MB at most, so the text beyond this is not searched
IDS_PER_QUERY = 500
OWNER_CHARS = 8  # two users who share them see nothing of each other: every query names the owner too
YIELD_CHARS = 20_000  # some 5 ms


def add(tx: Connection, message_ids: Sequence[str]) -> None:
    """Let search find these messages; those that still run, or are known to it, are left out.

    Other streams go on between any two longer texts.
    """
    for start in range(0, len(message_ids), IDS_PER_QUERY):
        query = (
            select(messages.c.id, conversations.c.user_id, func.substr(messages.c.text, 1, SEARCHED_CHARS))
            .join(conversations)
            .where(messages.c.id.in_(message_ids[start : start + IDS_PER_QUERY]), messages.c.status != "streaming")
        )
        found = {row.id: row for row in tx.execute(query)}
        rows, chars = [], 0
        for message_id in filter(found.__contains__, message_ids[start : start + IDS_PER_QUERY]):
            _id, user_id, text = found[message_id]
            rows.append(_row(tx, message_id, user_id, text))
            chars += len(text)
            if chars > YIELD_CHARS:
                tx.execute(insert_or_keep(tx, message_words), rows)
                rows, chars = [], 0
                give_way()
        if rows:
            tx.execute(insert_or_keep(tx, message_words), rows)


def owner(user_id: str) -> str:
    """What every word of this user begins with in the index."""
    return hashlib.blake2s(user_id.encode(), digest_size=OWNER_CHARS // 2).hexdigest()


def _row(tx: Connection, message_id: str, user_id: str, text: str) -> dict[str, str]:
    """A message's words in their order; for PostgreSQL as a tsvector, whose words begin with their owner."""
    prefix, words = owner(user_id), snippets.words_of(text)
    if tx.dialect.name == "sqlite":
        joined = " ".join(words)  # migration 0003 puts the owner before each of them
    else:  # letters and digits alone are no syntax
        joined = " ".join(f"'{prefix}{word}':{place}" for place, word in enumerate(words, start=1))
    return {"message_id": message_id, "owner": prefix, "words": joined}
