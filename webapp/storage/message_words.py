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

SEARCHED_CHARS = 100_000  # a tsvector holds 1 MB at most, so the text beyond this is not searched
IDS_PER_QUERY = 500
OWNER_CHARS = 8  # two users who share them see nothing of each other: every query names the owner too
YIELD_CHARS = 20_000  # some 5 ms

HITS = 50
TITLE_HITS = 10  # of them at most, so that titles leave room for texts
TITLES = 10_000  # how many are looked at, the last used first
TITLES_AT_ONCE = 200  # before other streams go on

# Known to SQLite only, so not among the tables of the schema.
search = table("search", column("rowid"))


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing found: a message, or a conversation's title where `message_id` is None.

    `created_at` is when the message was written or the conversation was last used. `parts` are the title or a
    snippet of the message.
    """

    conversation_id: str
    title: str
    message_id: str | None
    role: Role | None
    created_at: datetime
    parts: tuple[Part, ...]


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


def find(tx: Connection, user_id: str, terms: Sequence[str]) -> list[Hit]:
    """Where words of one title or message of this user begin with all the terms: titles first, each the newest first.

    Terms are as `snippets.terms_of` makes them. Deleted conversations and running replies are left out.
    Other streams go on between any two texts.
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
    # The texts are read for what is shown only: a common word is found in many.
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
    """The query, for messages in which every term begins a word of this user, the last stored first."""
    owner = _owner(user_id)
    if tx.dialect.name == "sqlite":
        phrases = " AND ".join(_phrase(owner, term, " ", '"', " *") for term in terms)
        found = literal_column("search").op("MATCH", is_comparison=True)(phrases)
        query = query.select_from(search).join(message_words, message_words.c.number == search.c.rowid).where(found)
        # FTS5 goes backwards by itself, and stops at the limit: a common word costs no more than a rare one.
        return query.order_by(search.c.rowid.desc())
    phrases = " & ".join("(" + _phrase(owner, term, "' <-> '", "'", ":*") + ")" for term in terms)
    found = message_words.c.words.op("@@", is_comparison=True)(cast(phrases, TSQUERY))
    return query.select_from(message_words).where(found).order_by(message_words.c.number.desc())


def _phrase(owner: str, term: str, after: str, quote: str, star: str) -> str:
    """The words of a term, one after the other; the last one may go on. Letters and digits alone are no syntax."""
    words = after.join(owner + word for word in term.split())
    return f"{quote}{words}{quote}{star if snippets.goes_on(term) else ''}"


def _row(tx: Connection, message_id: str, user_id: str, text: str) -> dict[str, str]:
    """A message's words in their order; for PostgreSQL as a tsvector, whose words begin with their owner."""
    prefix, words = _owner(user_id), snippets.words_of(text)
    if tx.dialect.name == "sqlite":
        joined = " ".join(words)  # migration 0003 puts the owner before each of them
    else:  # letters and digits alone are no syntax
        joined = " ".join(f"'{prefix}{word}':{place}" for place, word in enumerate(words, start=1))
    return {"message_id": message_id, "owner": prefix, "words": joined}


def _owner(user_id: str) -> str:
    """What every word of this user begins with in the index."""
    return hashlib.blake2s(user_id.encode(), digest_size=OWNER_CHARS // 2).hexdigest()
