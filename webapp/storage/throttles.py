"""The levels of the throttle in the database, so that all workers share them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from webapp.storage import insert_missing
from webapp.storage.team_schema import throttles


def levels(tx: Connection, keys: Collection[str], now: datetime) -> dict[str, tuple[float, datetime]]:
    """The level of each key, and when it was stored. Locks the rows."""
    for key in sorted(keys):  # in one order: no two transactions wait for each other
        insert_missing(tx, throttles, key=key, level=0.0, at=now)
    query = select(throttles).where(throttles.c.key.in_(keys)).order_by(throttles.c.key).with_for_update()
    return {row.key: (row.level, row.at) for row in tx.execute(query)}


def put(tx: Connection, levels: Mapping[str, float], now: datetime) -> None:
    """Store the level of each key."""
    for key, level in sorted(levels.items()):
        tx.execute(update(throttles).where(throttles.c.key == key).values(level=level, at=now))


def purge(tx: Connection, before: datetime) -> None:
    """Delete levels stored before that time."""
    tx.execute(delete(throttles).where(throttles.c.at < before))
