"""Presets in the database. Every query names the owner; those for everybody belong to EVERYBODY, whom nobody is."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from webapp.chat import Preset
from webapp.storage import insert_missing
from webapp.storage.schema import presets, users

EVERYBODY = "00000000-0000-0000-0000-000000000000"  # the id of a user; those of people are random


def of(tx: Connection, user_id: str) -> list[Preset]:
    """The user's presets and those for everybody, by name."""
    # Sorted here: the databases do not agree on the order of letters.
    return sorted(
        (_preset(row) for row in tx.execute(_list(), {"user_id": user_id})), key=lambda preset: preset.name.casefold()
    )


@cache
def _list() -> Select[Any]:
    owned = presets.c.user_id.in_([bindparam("user_id"), EVERYBODY])
    return select(presets).where(owned).order_by(presets.c.created_at, presets.c.id)


def get(tx: Connection, user_id: str, preset_id: str) -> Preset | None:
    """One preset of this user or for everybody, or None."""
    owned = presets.c.user_id.in_([user_id, EVERYBODY])
    row = tx.execute(select(presets).where(owned, presets.c.id == preset_id)).one_or_none()
    return _preset(row) if row else None


def count(tx: Connection, user_id: str) -> int:
    """How many presets this user has."""
    return tx.execute(select(func.count()).select_from(presets).where(presets.c.user_id == user_id)).scalar_one()


def add(tx: Connection, user_id: str, preset: Preset, now: datetime) -> None:
    """Store a new preset, and a new user."""
    insert_missing(tx, users, id=user_id, created_at=now)
    tx.execute(insert(presets).values(id=preset.id, user_id=user_id, created_at=now, **_values(preset)))


def change(tx: Connection, user_id: str, preset: Preset) -> bool:
    """Replace the preset with the same id; return False if this user has none."""
    query = update(presets).where(presets.c.user_id == user_id, presets.c.id == preset.id)
    return tx.execute(query.values(**_values(preset))).rowcount == 1


def remove(tx: Connection, user_id: str, preset_id: str) -> str:
    """Delete a preset and return its name; empty for an unknown id."""
    these = delete(presets).where(presets.c.user_id == user_id, presets.c.id == preset_id)
    return tx.execute(these.returning(presets.c.name)).scalar() or ""


def _values(preset: Preset) -> dict[str, object]:
    values = {name: getattr(preset, name) for name in ("name", "model", "temperature", "system")}
    return values | {"options": preset.options or None}


def _preset(row: Row[Any]) -> Preset:
    options, is_shared = row.options or {}, row.user_id == EVERYBODY
    return Preset(row.model, row.temperature, row.system, row.id, row.name, is_shared, options=options)
