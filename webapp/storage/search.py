"""Full-text search in the database: FTS5 of SQLite, tsvector of PostgreSQL, both over migration 0002.

Syntax: https://sqlite.org/fts5.html#full_text_query_syntax and
https://www.postgresql.org/docs/current/datatype-textsearch.html#DATATYPE-TSQUERY
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, column, func, literal_column, select, table

from webapp import snippets
from webapp.chat import Role
from webapp.snippets import Part
from webapp.storage.schema import SEARCHED_CHARS, TSVECTOR, conversations, messages

HITS = 50
TITLE_HITS = 10  # of them at most, so that titles leave room for texts

# Known to SQLite only, so not among the tables of the schema.
search = table("search", column("rowid"), column("message_id"))


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


def find(tx: Connection, user_id: str, terms: Sequence[str]) -> list[Hit]:
    """Where words of one title or message of this user begin with all the terms: titles first, each the newest first.

    Terms are as `snippets.terms_of` makes them. Deleted conversations and running replies are left out.
    """
    if not terms:
        return []
    titles = _in_titles(tx, user_id, terms)
    return titles + _in_messages(tx, user_id, terms, HITS - len(titles))


def _in_titles(tx: Connection, user_id: str, terms: Sequence[str]) -> list[Hit]:
    # Compared here: SQLite knows upper and lower case in ASCII only.
    query = (
        select(conversations.c.id, conversations.c.title, conversations.c.updated_at)
        .where(conversations.c.user_id == user_id, conversations.c.deleted_at.is_(None))
        .order_by(conversations.c.updated_at.desc(), conversations.c.id)
    )
    wanted, patterns = snippets.pattern(terms), [snippets.pattern([term]) for term in terms]
    hits: list[Hit] = []
    for row in tx.execute(query):
        if len(hits) < TITLE_HITS and all(pattern.search(row.title) for pattern in patterns):
            hits.append(Hit(row.id, row.title, None, None, row.updated_at, snippets.marked(row.title, wanted)))
    return hits


def _in_messages(tx: Connection, user_id: str, terms: Sequence[str], limit: int) -> list[Hit]:
    found = (
        _matching(tx, select(messages.c.id), terms)
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
    return [
        Hit(row.conversation_id, row.title, row.id, row.role, row.created_at, snippets.snippet(row.searched, wanted))
        for row in tx.execute(query)
    ]


def _matching(tx: Connection, query: Select[Any], terms: Sequence[str]) -> Select[Any]:
    """The query, for messages in which every term begins a word, the last stored first."""
    if tx.dialect.name == "sqlite":
        matches: ColumnElement[bool] = literal_column("search").op("MATCH", is_comparison=True)(_fts5(terms))
        found = query.select_from(search).join(messages, messages.c.id == search.c.message_id).where(matches)
        # FTS5 goes backwards by itself, and stops at the limit: a common word costs no more than a rare one.
        return found.order_by(search.c.rowid.desc())
    # Word for word as in the index, which is used for nothing else.
    vector: ColumnElement[Any] = literal_column(TSVECTOR.replace("(text,", "(messages.text,"))
    matches = vector.op("@@", is_comparison=True)(func.to_tsquery(literal_column("'simple'"), _tsquery(terms)))
    found = query.select_from(messages).where(matches, literal_column("messages.status <> 'streaming'"))
    return found.order_by(messages.c.created_at.desc(), messages.c.id)


def _fts5(terms: Sequence[str]) -> str:
    """All terms, each quoted, so that nothing in it is syntax."""
    quoted = [[term.replace('"', '""') for term in snippets.spellings(term)] for term in terms]
    return " AND ".join("(" + " OR ".join(f'"{term}"{_star(term, "*")}' for term in ways) + ")" for ways in quoted)


def _tsquery(terms: Sequence[str]) -> str:
    return " & ".join("(" + " | ".join(map(_phrase, snippets.spellings(term))) + ")" for term in terms)


def _phrase(term: str) -> str:
    """The words of a term, one after the other; the last one may go on. Letters and digits alone are no syntax."""
    *words, last = re.findall(f"{snippets.WORD}+", term)
    return " <-> ".join([f"'{word}'" for word in words] + [f"'{last}'{_star(last, ':*')}"])


def _star(term: str, star: str) -> str:
    # One letter begins too many words to be of use.
    return star if len(term) > 1 else ""
