"""Accounts in the database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, select, update

from webapp.storage import insert_missing
from webapp.storage.schema import conversations, presets, queued, users
from webapp.storage.team_schema import accounts, counters, limits
from webapp.team import ADMIN, Account


def get(tx: Connection, user_id: str) -> Account | None:
    """One account, or None."""
    return _one(tx.execute(select(accounts).where(accounts.c.user_id == user_id)).one_or_none())


def by_login(tx: Connection, way: str, login: str) -> Account | None:
    """The account with this name, or None."""
    query = select(accounts).where(accounts.c.way == way, accounts.c.login == login)
    return _one(tx.execute(query).one_or_none())


def all_of(tx: Connection, way: str) -> list[Account]:
    """All accounts of one way to sign in, by name."""
    query = select(accounts).where(accounts.c.way == way).order_by(accounts.c.login)
    return [Account(**row._asdict()) for row in tx.execute(query)]


def add(tx: Connection, account: Account) -> bool:
    """Store a new account; return False if its name is taken."""
    insert_missing(tx, users, id=account.user_id, created_at=account.created_at)
    return insert_missing(tx, accounts, **asdict(account))


def change(tx: Connection, user_id: str, **values: object) -> None:
    """Change columns of one account."""
    tx.execute(update(accounts).where(accounts.c.user_id == user_id).values(**values))


def admins(tx: Connection, way: str) -> list[str]:
    """The ids of the administrators who may sign in. Locks their rows: the last one must stay."""
    query = select(accounts.c.user_id).where(
        accounts.c.way == way, accounts.c.role == ADMIN, accounts.c.disabled_at.is_(None)
    )
    return list(tx.execute(query.order_by(accounts.c.user_id).with_for_update()).scalars())


def leave(tx: Connection, user_id: str, now: datetime) -> None:
    """Delete an account with its sign-ins, and what its user would still send; the purge deletes the rest."""
    theirs = select(conversations.c.id).where(conversations.c.user_id == user_id)
    tx.execute(delete(queued).where(queued.c.conversation_id.in_(theirs)))
    tx.execute(delete(presets).where(presets.c.user_id == user_id))
    tx.execute(delete(accounts).where(accounts.c.user_id == user_id))
    tx.execute(update(users).where(users.c.id == user_id).values(deleted_at=now))


def purge_left(tx: Connection, before: datetime) -> None:
    """Delete the users who left before that time, once their conversations are purged."""
    has_some = exists(select(conversations.c.id).where(conversations.c.user_id == users.c.id))
    gone = select(users.c.id).where(users.c.deleted_at < before, ~has_some)
    tx.execute(delete(limits).where(limits.c.scope.in_(gone)))
    tx.execute(delete(counters).where(counters.c.holder.in_(gone)))
    tx.execute(delete(users).where(users.c.id.in_(gone)))


def retention_days(tx: Connection, after: str, limit: int) -> list[tuple[str, int | None]]:
    """The users after this id, in the order of their ids, each with the `retention_days` of the account."""
    query = select(users.c.id, accounts.c.retention_days).outerjoin(accounts, accounts.c.user_id == users.c.id)
    rows = tx.execute(query.where(users.c.id > after).order_by(users.c.id).limit(limit))
    return [(row.id, row.retention_days) for row in rows]


def _one(row: Row[Any] | None) -> Account | None:
    return Account(**row._asdict()) if row else None
