"""A long past: messages that are put into the database at once, as if they had been asked and answered."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select

from webapp.chat import Final, Message, Outcome
from webapp.markdown import RENDERER, render
from webapp.storage import Storage, messages
from webapp.storage import conversations as conversations_of
from webapp.storage.schema import conversations
from webapp.text import new_id


def add_turns(database_url: str, conversation_id: str, turns: int, answer: str = "Answer **{}**.") -> None:
    """Add questions and replies behind the last message; `{}` is the number of the turn."""
    storage = Storage(database_url)
    with storage.begin() as tx:
        owner = select(conversations.c.user_id, conversations.c.leaf_id).where(conversations.c.id == conversation_id)
        user_id, leaf_id = tx.execute(owner).one()
        for number in range(turns):
            question = _message(conversation_id, leaf_id, "user", f"Question {number}", "done")
            reply = _message(conversation_id, question.id, "assistant", "", "streaming")
            messages.add(tx, question)
            messages.add(tx, reply)
            text = answer.replace("{}", str(number))
            messages.finish(tx, [Final(reply.id, text, "", str(render(text)), RENDERER, Outcome("done"))])
            leaf_id = reply.id
        conversations_of.change(tx, user_id, conversation_id, leaf_id=leaf_id)
    storage.close()


def _message(conversation_id: str, parent_id: str | None, role, text: str, status) -> Message:
    return Message(new_id(), conversation_id, parent_id, role, text, status, datetime.now(UTC), model="gpt-4")
