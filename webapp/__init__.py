"""Lockchat: the lightest chat page there is, that never loses a word and never hides an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from webapp.config import Config


def create_app(config: Config | None = None) -> Flask:
    """Build the app from its settings: those of the environment, unless given.

    Raises ConfigError for settings that cannot be used, StorageUnavailable for a database file that
    cannot be opened. While a database server is away the app is built all the same, and says so on its pages.
    """
    # Imported late: gunicorn's master reads webapp.config before gevent patches the sockets, and a program
    # that wants only webapp.lockchat needs neither Flask nor a database.
    from webapp.app import build
    from webapp.config import Config

    return build(config or Config.from_env())
