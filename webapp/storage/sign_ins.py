"""Sign-ins in the database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, union_all, update

from webapp.storage.team_schema import accounts, api_keys, sign_ins
from webapp.team import Account, SignIn


def add(tx: Connection, sign_in: SignIn) -> None:
    """Store a new sign-in."""
    tx.execute(insert(sign_ins).values(asdict(sign_in)))


def find(tx: Connection, token_hash: str) -> tuple[SignIn, Account] | None:
    """The sign-in with this token and its account, or None."""
    first = select(sign_ins).where(sign_ins.c.token_hash == token_hash)
    if (row := tx.execute(first).one_or_none()) is None:
        return None
    owner = tx.execute(select(accounts).where(accounts.c.user_id == row.user_id)).one()
    return SignIn(**row._asdict()), Account(**owner._asdict())


def of(tx: Connection, user_id: str) -> list[SignIn]:
    """The user's sign-ins, the last used first."""
    query = select(sign_ins).where(sign_ins.c.user_id == user_id).order_by(sign_ins.c.seen_at.desc(), sign_ins.c.id)
    return [SignIn(**row._asdict()) for row in tx.execute(query)]


def note_seen(tx: Connection, token_hash: str, now: datetime) -> None:
    """Store when a sign-in was last used."""
    tx.execute(update(sign_ins).where(sign_ins.c.token_hash == token_hash).values(seen_at=now))


def remove(tx: Connection, user_id: str, sign_in_id: str) -> bool:
    """End one sign-in of this user; return False if there is none."""
    return tx.execute(delete(sign_ins).where(sign_ins.c.user_id == user_id, sign_ins.c.id == sign_in_id)).rowcount == 1


def remove_token(tx: Connection, token_hash: str) -> None:
    """End the sign-in with this token. Ignores an unknown one."""
    tx.execute(delete(sign_ins).where(sign_ins.c.token_hash == token_hash))


def remove_all(tx: Connection, user_id: str, *, but: str = "") -> None:
    """End all sign-ins of this user, except the one with the token hash `but`."""
    tx.execute(delete(sign_ins).where(sign_ins.c.user_id == user_id, sign_ins.c.token_hash != but))


def purge(tx: Connection, *, begun_before: datetime, seen_before: datetime) -> None:
    """Delete sign-ins that are too old, or were not used for too long."""
    tx.execute(delete(sign_ins).where((sign_ins.c.created_at < begun_before) | (sign_ins.c.seen_at < seen_before)))


def last_seen(tx: Connection) -> dict[str, datetime]:
    """When each user who is signed in was last there."""
    query = select(sign_ins.c.user_id, func.max(sign_ins.c.seen_at).label("at")).group_by(sign_ins.c.user_id)
    return {row.user_id: row.at for row in tx.execute(query)}


def known_tokens(tx: Connection, token_hashes: Collection[str]) -> set[str]:
    """Those of the token hashes that still have a sign-in, or are of a key of the API."""
    queries = [select(table.c.token_hash).where(table.c.token_hash.in_(token_hashes)) for table in (sign_ins, api_keys)]
    return set(tx.execute(union_all(*queries)).scalars())


def enabled_users(tx: Connection, user_ids: Collection[str]) -> set[str]:
    """Those of the users whose account is not disabled."""
    query = select(accounts.c.user_id).where(accounts.c.user_id.in_(user_ids), accounts.c.disabled_at.is_(None))
    return set(tx.execute(query).scalars())
