"""What administrators have set for everybody, in the database: allowed models and the texts of the page."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, func, insert, select

from webapp.storage import insert_or_keep
from webapp.storage.team_schema import accounts, allowed_models, site_texts
from webapp.team import MEMBER


def allowed_for(tx: Connection, user_id: str) -> set[str]:
    """The models that the role of this user may use; none where it may use all. Without an account: a member's."""
    role = select(accounts.c.role).where(accounts.c.user_id == user_id).scalar_subquery()
    query = select(allowed_models.c.model).where(allowed_models.c.role == func.coalesce(role, MEMBER))
    return set(tx.execute(query).scalars())


def allowed_of(tx: Connection, role: str) -> list[str]:
    """The models that a role may use, by name; none where it may use all."""
    return sorted(tx.execute(select(allowed_models.c.model).where(allowed_models.c.role == role)).scalars())


def allow(tx: Connection, role: str, models: Collection[str]) -> None:
    """Replace the models that a role may use."""
    tx.execute(delete(allowed_models).where(allowed_models.c.role == role))
    if models:
        tx.execute(insert_or_keep(tx, allowed_models), [{"role": role, "model": model} for model in models])


def texts(tx: Connection) -> dict[str, str]:
    """The texts that administrators have written, by name."""
    return {row.name: row.text for row in tx.execute(select(site_texts.c.name, site_texts.c.text))}


def set_text(tx: Connection, name: str, text: str | None) -> None:
    """Store one text; None removes it, so that the setting holds again."""
    tx.execute(delete(site_texts).where(site_texts.c.name == name))
    if text is not None:
        tx.execute(insert(site_texts).values(name=name, text=text))
