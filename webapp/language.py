"""The language of the page: gettext catalogues, one language at a time in each request.

Catalogues lie in `translations/<language>/LC_MESSAGES/messages.mo`; English is the source text.
"""

from __future__ import annotations

import gettext as _gettext
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from pathlib import Path

DIRECTORY = Path(__file__).parent / "translations"
SOURCE = "en"

_current: ContextVar[str] = ContextVar("language", default=SOURCE)


@cache
def available() -> tuple[str, ...]:
    """The languages that the page speaks, the source language first."""
    return (SOURCE, *sorted(path.parent.parent.name for path in DIRECTORY.glob("*/*/messages.mo")))


def names() -> dict[str, str]:
    """Each available language with its own name for itself."""
    # Translators: the name of your own language, in that language.
    name = mark("English")
    return {language: _catalogue(language).gettext(name) for language in available()}


def choose(preferred: Iterable[str]) -> str:
    """The first available language of `preferred` (tags such as `ru-RU`), else English."""
    for tag in preferred:
        language = tag.replace("_", "-").split("-")[0].lower()
        if language in available():
            return language
    return SOURCE


def use(language: str) -> None:
    """Speak `language` in the current context: a request, a thread, a greenlet."""
    _current.set(language)


def current() -> str:
    return _current.get()


def gettext(message: str) -> str:
    """The message in the current language; itself where the catalogue lacks it."""
    return _catalogue(_current.get()).gettext(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form of the message that the current language uses for `count` things."""
    return _catalogue(_current.get()).ngettext(singular, plural, count)


def mark(message: str) -> str:
    """Mark a sentence for the catalogue where it is not yet spoken."""
    return message


@cache
def _catalogue(language: str) -> _gettext.NullTranslations:
    return _gettext.translation("messages", DIRECTORY, [language], fallback=True)
