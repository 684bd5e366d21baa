"""The use cases of presets: settings of one's own to begin a conversation with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from webapp.chat import Preset
from webapp.config import Config
from webapp.errors import Invalid, NotFound
from webapp.language import gettext as _
from webapp.storage import Storage, presets
from webapp.text import clean, new_id
from webapp.upstream.models import Models

NAME_CHARS = 60
PRESETS = 50  # of one user: all of them stand on one page


class Presets:
    """The presets of all users; every method is told whose."""

    def __init__(self, config: Config, storage: Storage, models: Models) -> None:
        self._config = config
        self._storage = storage
        self._models = models

    def of(self, user_id: str) -> list[Preset]:
        """The user's presets, by name."""
        with self._storage.read() as tx:
            return presets.of(tx, user_id)

    def get(self, user_id: str, preset_id: str) -> Preset:
        """One preset of this user; any text will do for an id. Raises NotFound."""
        with self._storage.read() as tx:
            preset = presets.get(tx, user_id, clean(preset_id))
        if preset is None:
            raise NotFound(_("This preset does not exist."))
        return preset

    def add(self, user_id: str, preset: Preset) -> Preset:
        """Store a new preset under an id of its own, and return it so. Raises Invalid."""
        preset = replace(self._checked(preset), id=new_id())
        with self._storage.begin() as tx:
            if presets.count(tx, user_id) >= PRESETS:
                raise Invalid(_("You have %(count)s presets, the most there can be.") % {"count": PRESETS})
            presets.add(tx, user_id, preset, datetime.now(UTC))
        return preset

    def change(self, user_id: str, preset: Preset) -> Preset:
        """Replace the preset with this id. Raises Invalid, NotFound."""
        preset = self._checked(preset)
        with self._storage.begin() as tx:
            if not presets.change(tx, user_id, preset):
                raise NotFound(_("This preset does not exist."))
        return preset

    def delete(self, user_id: str, preset_id: str) -> None:
        """Delete a preset; one that is gone already stays gone."""
        with self._storage.begin() as tx:
            presets.remove(tx, user_id, preset_id)

    def _checked(self, preset: Preset) -> Preset:
        name, system = " ".join(clean(preset.name).split()), clean(preset.system)
        limit = self._config.max_question_chars
        if not name:
            raise Invalid(_("Give the preset a name."))
        if len(name) > NAME_CHARS:
            raise Invalid(_("The name is too long: %(limit)s characters are allowed.") % {"limit": NAME_CHARS})
        self._models.check(preset.model, preset.temperature)
        if len(system) > limit:
            raise Invalid(
                _("The system prompt is too long: %(length)s characters, %(limit)s are allowed.")
                % {"length": len(system), "limit": limit}
            )
        return replace(preset, name=name, system=system)
