"""The use cases of presets: saved settings to begin a conversation with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from webapp.chat import Preset
from webapp.errors import Invalid, NotFound, existing
from webapp.language import gettext as _
from webapp.language import mark
from webapp.settings import SettingsCheck, Typed
from webapp.storage import Storage, audit, presets
from webapp.storage.presets import EVERYBODY
from webapp.team import Actor
from webapp.text import clean, new_id

NAME_CHARS = 60
PRESETS = 50  # of one user: one page shows all of them
MOST_FIELDS = 20
UNKNOWN = mark("This preset does not exist.")

_FIELD = re.compile(r"\{\{([^{}\n]{1,60})\}\}")


class Presets:
    """The presets of all users; every method takes the user first.

    `sharer` is the administrator who adds, changes or deletes a preset for everybody.
    """

    def __init__(self, storage: Storage, check: SettingsCheck) -> None:
        self._storage = storage
        self._check = check

    def of(self, user_id: str) -> list[Preset]:
        """The user's presets and those for everybody, by name."""
        with self._storage.read() as tx:
            return presets.of(tx, user_id)

    def get(self, user_id: str, preset_id: str) -> Preset:
        """One preset of this user or for everybody; `preset_id` may be any text. Raises NotFound."""
        with self._storage.read() as tx:
            return existing(presets.get(tx, user_id, clean(preset_id)), _(UNKNOWN))

    def add(self, user_id: str, name: str, typed: Typed, *, sharer: Actor | None = None) -> Preset:
        """Store a new preset and return it. Raises Invalid, TooLarge."""
        preset, owner = self._checked(user_id, new_id(), name, typed), EVERYBODY if sharer else user_id

        def add(tx: Connection) -> None:
            if presets.count(tx, owner) >= PRESETS:
                raise Invalid(_too_many(is_shared=bool(sharer)))
            presets.add(tx, owner, preset, datetime.now(UTC))
            audit.note(tx, sharer, "preset_made", preset.name)

        self._storage.run(add)
        return preset

    def change(self, user_id: str, preset_id: str, name: str, typed: Typed, *, sharer: Actor | None = None) -> Preset:
        """Replace the preset with this id. Raises Invalid, TooLarge, NotFound."""
        preset, owner = self._checked(user_id, preset_id, name, typed), EVERYBODY if sharer else user_id

        def change(tx: Connection) -> None:
            if not presets.change(tx, owner, preset):
                raise NotFound(_(UNKNOWN))
            audit.note(tx, sharer, "preset_changed", preset.name)

        self._storage.run(change)
        return preset

    def delete(self, user_id: str, preset_id: str, *, sharer: Actor | None = None) -> None:
        """Delete a preset; folders that begin with it begin with none. Ignores an unknown id."""

        def delete(tx: Connection) -> None:
            if name := presets.remove(tx, EVERYBODY if sharer else user_id, preset_id):
                audit.note(tx, sharer, "preset_deleted", name)

        self._storage.run(delete)

    def _checked(self, user_id: str, preset_id: str, name: str, typed: Typed) -> Preset:
        name = " ".join(clean(name).split())
        if not name:
            raise Invalid(_("Give the preset a name."))
        if len(name) > NAME_CHARS:
            raise Invalid(_("The name is too long: %(limit)s characters are allowed.") % {"limit": NAME_CHARS})
        settings = replace(self._check.defaults(user_id), **self._check.changes(user_id, typed))
        return Preset(
            settings.model, settings.temperature, settings.system, options=settings.options, id=preset_id, name=name
        )


def beginning(presets: Iterable[Preset], asked: str | None, default: str) -> Preset | None:
    """The preset of a new chat: the one asked for ("" for none), else the default one, if it still exists.

    Raises NotFound if the one asked for does not exist.
    """
    preset = next((one for one in presets if one.id == (default if asked is None else asked)), None)
    return existing(preset, _(UNKNOWN)) if asked else preset


def fields_in(preset: Preset) -> list[str]:
    """The names of the {{fields}} in the system prompt, each once, in their order."""
    names = (name.strip() for name in _FIELD.findall(preset.system))
    return list(dict.fromkeys(name for name in names if name))[:MOST_FIELDS]


def filled(preset: Preset, values: Mapping[str, str]) -> Preset:
    """The preset with these values in place of its fields; a field without a value stays."""
    system = _FIELD.sub(lambda match: values.get(match[1].strip()) or match[0], preset.system)
    return replace(preset, system=clean(system))


def _too_many(*, is_shared: bool) -> str:
    if is_shared:
        sentence = _("There are %(count)s presets for everybody, which is the limit. Delete one first.")
    else:
        sentence = _("You have %(count)s presets, which is the limit. Delete one first.")
    return sentence % {"count": PRESETS}
