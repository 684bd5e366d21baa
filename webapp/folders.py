"""The use cases of folders: one level, each with an optional preset for the conversations that begin in it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from webapp.chat import Folder
from webapp.conversations import known
from webapp.errors import Invalid, NotFound, existing
from webapp.language import gettext as _
from webapp.language import mark
from webapp.storage import Storage, conversations, folders, presets
from webapp.text import FOLDER_CHARS, clean

UNKNOWN = mark("This folder does not exist.")


class Folders:
    """The folders of all users; every method takes the user first."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def of(self, user_id: str) -> list[Folder]:
        """The user's folders, by name."""
        with self._storage.read() as tx:
            return folders.of(tx, user_id)

    def get(self, user_id: str, folder_id: str) -> Folder:
        """One folder of this user; `folder_id` may be any text. Raises NotFound."""
        with self._storage.read() as tx:
            return existing(folders.get(tx, user_id, folder_id), _(UNKNOWN))

    def add(self, user_id: str, name: str) -> str:
        """Make a folder, unless there is one with this name; return its id. Raises Invalid."""
        name = _checked(name)
        return self._storage.run(lambda tx: _named(tx, user_id, name))

    def change(self, user_id: str, folder_id: str, name: str, preset_id: str) -> None:
        """Give a folder another name, and a preset or none. Raises Invalid, NotFound."""
        folder = Folder(folder_id, _checked(name), clean(preset_id) or None)

        def change(tx: Connection) -> None:
            if any(one.name == folder.name and one.id != folder.id for one in folders.of(tx, user_id)):
                raise Invalid(_("You have a folder with this name."))
            if folder.preset_id and presets.get(tx, user_id, folder.preset_id) is None:
                raise NotFound(_("This preset does not exist."))
            if not folders.change(tx, user_id, folder):
                raise NotFound(_(UNKNOWN))

        self._storage.run(change)

    def delete(self, user_id: str, folder_id: str) -> None:
        """Delete a folder and keep its conversations. Ignores an unknown id."""
        self._storage.run(lambda tx: folders.remove(tx, user_id, folder_id))

    def move(self, user_id: str, conversation_id: str, folder_id: str, new_name: str = "") -> str:
        """Move a conversation to a folder, or to the one with the new name; without both, out of its folder.

        Returns the folder's name. Raises NotFound, Invalid.
        """
        name = _checked(new_name) if new_name.strip() else ""

        def move(tx: Connection) -> str:
            folder_there = folder_id and not name and existing(folders.get(tx, user_id, folder_id), _(UNKNOWN))
            into = _named(tx, user_id, name) if name else folder_there.id if folder_there else None
            known(conversations.get(tx, user_id, conversation_id, lock=True))
            folders.put(tx, conversation_id, into)
            return name or (folder_there.name if folder_there else "")

        return self._storage.run(move)


def _named(tx: Connection, user_id: str, name: str) -> str:
    folder_id = folders.named(tx, user_id, name, datetime.now(UTC))
    if folder_id is None:
        raise Invalid(
            _("You have %(count)s folders, which is the limit. Delete one first.") % {"count": folders.FOLDERS}
        )
    return folder_id


def _checked(name: str) -> str:
    name = " ".join(clean(name).split())
    if not name:
        raise Invalid(_("Give the folder a name."))
    if len(name) > FOLDER_CHARS:
        raise Invalid(_("The name is too long: %(limit)s characters are allowed.") % {"limit": FOLDER_CHARS})
    return name
