"""How a server is, and what the database holds, both seen from outside."""

from __future__ import annotations

import html
import re
import time
from dataclasses import dataclass
from typing import Any

import requests
from sqlalchemy import Row, create_engine, func, make_url, select

from tests.server import Server
from tests.upstream import Upstream
from tests.visitor import Visitor, text_of
from tests.wait import wait_until
from webapp.storage.schema import messages, pieces

ENDED = {"done", "stopped", "interrupted", "error"}
# Connections to the database and to the upstream that a pool may keep open.
POOLED_DESCRIPTORS = 20
CALM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """One worker at rest."""

    pid: int
    descriptors: int
    threads: int
    upstream_connections: int

    @classmethod
    def of(cls, server: Server, upstream: Upstream) -> Vitals:
        worker = server.worker()
        return cls(worker.pid, worker.num_fds(), worker.num_threads(), upstream.open_connections)

    def are_back(self, server: Server, upstream: Upstream) -> None:
        """Wait until the same worker is at rest again."""
        wait_until(lambda: running_replies(server) == 0, CALM_SECONDS, "an empty hub")
        wait_until(lambda: self._are_near(Vitals.of(server, upstream)), CALM_SECONDS, f"vitals as before: {self}")

    def _are_near(self, now: Vitals) -> bool:
        return (
            now.pid == self.pid
            and now.descriptors <= self.descriptors + POOLED_DESCRIPTORS
            and now.threads <= self.threads + 2
            and now.upstream_connections <= self.upstream_connections + POOLED_DESCRIPTORS
        )


def running_replies(server: Server) -> int:
    """How many replies the worker that answers is streaming."""
    answer = requests.get(f"{server.url}/metrics", timeout=10, headers={"Connection": "close"})
    found = re.search(r"^lockchat_running_replies (\S+)", answer.text, re.M)
    assert found, answer.text
    return int(float(found[1]))


def draft_of(page: str) -> str:
    """What stands in the composer of a page."""
    found = re.search(r'<textarea[^>]* name="text"[^>]*>\n?(.*?)</textarea>', page, re.S)
    return html.unescape(found[1]) if found else ""


def send_in_vain(visitor: Visitor, text: str, key: str) -> tuple[float, float]:
    """Send what the database cannot take: that is said in time, and the message is back in the composer.

    Returns when it was sent and when it was refused, on the monotonic clock.
    """
    sent = time.monotonic()
    answer = visitor.post_form(f"/c/{visitor.conversation_id}/messages", text=text, key=key)
    refused = time.monotonic()
    assert refused - sent < 25  # 8 s, and what a busy machine takes
    assert answer.status_code == 503
    assert "The database is busy." in text_of(answer.text)
    assert "Your conversations will stand here." not in text_of(answer.text)
    assert draft_of(answer.text) == text
    return sent, refused


class Database:
    """The tables, read by a connection of the test's own."""

    def __init__(self, url: str) -> None:
        parts = make_url(url)
        if parts.get_backend_name() == "postgresql":
            parts = parts.set(drivername="postgresql+psycopg")
        self._engine = create_engine(parts)

    def message(self, message_id: str) -> Row[Any]:
        with self._engine.connect() as connection:
            return connection.execute(select(messages).where(messages.c.id == message_id)).one()

    def all(self, role: str) -> list[Row[Any]]:
        with self._engine.connect() as connection:
            return list(connection.execute(select(messages).where(messages.c.role == role)))

    def conversation(self, conversation_id: str) -> dict[str, Row[Any]]:
        """Its messages by id."""
        with self._engine.connect() as connection:
            query = select(messages).where(messages.c.conversation_id == conversation_id)
            return {row.id: row for row in connection.execute(query)}

    def statuses(self) -> dict[str, str]:
        """The status of each reply."""
        return {row.id: row.status for row in self.all("assistant")}

    def saved(self, reply_id: str) -> str:
        """The text of a running reply, as far as it is saved."""
        with self._engine.connect() as connection:
            query = select(pieces.c.text).where(pieces.c.message_id == reply_id).order_by(pieces.c.number)
            return "".join(connection.execute(query).scalars())

    def piece_count(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(pieces)).scalar_one())

    def wait_for(self, message_id: str, status: str, seconds: float = 60) -> Row[Any]:
        """The message, once it has this status."""
        wait_until(lambda: self.message(message_id).status == status, seconds, f"{message_id} to be {status}")
        return self.message(message_id)

    def close(self) -> None:
        self._engine.dispose()
