"""What a search looks for, and how a text shows where it stands: pieces of it, the words that match marked.

Texts and queries are foreign, so every expression here is linear: its classes share no character with what
follows them, and its repetitions are possessive.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import islice

QUERY_CHARS = 200
QUERY_WORDS = 10  # of a query; each is looked for in every text that is shown
WORD_CHARS = 64  # of a word; what follows makes no difference
SNIPPET_CHARS = 160
LEAD_CHARS = 40  # of them before the first match
WINDOW_CHARS = 2000  # a snippet is cut out of these
LOOKED_AT_CHARS = 20_000  # of a text, from its beginning, for the first match; further on only plain matches are seen
TRIES = 5  # of those

Part = tuple[str, bool]  # a piece of a text, and whether it matches

MARK = "\u0300-\u036f"  # accents that are characters of their own
LETTER = r"[^\W_]"  # letters and digits
WORD = re.compile(f"{LETTER}(?:{LETTER}|[{MARK}])*+")
BETWEEN = rf"(?:[^\w{MARK}]|_)[\W_]*+"  # the words of a term
MARKUP = re.compile(r"\*\*|~~|`++|^#{1,6} ", re.MULTILINE)


def terms_of(query: str) -> list[str]:
    """The terms of a query, which stand between its spaces; those without a letter or digit find nothing.

    All together have at most QUERY_WORDS words; what follows is not looked for.
    """
    terms: dict[str, None] = {}
    left = QUERY_WORDS
    for term in query[:QUERY_CHARS].split():
        words = words_of(term, left)
        left -= len(words)
        if words:
            terms[" ".join(words)] = None
    return list(terms)


def words_of(text: str, limit: int | None = None) -> list[str]:
    """The words of a text as they are compared: in lower case, Latin letters without accents, ё as е."""
    return [_folded(match[0][:WORD_CHARS]) for match in islice(WORD.finditer(text), limit)]


def goes_on(term: str) -> bool:
    """Whether a term stands for all words that begin with it. One letter begins too many to be of use."""
    return len(term) > 1


def matches(text: str, terms: Sequence[str]) -> bool:
    """Whether all terms stand in a short text."""
    words = f" {' '.join(words_of(text))} "
    return all((f" {term}" if goes_on(term) else f" {term} ") in words for term in terms)


def pattern(terms: Sequence[str]) -> re.Pattern[str]:
    """A pattern for the words that begin with one of the terms, without regard to case and accents."""
    return re.compile(f"(?<!{LETTER})(?<![{MARK}])(?:{'|'.join(map(_way, terms))})", re.IGNORECASE)


def marked(text: str, wanted: re.Pattern[str]) -> tuple[Part, ...]:
    """The whole text, cut where what matches begins and ends."""
    parts, at = [], 0
    for match in wanted.finditer(text):
        parts += [(text[at : match.start()], False), (match[0], True)]
        at = match.end()
    return tuple(part for part in [*parts, (text[at:], False)] if part[0])


def snippet(text: str, terms: Sequence[str], wanted: re.Pattern[str]) -> tuple[Part, ...]:
    """Some SNIPPET_CHARS characters of a text around the first match, cut between words, without its simplest marks.

    `wanted` is the pattern of the terms. A match far behind the beginning is found by its plain spelling only.
    """
    first = max(_first_match(text, terms, wanted) - WINDOW_CHARS // 2, 0)
    window = MARKUP.sub("", text[first : first + WINDOW_CHARS])
    match = wanted.search(window)
    start = max(match.start() - LEAD_CHARS, 0) if match else 0
    start, end = _between_words(window, start, start + SNIPPET_CHARS, match.start() if match else 0)
    parts = marked(" ".join(window[start:end].split()), wanted)
    before: tuple[Part, ...] = (("… ", False),) if first + start else ()
    after: tuple[Part, ...] = ((" …", False),) if end < len(window) or first + WINDOW_CHARS < len(text) else ()
    return before + parts + after


def _first_match(text: str, terms: Sequence[str], wanted: re.Pattern[str]) -> int:
    """Where the first match begins; 0 where none is seen."""
    if match := wanted.search(text[:LOOKED_AT_CHARS]):
        return match.start()
    rest = text[LOOKED_AT_CHARS:].lower()
    for term in terms if len(rest) + LOOKED_AT_CHARS == len(text) else ():  # İ is two characters in lower case
        at = -1
        for _try in range(TRIES):
            at = rest.find(term.split()[0], at + 1)
            if at < 0:
                break
            if wanted.match(text, LOOKED_AT_CHARS + at):
                return LOOKED_AT_CHARS + at
    return 0


def _between_words(text: str, start: int, end: int, keep: int) -> tuple[int, int]:
    """Move both ends inward to a space where one is near; what begins at `keep` stays."""
    if start and (space := re.compile(r"\s").search(text, start - 1, keep)):
        start = space.end()
    if end < len(text) and (space := re.compile(r"\s(?=\S*+\Z)").search(text, end - LEAD_CHARS, end + 1)):
        end = space.start()
    return start, end


def _way(term: str) -> str:
    """The expression of a term: its words one after the other, the last one to its end."""
    end = f"(?:{LETTER}|[{MARK}])*+" if goes_on(term) else f"(?!{LETTER})"
    return BETWEEN.join("".join(map(_letter, word)) for word in term.split()) + end


def _letter(plain: str) -> str:
    return f"[{plain}{_variants().get(plain, '')}][{MARK}]*+"


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFC", word).lower().translate(_folding())


@cache
def _folding() -> dict[int, str | None]:
    """Every letter that is compared as another one, and accents, which are not compared at all."""
    letters = {**_plain(), "ς": "σ"}
    return {**{ord(letter): plain for letter, plain in letters.items()}, **dict.fromkeys(range(0x300, 0x370), None)}


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
