"""Splits queries into terms, finds them in texts, and marks them in snippets.

Chinese, Japanese, Thai and some others put no spaces between words, and Korean words have endings and compounds. So a
run of their letters is no word: it is stored as the pairs of its letters and each of these letters, and found wherever
it is, as in https://lucene.apache.org/core/9_0_0/analysis/common/org/apache/lucene/analysis/cjk/CJKBigramFilter.html

Texts and queries are foreign, so every regular expression is linear: no repeated class shares a character with what
follows it, and repetitions are possessive.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import groupby, islice

QUERY_CHARS = 200
QUERY_WORDS = 10  # each costs a look at every text that is shown
WORD_CHARS = 64  # that are compared
RUN_CHARS = 40  # of a term without spaces, that are compared
INDEX_WORDS = 40_000  # of a text: a tsvector of PostgreSQL holds at most 1 MB
SNIPPET_CHARS = 160
LEAD_CHARS = 40  # of a snippet, before the first match
WINDOW_CHARS = 2000  # around the first match, from which a snippet is cut
LOOKED_AT_CHARS = 20_000  # searched with the pattern; the rest of a text only for the plain spelling
TRIES = 5  # plain spellings that are checked

Part = tuple[str, bool]  # a piece of a text, and whether it matches

MARK = "\u0300-\u036f"  # combining accents
# Letters and their marks in scripts without spaces between words, and in Korean.
RUN = (
    "\u3005-\u3007\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # Chinese
    "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb"  # Korean
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u1000-\u103f\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
)
LETTER = rf"[^\W_{RUN}]"  # other letters, and digits
WORD = re.compile(f"{LETTER}(?:{LETTER}|[{MARK}])*+|[{RUN}]++")
BETWEEN = rf"(?:[^\w{MARK}{RUN}]|_)(?:[^\w{RUN}]|_)*+"  # between the words of a term
IS_RUN = re.compile(f"[{RUN}]")
MARKUP = re.compile(r"\*\*|~~|`++|^#{1,6} ", re.MULTILINE)


def terms_of(query: str) -> list[str]:
    """The terms of a query: separated by spaces, and by changes between words and runs.

    Skips terms without a letter or digit. Stops after QUERY_WORDS words and runs in all terms together.
    """
    terms: dict[str, None] = {}
    left = QUERY_WORDS
    for part in query[:QUERY_CHARS].split():
        words = _words(part, left)
        left -= len(words)
        for is_a_run, group in groupby(words, is_run):
            found = list(group)
            terms |= dict.fromkeys([run[:RUN_CHARS] for run in found] if is_a_run else [" ".join(found)])
    return list(terms)


def is_run(term: str) -> bool:
    """Whether a term is of a script without spaces."""
    return IS_RUN.match(term) is not None


def has_runs(text: str) -> bool:
    """Whether a text has letters of a script without spaces."""
    return IS_RUN.search(text) is not None


def words_of(text: str) -> list[str]:
    """The words of a text for the index, at most INDEX_WORDS; the letters of its runs come last, each once."""
    words: list[str] = []
    letters: dict[str, None] = {}
    for word in _words(text):
        if is_run(word):
            room = max(INDEX_WORDS - len(words) - len(letters), 0) // 2
            letters |= dict.fromkeys(word[:room])
            words += pairs_of(word[:room])
        elif len(words) + len(letters) < INDEX_WORDS:
            words.append(word)
    return [*words, *letters]


def pairs_of(run: str) -> list[str]:
    """The pairs of letters of a run, in order."""
    return [run[at : at + 2] for at in range(len(run) - 1)]


def goes_on(term: str) -> bool:
    """Whether a term matches all words that begin with it. A single letter would match too many."""
    return len(term) > 1 and not is_run(term)


def matches(text: str, terms: Sequence[str]) -> bool:
    """Whether a short text contains all terms."""
    words = f" {' '.join(_words(text))} "
    return all((term if is_run(term) else f" {term}" if goes_on(term) else f" {term} ") in words for term in terms)


def pattern(terms: Sequence[str]) -> re.Pattern[str]:
    """A pattern for words that begin with one of the terms, and for runs that contain one; ignores case and accents."""
    runs = ["".join(map(_any_form, term)) for term in terms if is_run(term)]
    words = "|".join(_way(term) for term in terms if not is_run(term))
    ways = [*runs, f"(?<!{LETTER})(?<![{MARK}])(?:{words})"] if words else runs
    return re.compile("|".join(ways), re.IGNORECASE)


def marked(text: str, wanted: re.Pattern[str]) -> tuple[Part, ...]:
    """The whole text, cut at the beginning and end of each match."""
    parts, at = [], 0
    for match in wanted.finditer(text):
        parts += [(text[at : match.start()], False), (match[0], True)]
        at = match.end()
    return tuple(part for part in [*parts, (text[at:], False)] if part[0])


def snippet(text: str, terms: Sequence[str], wanted: re.Pattern[str]) -> tuple[Part, ...]:
    """About SNIPPET_CHARS characters of a text around the first match, cut between words, without simple markdown.

    `wanted` is the pattern of the terms. After LOOKED_AT_CHARS, finds the plain spelling of a term only.
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
    """The index of the first match; 0 if none is found."""
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
    """Move both ends inward to a nearby space, but not past `keep`."""
    if start and (space := re.compile(r"\s").search(text, start - 1, keep)):
        start = space.end()
    if end < len(text) and (space := re.compile(r"\s(?=\S*+\Z)").search(text, end - LEAD_CHARS, end + 1)):
        end = space.start()
    return start, end


def _way(term: str) -> str:
    """The expression for a term: its words in order, the last one up to its end."""
    end = f"(?:{LETTER}|[{MARK}])*+" if goes_on(term) else f"(?!{LETTER})"
    return BETWEEN.join("".join(map(_letter, word)) for word in term.split()) + end


def _letter(plain: str) -> str:
    return f"[{plain}{_variants().get(plain, '')}][{MARK}]*+"


def _any_form(letter: str) -> str:
    """The expression for a letter of a run: composed, or as its parts."""
    parts = unicodedata.normalize("NFD", letter)
    return letter if parts == letter else f"(?:{letter}|{parts})"


def _words(text: str, limit: int | None = None) -> list[str]:
    """The words and runs of a text, folded for comparison: lower case, Latin letters without accents, ё as е."""
    found = (match[0] for match in islice(WORD.finditer(text), limit))
    return [_folded(word if is_run(word) else word[:WORD_CHARS]) for word in found]


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFC", word).lower().translate(_folding())


@cache
def _folding() -> dict[int, str | None]:
    """Letters, each with the letter it is compared as, and accents, which are dropped."""
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
    """Each plain letter, with all letters that differ from it by accents only."""
    variants: dict[str, str] = {}
    for letter, plain in _plain().items():
        variants[plain] = variants.get(plain, "") + letter
    return variants
