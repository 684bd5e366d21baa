"""The audit log in the database. The app only adds entries, and deletes those older than a setting says."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select

from webapp.storage.team_schema import audit
from webapp.team import Actor, Entry

TARGET_CHARS = 200


def note(tx: Connection, actor: Actor | None, action: str, target: str = "") -> None:
    """Add an entry, in the transaction of what it records; none for None, with open login: nobody could read it."""
    if actor is None:
        return
    tx.execute(
        insert(audit).values(
            at=datetime.now(UTC),
            actor_id=actor.user_id,
            actor=actor.name,
            action=action,
            target=target if len(target) <= TARGET_CHARS else target[: TARGET_CHARS - 1] + "…",
            address=actor.address,
        )
    )


def newest(tx: Connection, most: int, *, before: int | None = None) -> list[Entry]:
    """The newest entries, or those before the entry with the number `before`, the newest first."""
    query = select(audit).order_by(audit.c.id.desc()).limit(most)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [Entry(row.id, row.at, row.actor, row.action, row.target, row.address) for row in tx.execute(query)]


def purge(tx: Connection, before: datetime) -> None:
    """Delete entries older than that time."""
    tx.execute(delete(audit).where(audit.c.at < before))
