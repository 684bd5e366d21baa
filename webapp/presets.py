"""The use cases of presets: saved settings to begin a conversation with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from webapp.chat import Preset
from webapp.errors import Invalid, NotFound
from webapp.language import gettext as _
from webapp.settings import SettingsCheck, Typed
from webapp.storage import Storage, presets
from webapp.text import clean, new_id

NAME_CHARS = 60
PRESETS = 50  # of one user: one page shows all of them
MOST_FIELDS = 20

_FIELD = re.compile(r"\{\{([^{}\n]{1,60})\}\}")


class Presets:
    """The presets of all users; every method takes the user first."""

    def __init__(self, storage: Storage, check: SettingsCheck) -> None:
        self._storage = storage
        self._check = check

    def of(self, user_id: str) -> list[Preset]:
        """The user's presets, by name."""
        with self._storage.read() as tx:
            return presets.of(tx, user_id)

    def get(self, user_id: str, preset_id: str) -> Preset:
        """One preset of this user; `preset_id` may be any text. Raises NotFound."""
        with self._storage.read() as tx:
            preset = presets.get(tx, user_id, clean(preset_id))
        if preset is None:
            raise unknown()
        return preset

    def add(self, user_id: str, name: str, typed: Typed) -> Preset:
        """Store a new preset and return it. Raises Invalid, TooLarge."""
        preset = self._checked(user_id, new_id(), name, typed)
        with self._storage.begin() as tx:
            if presets.count(tx, user_id) >= PRESETS:
                raise Invalid(
                    _("You have %(count)s presets, which is the limit. Delete one first.") % {"count": PRESETS}
                )
            presets.add(tx, user_id, preset, datetime.now(UTC))
        return preset

    def change(self, user_id: str, preset_id: str, name: str, typed: Typed) -> Preset:
        """Replace the preset with this id. Raises Invalid, TooLarge, NotFound."""
        preset = self._checked(user_id, preset_id, name, typed)
        with self._storage.begin() as tx:
            if not presets.change(tx, user_id, preset):
                raise unknown()
        return preset

    def delete(self, user_id: str, preset_id: str) -> None:
        """Delete a preset. Ignores an unknown id."""
        with self._storage.begin() as tx:
            presets.remove(tx, user_id, preset_id)

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
    found = next((one for one in presets if one.id == (default if asked is None else asked)), None)
    if asked and found is None:
        raise unknown()
    return found


def unknown() -> NotFound:
    return NotFound(_("This preset does not exist."))


def fields_in(preset: Preset) -> list[str]:
    """The names of the {{fields}} in the system prompt, each once, in their order."""
    names = (name.strip() for name in _FIELD.findall(preset.system))
    return list(dict.fromkeys(name for name in names if name))[:MOST_FIELDS]


def filled(preset: Preset, values: Mapping[str, str]) -> Preset:
    """The preset with these values in place of its fields; a field without a value stays."""
    system = _FIELD.sub(lambda match: values.get(match[1].strip()) or match[0], preset.system)
    return replace(preset, system=clean(system))
