"""What a search looks for, and how a text shows where it stands: pieces of it, the words that match marked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

QUERY_CHARS = 200
YO_PLACES = 8  # no word has more; each is one more thing to look for
SNIPPET_CHARS = 160
LEAD_CHARS = 40  # of them before the first match

Part = tuple[str, bool]  # a piece of a text, and whether it matches

WORD = r"[^\W_]"  # what the databases take for a word: letters and digits
MARKUP = re.compile(r"\*\*|~~|`+|^#{1,6} ", re.MULTILINE)
MARKS = "[\u0300-\u036f]*"  # accents that are characters of their own


def terms_of(query: str) -> list[str]:
    """The terms of a query, which stand between its spaces; those without a letter or digit find nothing."""
    query = unicodedata.normalize("NFC", query[:QUERY_CHARS]).lower()
    return [term for term in dict.fromkeys(query.split()) if re.search(WORD, term)]


def spellings(term: str) -> list[str]:
    """The ways to write a term: the Russian letter ё is mostly written as е."""
    plain = term.replace("ё", "е")
    places = [place for place, letter in enumerate(plain) if letter == "е"]
    return [plain] + [f"{plain[:place]}ё{plain[place + 1 :]}" for place in places[:YO_PLACES]]


def pattern(terms: Sequence[str]) -> re.Pattern[str]:
    """A pattern for the words that begin with one of the terms, without regard to case and accents."""
    ways = "|".join(r"[\W_]+".join(map(_letters, re.findall(f"{WORD}+", term))) for term in terms)
    return re.compile(f"(?<!{WORD})(?:{ways})(?:{WORD}{MARKS})*", re.IGNORECASE)


def marked(text: str, wanted: re.Pattern[str]) -> tuple[Part, ...]:
    """The whole text, cut where what matches begins and ends."""
    parts, at = [], 0
    for match in wanted.finditer(text):
        parts += [(text[at : match.start()], False), (match[0], True)]
        at = match.end()
    return tuple(part for part in [*parts, (text[at:], False)] if part[0])


def snippet(text: str, wanted: re.Pattern[str]) -> tuple[Part, ...]:
    """Some SNIPPET_CHARS characters of a text around the first match, cut between words, without its simplest marks."""
    text = MARKUP.sub("", text)
    match = wanted.search(text)
    start = max(match.start() - LEAD_CHARS, 0) if match else 0
    start, end = _between_words(text, start, start + SNIPPET_CHARS, match.start() if match else 0)
    parts = marked(" ".join(text[start:end].split()), wanted)
    before: tuple[Part, ...] = (("… ", False),) if start else ()
    after: tuple[Part, ...] = ((" …", False),) if end < len(text) else ()
    return before + parts + after


def _between_words(text: str, start: int, end: int, keep: int) -> tuple[int, int]:
    """Move both ends inward to a space where one is near; what begins at `keep` stays."""
    if start and (space := re.compile(r"\s").search(text, start - 1, keep)):
        start = space.end()
    if end < len(text) and (space := re.compile(r"\s(?=\S*\Z)").search(text, end - LEAD_CHARS, end + 1)):
        end = space.start()
    return start, end


def _letters(word: str) -> str:
    plain = (unicodedata.normalize("NFD", letter)[0] if letter in _plain() else letter for letter in word)
    return "".join(f"[{letter}{_variants().get(letter, '')}]{MARKS}" for letter in plain)


@cache
def _plain() -> dict[str, str]:
    """Latin letters with accents, and ё, each with its plain letter. Russian й is a letter of its own."""
    letters = [chr(code) for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00), 0x451)]
    plain = {letter: unicodedata.normalize("NFD", letter)[0] for letter in letters}
    return {letter: other for letter, other in plain.items() if letter != other}


@cache
def _variants() -> dict[str, str]:
    """Each plain letter with all that differ from it by accents only."""
    variants: dict[str, str] = {}
    for letter, plain in _plain().items():
        variants[plain] = variants.get(plain, "") + letter
    return variants
