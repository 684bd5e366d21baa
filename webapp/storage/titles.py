"""Titles that may be bettered: looked up by a reply that this worker has just finished, whoever owns it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from webapp.storage.schema import conversations, messages


@dataclass(frozen=True, slots=True)
class Opening:
    """How a conversation began, and the title that it has now."""

    conversation_id: str
    title: str
    model: str
    question: str
    answer: str


def opening(tx: Connection, reply_id: str) -> Opening | None:
    """The beginning of the conversation that this reply is in; None unless it is a finished first answer."""
    reply, question = messages.alias("reply"), messages.alias("question")
    query = (
        select(conversations.c.id, conversations.c.title, reply.c.model, question.c.text, reply.c.text.label("answer"))
        .join(reply, reply.c.conversation_id == conversations.c.id)
        .join(question, question.c.id == reply.c.parent_id)
        .where(
            reply.c.id == reply_id,
            reply.c.status == "done",
            question.c.parent_id.is_(None),
            conversations.c.deleted_at.is_(None),
        )
    )
    row = tx.execute(query).one_or_none()
    return Opening(row.id, row.title, row.model, row.text, row.answer) if row else None


def better(tx: Connection, conversation_id: str, old: str, new: str) -> None:
    """Give a conversation a better title, unless it no longer has the old one."""
    tx.execute(
        update(conversations)
        .where(conversations.c.id == conversation_id, conversations.c.title == old)
        .values(title=new)
    )
