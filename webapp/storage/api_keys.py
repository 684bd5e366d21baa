"""Keys of the API in the database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from webapp.storage.team_schema import accounts, api_keys
from webapp.team import Account, ApiKey


def add(tx: Connection, key: ApiKey) -> None:
    """Store a new key."""
    tx.execute(insert(api_keys).values(asdict(key)))


def find(tx: Connection, token_hash: str) -> tuple[ApiKey, Account] | None:
    """The key with this hash and its owner's account, or None."""
    row = tx.execute(select(api_keys).where(api_keys.c.token_hash == token_hash)).one_or_none()
    if row is None:
        return None
    owner = tx.execute(select(accounts).where(accounts.c.user_id == row.user_id)).one()
    return ApiKey(**row._asdict()), Account(**owner._asdict())


def of(tx: Connection, user_id: str) -> list[ApiKey]:
    """The user's keys, the newest first."""
    query = select(api_keys).where(api_keys.c.user_id == user_id).order_by(api_keys.c.created_at.desc(), api_keys.c.id)
    return [ApiKey(**row._asdict()) for row in tx.execute(query)]


def note_used(tx: Connection, token_hash: str, now: datetime) -> None:
    """Store when a key was last used."""
    tx.execute(update(api_keys).where(api_keys.c.token_hash == token_hash).values(used_at=now))


def remove(tx: Connection, user_id: str, key_id: str) -> str | None:
    """Delete one key of this user, and return its name; None if there is none."""
    query = delete(api_keys).where(api_keys.c.user_id == user_id, api_keys.c.id == key_id)
    return tx.execute(query.returning(api_keys.c.name)).scalar_one_or_none()


def remove_all(tx: Connection, user_id: str) -> int:
    """Delete all keys of this user, and return how many."""
    return tx.execute(delete(api_keys).where(api_keys.c.user_id == user_id)).rowcount


def purge(tx: Connection, now: datetime) -> None:
    """Delete expired keys."""
    tx.execute(delete(api_keys).where(api_keys.c.expires_at <= now))
