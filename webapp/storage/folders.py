"""Folders in the database. Every query names the owner, except `put`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from webapp.chat import Folder
from webapp.storage import insert_missing, insert_or_keep
from webapp.storage.schema import foldered, folders, users
from webapp.text import new_id

FOLDERS = 100  # of one user: every page shows all of them


def of(tx: Connection, user_id: str) -> list[Folder]:
    """The user's folders, by name."""
    rows = tx.execute(_LIST, {"user_id": user_id})
    # Sorted here: the databases do not agree on the order of letters.
    return sorted((Folder(*row) for row in rows), key=lambda folder: folder.name.casefold())


_LIST = select(folders.c.id, folders.c.name, folders.c.preset_id).where(folders.c.user_id == bindparam("user_id"))


def get(tx: Connection, user_id: str, folder_id: str) -> Folder | None:
    """One folder of this user, or None."""
    return next((folder for folder in of(tx, user_id) if folder.id == folder_id), None)


def named(tx: Connection, user_id: str, name: str, now: datetime) -> str | None:
    """The id of the user's folder with this name, which is made if there is none; None if there are FOLDERS."""
    query = select(folders.c.id).where(folders.c.user_id == user_id, folders.c.name == name)
    if found := tx.execute(query).scalar_one_or_none():
        return str(found)
    count = select(func.count()).select_from(folders).where(folders.c.user_id == user_id)
    if tx.execute(count).scalar_one() >= FOLDERS:
        return None
    insert_missing(tx, users, id=user_id, created_at=now)
    values = {"id": new_id(), "user_id": user_id, "name": name, "created_at": now}
    tx.execute(insert_or_keep(tx, folders).values(values))  # another worker may have made it since
    return str(tx.execute(query).scalar_one())


def put(tx: Connection, conversation_id: str, folder_id: str | None) -> None:
    """Put a conversation into a folder of the same user, or into none. The caller checks whose they are."""
    tx.execute(delete(foldered).where(foldered.c.conversation_id == conversation_id))
    if folder_id:
        tx.execute(insert(foldered).values(conversation_id=conversation_id, folder_id=folder_id))


def change(tx: Connection, user_id: str, folder: Folder) -> bool:
    """Replace the folder with the same id; return False if this user has none."""
    these = (folders.c.user_id == user_id) & (folders.c.id == folder.id)
    changed = tx.execute(update(folders).where(these).values(name=folder.name, preset_id=folder.preset_id))
    return changed.rowcount == 1


def remove(tx: Connection, user_id: str, folder_id: str) -> None:
    """Delete a folder; its conversations stay, in no folder. Ignores an unknown id."""
    tx.execute(delete(folders).where(folders.c.user_id == user_id, folders.c.id == folder_id))
