"""Full-text search: the words of finished messages, stored and looked up.

SQLite searches them with FTS5, PostgreSQL with a tsvector. Each stored word begins with its owner, so the database
reads no other user's words, and the time of a search reveals nothing about them. Python splits the text into words, so
both databases find the same, and what they find `webapp.snippets` can mark. Query syntax:
https://sqlite.org/fts5.html#full_text_query_syntax and
https://www.postgresql.org/docs/current/datatype-textsearch.html#DATATYPE-TSQUERY
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
)

from webapp import snippets
from webapp.chat import Role
from webapp.loop import give_way
from webapp.snippets import Part
from webapp.storage import IDS_PER_QUERY, insert_or_keep
from webapp.storage.schema import TsQuery, conversations, message_words, messages

SEARCHED_CHARS = 100_000  # of a text; a tsvector holds at most 1 MB
OWNER_CHARS = 8  # a collision reveals nothing: every query names the user too
TSVECTOR_PLACES = 16_383  # https://www.postgresql.org/docs/current/textsearch-limitations.html; then from 1 again
YIELD_CHARS = 20_000  # about 5 ms

HITS = 50  # on a page
COUNTED = 1000  # messages; more are only called more
CHUNK = 500  # matches of one query, before giving way to other streams
LOOKED_AT = 20_000  # matches for one page: a filter may let few of them pass
TITLES = 100_000  # searched at most, the last used first
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search: its terms, from `snippets.terms_of`, and filters. `model`, `since` and `until` are of conversations."""

    terms: Sequence[str]
    place: Literal["", "titles", "texts"] = ""
    model: str = ""
    since: datetime | None = None
    until: datetime | None = None  # exclusive


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits. `count` is how many there are on the first page and after it, at least if not `is_counted`.

    `skip` or `before` is where the next page begins; both are None on the last one.
    """

    hits: list[Hit]
    count: int = 0
    is_counted: bool = True
    skip: int | None = None
    before: int | None = None


def add(tx: Connection, message_ids: Sequence[str]) -> None:
    """Store the words of these messages. Skips running replies, and messages whose words are stored.

    Gives way to other streams between longer texts.
    """
    for start in range(0, len(message_ids), IDS_PER_QUERY):
        some = list(message_ids[start : start + IDS_PER_QUERY])
        found = {row[0]: row for row in tx.execute(_texts(), {"ids": some})}
        rows, chars = [], 0
        for message_id in filter(found.__contains__, some):
            _id, user_id, text = found[message_id]
            rows.append(_row(tx, message_id, user_id, text))
            chars += len(text)
            if chars > YIELD_CHARS:
                tx.execute(insert_or_keep(tx, message_words), rows)
                rows, chars = [], 0
                give_way()
        if rows:
            tx.execute(insert_or_keep(tx, message_words), rows)


def add_new(tx: Connection, user_id: str, texts: Mapping[str, str]) -> None:
    """Store the words of messages that were stored just now, by their ids. `user_id` may be empty."""
    if not user_id:
        add(tx, list(texts))
        return
    rows = [_row(tx, message_id, user_id, text[:SEARCHED_CHARS]) for message_id, text in texts.items()]
    if rows:
        tx.execute(insert_or_keep(tx, message_words), rows)


@cache
def _texts() -> Select[Any]:
    text = func.substr(messages.c.text, 1, SEARCHED_CHARS)
    is_one = messages.c.id.in_(bindparam("ids", expanding=True)) & (messages.c.status != "streaming")
    return select(messages.c.id, conversations.c.user_id, text).join(conversations).where(is_one)


def find(tx: Connection, user_id: str, wanted: Wanted, *, skip: int = 0, before: int | None = None) -> Found:
    """A page of this user's titles, then messages, with words that begin with each term, the newest first.

    `skip` titles are on earlier pages; `before` is the number of the last message looked at, and then no title follows.
    Skips deleted conversations and running replies. Gives way to other streams between short pieces of work.
    """
    if not wanted.terms:
        return Found([])
    titles: list[Hit] = []
    count, texts = 0, _Texts([])
    if before is None and wanted.place != "texts":
        titles, count = _in_titles(tx, user_id, wanted, skip)
    if wanted.place != "titles":
        is_first = not skip and before is None
        texts = _in_texts(tx, user_id, wanted, before, HITS - len(titles), COUNTED if is_first else 0)
    hits = titles + _with_snippets(tx, user_id, wanted, texts.message_ids)
    next_skip = skip + len(titles)
    if next_skip < count or (len(titles) == HITS and texts.count):
        return Found(hits, count + texts.count, texts.is_counted, skip=next_skip)
    return Found(hits, count + texts.count, texts.is_counted, before=texts.before)


@dataclass(frozen=True, slots=True)
class _Texts:
    """The messages of a page, how many match of those looked at, whether these are all, and where to go on."""

    message_ids: list[str]
    count: int = 0
    is_counted: bool = True
    before: int | None = None


def _in_titles(tx: Connection, user_id: str, wanted: Wanted, skip: int) -> tuple[list[Hit], int]:
    """The titles of a page, and how many match in all."""
    query = (
        select(conversations.c.id, conversations.c.title, conversations.c.updated_at)
        .where(_passes(user_id, wanted))
        .order_by(conversations.c.updated_at.desc(), conversations.c.id)
        .limit(TITLES)
    )
    found = []
    for rows in tx.execute(query).partitions(TITLES_AT_ONCE):
        found += [row for row in rows if snippets.matches(row.title, wanted.terms)]
        give_way()
    mark = snippets.pattern(wanted.terms)
    shown = found[skip : skip + HITS]
    hits = [Hit(row.id, row.title, None, None, row.updated_at, snippets.marked(row.title, mark)) for row in shown]
    return hits, len(found)


def _in_texts(
    tx: Connection, user_id: str, wanted: Wanted, before: int | None, room: int, least_counted: int
) -> _Texts:
    """The first messages that pass, at most `room`. Looks at LOOKED_AT matches, and counts up to `least_counted`."""
    passed: list[Row[Any]] = []
    for looked_at in range(CHUNK, LOOKED_AT + 1, CHUNK):
        rows = tx.execute(_matching(tx, user_id, wanted, before)).all()
        passed += [row for row in rows if row.passes]
        is_all = len(rows) < CHUNK
        if is_all or len(passed) > max(room, least_counted) or looked_at == LOOKED_AT:
            break
        before = rows[-1].number
        give_way()
    shown = passed[:room]
    last = shown[-1:] if len(passed) > room else rows[-1:] if not is_all else []
    before = last[0].number if last else None
    return _Texts([row.message_id for row in shown], len(passed), is_all, before)


def _with_snippets(tx: Connection, user_id: str, wanted: Wanted, message_ids: list[str]) -> list[Hit]:
    """The hits of these messages, the newest first. Only here texts are read: many messages may have a common word."""
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
        .where(conversations.c.user_id == user_id, messages.c.id.in_(message_ids))
        .order_by(messages.c.created_at.desc(), messages.c.id)
    )
    mark = snippets.pattern(wanted.terms)
    hits: list[Hit] = []
    for row in tx.execute(query):
        parts = snippets.snippet(row.searched, wanted.terms, mark)
        hits.append(Hit(row.conversation_id, row.title, row.id, row.role, row.created_at, parts))
        give_way()
    return hits


def _matching(tx: Connection, user_id: str, wanted: Wanted, before: int | None) -> Select[Any]:
    """The next CHUNK messages of this user with a word for every term, the last stored first, and whether they pass."""
    number = search.c.rowid if tx.dialect.name == "sqlite" else message_words.c.number
    # FTS5 reads backwards and stops at the limit, so a common word costs no more than a rare one.
    found = select(number.label("number")).where(_has_all(tx, user_id, wanted.terms)).order_by(number.desc())
    if before is not None:
        found = found.where(number < before)
    chunk = found.limit(CHUNK).subquery()
    return (
        select(chunk.c.number, message_words.c.message_id, _passes(user_id, wanted).label("passes"))
        .join(message_words, message_words.c.number == chunk.c.number)
        .join(messages, messages.c.id == message_words.c.message_id)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .order_by(chunk.c.number.desc())
    )


def _passes(user_id: str, wanted: Wanted) -> ColumnElement[bool]:
    """Whether a conversation is this user's and passes the filters."""
    conversation = conversations.c
    conditions = [conversation.user_id == user_id, conversation.deleted_at.is_(None)]
    if wanted.model:
        conditions.append(conversation.model == wanted.model)
    if wanted.since:
        conditions.append(conversation.updated_at >= wanted.since)
    if wanted.until:
        conditions.append(conversation.updated_at < wanted.until)
    return and_(*conditions)


def _has_all(tx: Connection, user_id: str, terms: Sequence[str]) -> ColumnElement[bool]:
    """Whether the index has a word of this user for every term."""
    owner = _owner(user_id)
    if tx.dialect.name == "sqlite":
        phrases = " AND ".join(_phrase(owner, term, " ", '"', " *") for term in terms)
        return literal_column("search").op("MATCH", is_comparison=True)(phrases)
    phrases = " & ".join("(" + _phrase(owner, term, "' <-> '", "'", ":*") + ")" for term in terms)
    return message_words.c.words.op("@@", is_comparison=True)(cast(phrases, TsQuery))


def _phrase(owner: str, term: str, after: str, quote: str, star: str) -> str:
    """The words of a term as a phrase; the last one may be a prefix. Letters and digits need no escaping."""
    parts = (snippets.pairs_of(term) or [term]) if snippets.is_run(term) else term.split()
    words = after.join(owner + part for part in parts)
    return f"{quote}{words}{quote}{star if snippets.goes_on(term) else ''}"


def _row(tx: Connection, message_id: str, user_id: str, text: str) -> dict[str, str]:
    return {"message_id": message_id, "owner": _owner(user_id), "words": joined(tx, user_id, text)}


def joined(tx: Connection, user_id: str, text: str) -> str:
    """The words of a text as stored. PostgreSQL takes them as a tsvector, each with its owner before it."""
    prefix, words = _owner(user_id), snippets.words_of(text)
    if tx.dialect.name == "sqlite":
        return " ".join(words)  # a trigger of migration 0003 puts the owner before each word
    # Words are letters and digits, so nothing needs escaping.
    return " ".join(f"'{prefix}{word}':{place % TSVECTOR_PLACES + 1}" for place, word in enumerate(words))


def _owner(user_id: str) -> str:
    """The prefix of all words of this user in the index."""
    return hashlib.blake2s(user_id.encode(), digest_size=OWNER_CHARS // 2).hexdigest()
