"""The texts of administrators: a notice above every page, and a text for the first visit. Saved, or of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy import Connection

from webapp.config import Config
from webapp.errors import StorageUnavailable, TooLarge
from webapp.language import gettext as _
from webapp.language import number
from webapp.storage import Storage, audit, site
from webapp.team import Actor
from webapp.text import clean

NOTICE, WELCOME = "notice", "welcome"
NAMES = (NOTICE, WELCOME)
MOST_CHARS = 10_000  # of one text


class Notices:
    """The texts, by name. With open login, where no page could change them, those of the settings."""

    def __init__(self, storage: Storage, config: Config) -> None:
        self._storage = storage
        self._is_open = config.login == "open"
        self.of_settings = {NOTICE: config.notice or "", WELCOME: config.welcome or ""}
        self._last = self.of_settings

    def texts(self, *, asks: bool = True) -> Mapping[str, str]:
        """The texts that hold now. While the database is away, or without `asks`, those of the last time."""
        if asks and not self._is_open:
            with suppress(StorageUnavailable), self._storage.read() as tx:
                self._last = self.of_settings | site.texts(tx)
        return self._last

    def change(self, actor: Actor, typed: Mapping[str, str]) -> None:
        """Save the texts that differ from those that hold; one that is the setting's is not stored. Raises TooLarge."""
        texts = {name: checked(text) for name, text in typed.items() if name in NAMES}

        def change(tx: Connection) -> None:
            old = self.of_settings | site.texts(tx)
            for name, text in texts.items():
                if text != old[name].strip():
                    site.set_text(tx, name, None if text == self.of_settings[name].strip() else text)
                    audit.note(tx, actor, f"{name}_changed", text)

        self._storage.run(change)


def checked(text: str) -> str:
    """The text as it is stored. Raises TooLarge."""
    text = clean(text).strip()
    if len(text) > MOST_CHARS:
        raise TooLarge(
            _("The text is too long: %(length)s characters, %(limit)s are allowed.")
            % {"length": number(len(text)), "limit": number(MOST_CHARS)}
        )
    return text
