"""How the newest replies of all users ended, without what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from webapp.storage.schema import messages


@dataclass(frozen=True, slots=True)
class Ending:
    """How one reply ended. `reason` is that of its error (`webapp.errors.REASONS`); None without one."""

    reply_id: str
    reason: str | None
    model: str
    created_at: datetime
    first_token_seconds: float | None


def newest(tx: Connection, most: int, start: int = 0) -> Sequence[Ending]:
    """The replies among `most` messages that have ended, the newest first, after the `start` newest ones.

    Imports are left out. SQLite reads past the texts to the columns behind them, so ask for few messages at a time.
    """
    columns = (messages.c.id, messages.c.failure_reason, messages.c.model, messages.c.created_at)
    last = (
        select(*columns, messages.c.first_token_seconds, messages.c.role, messages.c.status, messages.c.is_imported)
        .order_by(messages.c.number.desc())
        .limit(most)
        .offset(start)
    )
    return [
        Ending(row.id, row.failure_reason, row.model, row.created_at, row.first_token_seconds)
        for row in tx.execute(last)
        if row.role == "assistant" and row.status != "streaming" and not row.is_imported
    ]
