"""Full-text search: the words of finished messages, stored and looked up.

SQLite searches them with FTS5, PostgreSQL with a tsvector. Each stored word begins with its owner, so the database
reads no other user's words, and the time of a search reveals nothing about them. Python splits the text into words, so
both databases find the same, and what they find `webapp.snippets` can mark. Query syntax:
https://sqlite.org/fts5.html#full_text_query_syntax and
https://www.postgresql.org/docs/current/datatype-textsearch.html#DATATYPE-TSQUERY
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, cast, column, func, literal_column, select, table
from sqlalchemy.dialects.postgresql import TSQUERY

from webapp import snippets
from webapp.chat import Role
from webapp.loop import give_way
from webapp.snippets import Part
from webapp.storage import insert_or_keep
from webapp.storage.schema import conversations, message_words, messages

SEARCHED_CHARS = 100_000  # of a text; a tsvector holds at most 1 MB
IDS_PER_QUERY = 500
OWNER_CHARS = 8  # a collision reveals nothing: every query names the user too
YIELD_CHARS = 20_000  # about 5 ms

HITS = 50
TITLE_HITS = 10  # at most, so that messages have room too
TITLES = 10_000  # searched at most, the last used first
TITLES_AT_ONCE = 200  # before giving way to other streams

# Exists in SQLite only, so the schema does not have it.
search = table("search", column("rowid"))


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result: a message, or a conversation's title if `message_id` is None.

    `created_at` is the time of the message, or of the conversation's last use. `parts` are a snippet of the message,
    or the title.
    """

    conversation_id: str
    title: str
    message_id: str | None
    role: Role | None
    created_at: datetime
    parts: tuple[Part, ...]


def add(tx: Connection, message_ids: Sequence[str]) -> None:
    """Store the words of these messages. Skips running replies, and messages whose words are stored.

    Gives way to other streams between longer texts.
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


def find(tx: Connection, user_id: str, terms: Sequence[str]) -> list[Hit]:
    """The titles, then the messages, of this user with words that begin with each term, the newest first.

    `terms` come from `snippets.terms_of`. Skips deleted conversations and running replies.
    Gives way to other streams between two texts.
    """
    if not terms:
        return []
    titles = _in_titles(tx, user_id, terms)
    return titles + _in_messages(tx, user_id, terms, HITS - len(titles))


def _in_titles(tx: Connection, user_id: str, terms: Sequence[str]) -> list[Hit]:
    query = (
        select(conversations.c.id, conversations.c.title, conversations.c.updated_at)
        .where(conversations.c.user_id == user_id, conversations.c.deleted_at.is_(None))
        .order_by(conversations.c.updated_at.desc(), conversations.c.id)
        .limit(TITLES)
    )
    wanted = snippets.pattern(terms)
    hits: list[Hit] = []
    for rows in tx.execute(query).partitions(TITLES_AT_ONCE):
        for row in rows:
            if snippets.matches(row.title, terms):
                hits.append(Hit(row.id, row.title, None, None, row.updated_at, snippets.marked(row.title, wanted)))
            if len(hits) == TITLE_HITS:
                return hits
        give_way()
    return hits


def _in_messages(tx: Connection, user_id: str, terms: Sequence[str], limit: int) -> list[Hit]:
    found = (
        _matching(tx, select(message_words.c.message_id), user_id, terms)
        .join(messages, messages.c.id == message_words.c.message_id)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(conversations.c.user_id == user_id, conversations.c.deleted_at.is_(None))
        .limit(limit)
    )
    # Reads only the texts that are shown: many messages may have a common word.
    query = (
        select(
            messages.c.id,
            messages.c.conversation_id,
            messages.c.role,
            messages.c.created_at,
            conversations.c.title,
            func.substr(messages.c.text, 1, SEARCHED_CHARS).label("searched"),
        )
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(conversations.c.user_id == user_id, messages.c.id.in_(found))
        .order_by(messages.c.created_at.desc(), messages.c.id)
    )
    wanted = snippets.pattern(terms)
    hits: list[Hit] = []
    for row in tx.execute(query):
        parts = snippets.snippet(row.searched, terms, wanted)
        hits.append(Hit(row.conversation_id, row.title, row.id, row.role, row.created_at, parts))
        give_way()
    return hits


def _matching(tx: Connection, query: Select[Any], user_id: str, terms: Sequence[str]) -> Select[Any]:
    """The query, limited to messages of this user with a word for every term, the last stored first."""
    owner = _owner(user_id)
    if tx.dialect.name == "sqlite":
        phrases = " AND ".join(_phrase(owner, term, " ", '"', " *") for term in terms)
        found = literal_column("search").op("MATCH", is_comparison=True)(phrases)
        query = query.select_from(search).join(message_words, message_words.c.number == search.c.rowid).where(found)
        # FTS5 reads backwards and stops at the limit, so a common word costs no more than a rare one.
        return query.order_by(search.c.rowid.desc())
    phrases = " & ".join("(" + _phrase(owner, term, "' <-> '", "'", ":*") + ")" for term in terms)
    found = message_words.c.words.op("@@", is_comparison=True)(cast(phrases, TSQUERY))
    return query.select_from(message_words).where(found).order_by(message_words.c.number.desc())


def _phrase(owner: str, term: str, after: str, quote: str, star: str) -> str:
    """The words of a term as a phrase; the last one may be a prefix. Letters and digits need no escaping."""
    words = after.join(owner + word for word in term.split())
    return f"{quote}{words}{quote}{star if snippets.goes_on(term) else ''}"


def _row(tx: Connection, message_id: str, user_id: str, text: str) -> dict[str, str]:
    """The row of a message. PostgreSQL takes the words as a tsvector, each with its owner before it."""
    prefix, words = _owner(user_id), snippets.words_of(text)
    if tx.dialect.name == "sqlite":
        joined = " ".join(words)  # a trigger of migration 0003 puts the owner before each word
    else:  # words are letters and digits, so nothing needs escaping
        joined = " ".join(f"'{prefix}{word}':{place}" for place, word in enumerate(words, start=1))
    return {"message_id": message_id, "owner": prefix, "words": joined}


def _owner(user_id: str) -> str:
    """The prefix of all words of this user in the index."""
    return hashlib.blake2s(user_id.encode(), digest_size=OWNER_CHARS // 2).hexdigest()
