"""Invites in the database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from webapp.storage.team_schema import invites
from webapp.team import Invite


def add(tx: Connection, invite: Invite, token_hash: str) -> None:
    """Store a new invite."""
    tx.execute(insert(invites).values(token_hash=token_hash, **asdict(invite)))


def get(tx: Connection, token_hash: str, now: datetime) -> Invite | None:
    """The invite with this token; None if it is unknown, used or expired."""
    query = select(invites).where(invites.c.token_hash == token_hash, invites.c.used_at.is_(None))
    return _one(tx.execute(query.where(invites.c.expires_at > now)).one_or_none())


def use(tx: Connection, token_hash: str, now: datetime) -> Invite | None:
    """Mark an invite as used, and return it; None as `get`. Only one transaction can use it."""
    query = update(invites).where(
        invites.c.token_hash == token_hash, invites.c.used_at.is_(None), invites.c.expires_at > now
    )
    return _one(tx.execute(query.values(used_at=now).returning(*invites.c)).one_or_none())


def pending(tx: Connection, now: datetime) -> list[Invite]:
    """The invites that can be used, the next to expire first."""
    query = select(invites).where(invites.c.used_at.is_(None), invites.c.expires_at > now)
    return [_invite(row) for row in tx.execute(query.order_by(invites.c.expires_at, invites.c.id))]


def remove(tx: Connection, invite_id: str) -> bool:
    """Delete an invite; return False if there is none that can be used."""
    query = delete(invites).where(invites.c.id == invite_id).returning(invites.c.used_at)
    return tx.execute(query).scalars().all() == [None]


def purge(tx: Connection, now: datetime) -> None:
    """Delete expired invites."""
    tx.execute(delete(invites).where(invites.c.expires_at <= now))


def _one(row: Row[Any] | None) -> Invite | None:
    return _invite(row) if row else None


def _invite(row: Row[Any]) -> Invite:
    return Invite(id=row.id, role=row.role, user_id=row.user_id, expires_at=row.expires_at)
