"""The language of the page: gettext catalogues, one language at a time in each request.

Catalogues lie in `translations/<language>/LC_MESSAGES/messages.mo`; English is the source text.
"""

from __future__ import annotations

import gettext as _gettext
import re
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import date as date_type
from functools import cache
from pathlib import Path

DIRECTORY = Path(__file__).parent / "translations"
SOURCE = "en"
SAMPLE_CHARS = 400  # enough to see what a text is written in

# The letters of each script, under the language that most readers of it expect.
SCRIPTS = {
    "en": re.compile(r"[A-Za-z\u00c0-\u024f]+"),
    "ru": re.compile(r"[\u0400-\u052f]+"),
    "el": re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]+"),
    "he": re.compile(r"[\u05d0-\u05f2]+"),
    "ar": re.compile(r"[\u0620-\u064a\u066e-\u06d3]+"),
    "zh": re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+"),
    "ja": re.compile(r"[\u3041-\u30ff]+"),
    "ko": re.compile(r"[\u1100-\u11ff\uac00-\ud7a3]+"),
}
LETTERS = re.compile(r"[^\W\d_]+")
NOT_RUSSIAN = re.compile(r"[\u0400\u0402-\u040f\u0450\u0452-\u052f]")  # letters of other Cyrillic languages

_current: ContextVar[str] = ContextVar("language", default=SOURCE)


@cache
def available() -> tuple[str, ...]:
    """The languages that the page speaks, the source language first."""
    return (SOURCE, *sorted(path.parent.parent.name for path in DIRECTORY.glob("*/*/messages.mo")))


def names() -> dict[str, str]:
    """Each available language with its own name for itself."""
    return {language: _own_name(language) for language in available()}


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


def ngettext(singular: str, plural: str, count: int, **values: object) -> str:
    """The form of the message for `count` things in the current language, with `count` as %(num)s, and these values."""
    return _catalogue(_current.get()).ngettext(singular, plural, count) % ({"num": number(count)} | values)


def mark(message: str) -> str:
    """Mark a sentence for the catalogue where it is not yet spoken."""
    return message


def number(value: float, decimals: int = 0) -> str:
    """The number as the current language writes it, rounded to so many decimals."""
    # Translators: write this number as your language writes numbers; all others are written like it.
    sample = gettext("1,234.5")
    return f"{value:,.{decimals}f}".translate({ord(","): sample[1:-5], ord("."): sample[-2]})


def date(moment: date_type) -> str:
    """The day of a moment in words, such as 3 March 2026."""
    months = [
        # Translators: the names of the months, in the form they have in a date.
        mark("January"),
        mark("February"),
        mark("March"),
        mark("April"),
        mark("May"),
        mark("June"),
        mark("July"),
        mark("August"),
        mark("September"),
        mark("October"),
        mark("November"),
        mark("December"),
    ]
    # Translators: a date, such as 3 March 2026.
    return gettext("%(day)d %(month)s %(year)d") % {
        "day": moment.day,
        "month": gettext(months[moment.month - 1]),
        "year": moment.year,
    }


def month(day: date_type) -> str:
    """The month of a day with its year, such as March 2026, as a heading."""
    months = [
        # Translators: a month as a heading over the conversations of that month.
        mark("January %(year)d"),
        mark("February %(year)d"),
        mark("March %(year)d"),
        mark("April %(year)d"),
        mark("May %(year)d"),
        mark("June %(year)d"),
        mark("July %(year)d"),
        mark("August %(year)d"),
        mark("September %(year)d"),
        mark("October %(year)d"),
        mark("November %(year)d"),
        mark("December %(year)d"),
    ]
    return gettext(months[day.month - 1]) % {"year": day.year}


def foreign(text: str) -> str:
    """The language in which to read out a text of another script than the page's; "" for one of the same script.

    Also "" where no script has most of the letters. It is a guess from the beginning of the text.
    """
    found = _likely(text[:SAMPLE_CHARS])
    return "" if found in (current(), _likely(_own_name(current()))) else found


def _likely(text: str) -> str:
    if text.isascii():
        return "en" if LETTERS.search(text) else ""
    letters = sum(map(len, LETTERS.findall(text)))
    counts = {language: sum(map(len, script.findall(text))) for language, script in SCRIPTS.items()}
    if 4 * counts["ja"] > counts["zh"]:  # Japanese is written in both
        counts["ja"] += counts.pop("zh")
    language = max(counts, key=counts.__getitem__)
    if 2 * counts[language] <= letters:
        return ""
    return "" if language == "ru" and 50 * len(NOT_RUSSIAN.findall(text)) > letters else language


@cache
def _own_name(language: str) -> str:
    # Translators: the name of your own language, in that language.
    name = mark("English")
    return _catalogue(language).gettext(name)


@cache
def _catalogue(language: str) -> _gettext.NullTranslations:
    return _gettext.translation("messages", DIRECTORY, [language], fallback=True)
