"""Whole conversations out of the database and into it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from webapp.chat import Failure, Message, Outcome
from webapp.storage import index
from webapp.storage.schema import conversations, messages


def ids(tx: Connection, user_id: str) -> list[str]:
    """The ids of all conversations of this user, the last used first. Deleted ones are left out."""
    query = (
        select(conversations.c.id)
        .where(conversations.c.user_id == user_id, conversations.c.deleted_at.is_(None))
        .order_by(conversations.c.updated_at.desc(), conversations.c.id)
    )
    return list(tx.execute(query).scalars())


def add(tx: Connection, finished: Sequence[Message]) -> None:
    """Store finished messages, parents before their children; they are rendered when they are shown."""
    if finished:
        tx.execute(insert(messages), [_values(message) for message in finished])
        index.add(tx, [message.id for message in finished])


def _values(message: Message) -> dict[str, object]:
    outcome = message.outcome or Outcome(message.status)
    failure = outcome.failure or Failure("")
    return {
        "id": message.id,
        "conversation_id": message.conversation_id,
        "parent_id": message.parent_id,
        "role": message.role,
        "text": message.text,
        "thought": message.thought,
        "model": message.model,
        "status": message.status,
        "finish_reason": outcome.finish_reason,
        "failure_reason": failure.reason or None,
        "failure_detail": failure.detail or None,
        "completion_tokens": outcome.usage.completion_tokens if outcome.usage else None,
        "first_token_seconds": outcome.first_token_seconds,
        "seconds": outcome.seconds,
        "created_at": message.created_at,
    }
