"""Messages in the database: turns, the saved pieces of running replies, and how replies end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    null,
    select,
    update,
)

from webapp.chat import Delta, Final, Message, Node, Outcome, merge
from webapp.loop import give_way
from webapp.outcomes import FIELDS, flat, from_flat
from webapp.storage import IDS_PER_QUERY, insert_missing, insert_or_keep, message_words, pictures, spending
from webapp.storage.schema import conversations, messages, pieces, sends

# The fields of a message that are columns; FIELDS has those of its outcome.
FIELDS_OF_MESSAGE = tuple(field.name for field in fields(Message) if field.name in messages.c)
FIELDS_OF_NEW = tuple(name for name in FIELDS_OF_MESSAGE if name not in ("html", "renderer", "pictures"))

_ADDING = insert(messages)


def tree(tx: Connection, user_id: str, conversation_id: str) -> list[Node]:
    """The ids and parents of all messages of one conversation of this user, siblings in the order of insertion."""
    query = (
        select(messages.c.id, messages.c.parent_id)
        .where(messages.c.conversation_id == conversation_id, is_of(user_id, conversation_id))
        .order_by(messages.c.number, messages.c.id)
    )
    return [Node(*row) for row in tx.execute(query)]


def some(
    tx: Connection,
    user_id: str,
    conversation_id: str,
    message_ids: Sequence[str],
    *,
    with_html: bool = True,
    siblings: Mapping[str | None, tuple[str, ...]] | None = None,
) -> list[Message]:
    """These messages of one conversation of this user, in this order; skips unknown ids.

    `siblings` are the ids below each parent, where the caller knows them.
    """
    query, found, siblings = _some(with_html), dict[str, Message](), siblings or {}
    for start in range(0, len(message_ids), IDS_PER_QUERY):
        ids = list(message_ids[start : start + IDS_PER_QUERY])
        values = {"ids": ids, "conversation_id": conversation_id, "user_id": user_id}
        found |= {row[0]: _message(row, siblings.get(row[2], ())) for row in tx.execute(query, values)}
    return [found[message_id] for message_id in message_ids if message_id in found]


@cache
def _some(with_html: bool) -> Select[Any]:
    left_out = () if with_html else ("html",)
    return of_ids(select(*_columns_of_message(left_out)))


def of_ids(query: Select[Any]) -> Select[Any]:
    """The query for messages of one conversation of a user."""
    here: BindParameter[str] = bindparam("conversation_id")
    return query.where(
        messages.c.id.in_(bindparam("ids", expanding=True)),
        # `coalesce` avoids the index of conversations, which would read all messages of this one.
        func.coalesce(messages.c.conversation_id, "") == here,
        is_of(bindparam("user_id"), here),
    )


def lengths(tx: Connection, message_ids: Sequence[str]) -> dict[str, int]:
    """The characters of each of these messages on a page: HTML or text, and reasoning. The caller checks the owner."""
    return {row[0]: row[1] for row in tx.execute(_LENGTHS, {"ids": message_ids})}


def shown_chars() -> ColumnElement[int]:
    """The characters of a message on a page."""
    return func.length(func.coalesce(messages.c.html, messages.c.text)) + func.length(messages.c.reasoning)


_LENGTHS = select(messages.c.id, shown_chars()).where(messages.c.id.in_(bindparam("ids", expanding=True)))


def is_of(user_id: str | BindParameter[str], conversation_id: str | BindParameter[str]) -> ColumnElement[bool]:
    """The condition that this user owns the conversation."""
    query = select(conversations.c.id).where(conversations.c.id == conversation_id, conversations.c.user_id == user_id)
    return exists(query)


def get(tx: Connection, user_id: str, message_id: str) -> Message | None:
    """One message of this user; None if it is unknown or its conversation is deleted."""
    row = tx.execute(_one(), {"user_id": user_id, "id": message_id}).one_or_none()
    return _message(row) if row else None


@cache
def _one() -> Select[Any]:
    owner = (conversations.c.user_id == bindparam("user_id")) & conversations.c.deleted_at.is_(None)
    query = select(*_columns_of_message()).join(conversations, conversations.c.id == messages.c.conversation_id)
    return query.where(owner, messages.c.id == bindparam("id"))


def find(tx: Connection, message_id: str) -> Message:
    """One message of any user: the caller has checked the owner. Raises NoResultFound for an unknown id."""
    return _message(tx.execute(select(*_columns_of_message()).where(messages.c.id == message_id)).one())


def present(tx: Connection, user_id: str, message_ids: Sequence[str]) -> set[str]:
    """Those of these ids that are messages of this user, also in deleted conversations."""
    query = (
        select(messages.c.id)
        .join(conversations)
        .where(messages.c.id.in_(message_ids), conversations.c.user_id == user_id)
    )
    return set(tx.execute(query).scalars())


def add(
    tx: Connection, *new: Message, worker_id: str | None = None, address: str | None = None, user_id: str = ""
) -> None:
    """Insert new messages, parents before their children, without HTML. `worker_id` runs the reply among them.

    `address` is the browser's, where limits hold for addresses too. `user_id` is the owner's, if the caller has it.
    """
    worker_ids = {"streaming": worker_id}
    rows = [
        flat(one.outcome or Outcome(one.status))
        | {name: getattr(one, name) for name in FIELDS_OF_NEW}
        | {"worker_id": worker_ids.get(one.status), "address": address}
        for one in new
    ]
    if rows:
        tx.execute(_ADDING, rows)
    message_words.add_new(tx, user_id, {one.id: one.text for one in new if one.status != "streaming"})


def claim_key(tx: Connection, user_id: str, key: str, reply_id: str) -> bool:
    """Save which reply a send made; return False if the key was used before."""
    return insert_missing(tx, sends, user_id=user_id, key=key, reply_id=reply_id)


def sent_with(tx: Connection, user_id: str, key: str) -> str | None:
    """The id of the reply that a send with this key made, or None."""
    query = select(sends.c.reply_id).where(sends.c.user_id == user_id, sends.c.key == key)
    return tx.execute(query).scalar_one_or_none()


def append(tx: Connection, rows: Sequence[tuple[str, int, Delta]]) -> None:
    """Save pieces (reply id, number, delta) of running replies. Skips saved pieces."""
    if rows:
        tx.execute(
            insert_or_keep(tx, pieces),
            [
                {
                    "message_id": reply_id,
                    "number": number,
                    "text": delta.text,
                    "reasoning": delta.reasoning,
                    "was_reasoning": delta.was_reasoning,
                }
                for reply_id, number, delta in rows
            ],
        )


def pieces_after(tx: Connection, reply_id: str, number: int) -> list[tuple[int, Delta]]:
    """The saved pieces of a running reply above `number`, in order, each with its number."""
    query = (
        select(pieces.c.number, pieces.c.text, pieces.c.reasoning, pieces.c.was_reasoning)
        .where(pieces.c.message_id == reply_id, pieces.c.number > number)
        .order_by(pieces.c.number)
    )
    return [(row.number, Delta(row.text, row.reasoning, was_reasoning=row.was_reasoning)) for row in tx.execute(query)]


def finish(tx: Connection, finals: Iterable[Final]) -> None:
    """Save finished replies and delete their pieces. Counts each once, for limits and usage.

    Gives way to other streams after longer texts.
    """
    if not (finals := list(finals)):
        return
    rows = spending.running_rows(tx, [final.reply_id for final in finals])
    for final in finals:
        tx.execute(
            update(messages)
            .where(messages.c.id == final.reply_id)
            .values(
                text=final.text,
                reasoning=final.reasoning,
                html=final.html,
                renderer=final.renderer,
                stop_requested=False,
                **flat(final.outcome),
            )
        )
        tx.execute(delete(pieces).where(pieces.c.message_id == final.reply_id))
        if len(final.text) > message_words.YIELD_CHARS:
            give_way()
        message_words.add(tx, [final.reply_id])
    spending.book(tx, [(rows[one.reply_id], one) for one in finals if one.reply_id in rows], datetime.now(UTC))


def unrendered(tx: Connection, renderer: int, limit: int) -> list[tuple[str, str]]:
    """The ids and texts of up to `limit` finished replies without HTML of this renderer version."""
    query = (
        select(messages.c.id, messages.c.text)
        .where(
            messages.c.renderer.is_(None) | (messages.c.renderer < renderer),
            messages.c.role == "assistant",
            messages.c.status != "streaming",
        )
        .limit(limit)
    )
    return [(row.id, row.text) for row in tx.execute(query)]


def set_html(tx: Connection, rendered: Iterable[tuple[str, str]], renderer: int) -> None:
    """Save the HTML (id, html) of finished replies, made by this version of the renderer."""
    for message_id, html in rendered:
        tx.execute(update(messages).where(messages.c.id == message_id).values(html=html, renderer=renderer))


def request_stop(tx: Connection, reply_id: str) -> None:
    """Ask the worker that runs this reply to stop it."""
    _request_stops(tx, messages.c.id == reply_id)


def request_stops(tx: Connection, conversation_id: str) -> list[str]:
    """Ask the workers to stop all running replies of a conversation; return the ids."""
    return _request_stops(tx, messages.c.conversation_id == conversation_id)


def request_stops_of(tx: Connection, user_id: str) -> list[str]:
    """Ask the workers to stop all running replies of a user; return the ids."""
    theirs = select(conversations.c.id).where(conversations.c.user_id == user_id)
    return _request_stops(tx, messages.c.conversation_id.in_(theirs))


def _request_stops(tx: Connection, condition: ColumnElement[bool]) -> list[str]:
    is_running = messages.c.status == "streaming"
    statement = update(messages).where(condition, is_running).values(stop_requested=True).returning(messages.c.id)
    return list(tx.execute(statement).scalars())


def running(tx: Connection, worker_id: str) -> dict[str, bool]:
    """The ids of the running replies of this worker, each with whether a stop is requested."""
    return {row[0]: row[1] for row in tx.execute(_running(), {"worker_id": worker_id})}


@cache
def _running() -> Select[Any]:
    is_its = messages.c.worker_id == bindparam("worker_id")
    return select(messages.c.id, messages.c.stop_requested).where(is_its, messages.c.status == "streaming")


def interrupt(tx: Connection, reply_ids: Iterable[str]) -> None:
    """Mark replies that nobody runs as interrupted, with their saved text."""
    finals = []
    for reply_id in spending.running_rows(tx, list(reply_ids)):
        saved = merge([piece for _number, piece in pieces_after(tx, reply_id, 0)])
        finals.append(Final(reply_id, saved.text, saved.reasoning, None, None, Outcome("interrupted")))
    finish(tx, finals)


def _columns_of_message(left_out: Sequence[str] = ()) -> list[ColumnElement[Any]]:
    """The columns that `_message` reads; those in `left_out` are empty."""
    names = (*FIELDS_OF_MESSAGE, *FIELDS)
    return [null().label(name) if name in left_out else messages.c[name] for name in names]


def _message(row: Row[Any], siblings: tuple[str, ...] = ()) -> Message:
    """The message of a row of `_columns_of_message`. Reads it by position: by name takes four times as long."""
    plain = dict(zip(FIELDS_OF_MESSAGE, row, strict=False))
    ending = dict(zip(FIELDS, row[len(FIELDS_OF_MESSAGE) :], strict=True))
    plain["pictures"] = pictures.from_flat(plain["pictures"])
    outcome = None if plain["status"] == "streaming" else from_flat(ending)
    return Message(**plain, outcome=outcome, siblings=siblings)
