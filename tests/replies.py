"""Replies that run in a hub of this process: their deltas come from the test, not from an upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue

from sqlalchemy import insert, select

from tests.wait import wait_until
from webapp.chat import Activity, Delta, Message, merge
from webapp.generation import Generation, Hub
from webapp.storage import Storage, messages, schema
from webapp.text import new_id


class Script:
    """A source of deltas; `say` adds one, `end` ends it."""

    def __init__(self) -> None:
        self._steps: SimpleQueue[Delta | None] = SimpleQueue()
        self._on_wait = lambda: None
        self.tell: Callable[[Activity], None] = lambda activity: None  # what the upstream does meanwhile

    def listen(self, on_activity: Callable[[Activity], None], on_wait: Callable[[], None]) -> None:
        self.tell, self._on_wait = on_activity, on_wait

    def __iter__(self) -> Iterator[Delta]:
        for step in iter(self._steps.get, None):
            yield step
            self._on_wait()

    def say(self, text: str = "", reasoning: str = "") -> None:
        self.take(Delta(text, reasoning))

    def take(self, delta: Delta) -> None:
        self._steps.put(delta)

    def end(self) -> None:
        self._steps.put(None)

    abort = close = end


class Reply:
    """A reply in the database that runs in a hub of worker `worker_id`."""

    def __init__(self, storage: Storage, hub: Hub, worker_id: str) -> None:
        self.id = add_reply(storage, worker_id)
        self.script = Script()
        hub.start(self.id, self.script, lambda: None)
        self.generation: Generation = hub.all()[self.id]

    def say(self, text: str = "", reasoning: str = "") -> None:
        """Add to the reply; wait until its thread has it."""
        self._take(Delta(text, reasoning))

    def turn_into_reasoning(self, text: str) -> None:
        """All text so far was reasoning; this is the answer."""
        self._take(Delta(text, was_reasoning=True))

    def end(self) -> None:
        """End the reply; wait until its HTML is made."""
        self.script.end()
        self._wait(lambda: self.generation.is_rendered)

    def _take(self, delta: Delta) -> None:
        expected = merge([self.generation.since()[0], delta])
        self.script.take(delta)
        self._wait(lambda: self.generation.since()[0] == expected)

    def _wait(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, 15, "the reply's thread")


def add_reply(storage: Storage, worker_id: str) -> str:
    """Store a user, a conversation and a running reply of this worker; return the reply's id."""
    now, user_id, conversation_id, reply_id = datetime.now(UTC), new_id(), new_id(), new_id()
    conversation = {"title": "", "model": "m", "temperature": 1.0, "system": "", "created_at": now, "updated_at": now}
    with storage.begin() as tx:
        tx.execute(insert(schema.users).values(id=user_id, created_at=now))
        tx.execute(insert(schema.conversations).values(id=conversation_id, user_id=user_id, **conversation))
        reply = Message(reply_id, conversation_id, None, "assistant", "", "streaming", now)
        messages.add(tx, reply, worker_id=worker_id)
    return reply_id


def stored(storage: Storage, reply_id: str) -> Message:
    """The reply as the database has it."""
    with storage.read() as tx:
        return messages.find(tx, reply_id)


def owner_of(storage: Storage, reply_id: str) -> str:
    """The user whose reply it is."""
    query = select(schema.conversations.c.user_id).join(schema.messages).where(schema.messages.c.id == reply_id)
    with storage.read() as tx:
        return tx.execute(query).scalar_one()


def saved_text(storage: Storage, reply_id: str) -> tuple[str, str]:
    """The text and the reasoning of a running reply that the database has."""
    with storage.read() as tx:
        whole = merge([piece for _number, piece in messages.pieces_after(tx, reply_id, 0)])
    return whole.text, whole.reasoning


def heartbeats(storage: Storage, worker_id: str) -> int | None:
    """How often a worker has counted; None for one that never has."""
    with storage.read() as tx:
        query = select(schema.workers.c.beats).where(schema.workers.c.id == worker_id)
        return tx.execute(query).scalar_one_or_none()


@contextmanager
def locked(storage: Storage) -> Iterator[None]:
    """Keep everyone else from writing."""
    with storage.begin() as tx:
        if not storage.is_sqlite:
            tx.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")  # the product ends such ones
            tx.exec_driver_sql("LOCK TABLE workers IN ACCESS EXCLUSIVE MODE")
        yield
