"""Removes secrets, addresses, markup and code from the upstream's sentences, for users and the log."""

from __future__ import annotations

import html
import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import quote, quote_plus

MAX_DETAIL_CHARS = 200
PIECE_CHARS = 6  # this many characters of a secret in a row reveal too much
SHORT_CHARS = 8  # a shorter secret is masked only as a whole: ordinary words contain its pieces
RARE_CHARS = 4  # many words contain a secret shorter than this

_MAX_RAW_DETAIL_CHARS = 1000
_BASE64_CHARS = 8  # six bytes
_HEX_CHARS = 12  # six bytes

_CHARACTER = re.compile(r"(?:%(?:25)*|\\x|\\u00|&#x)([0-7][0-9a-f])|&#([0-9]{2,3});|.", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"\w+")

_UNWANTED = (
    # What LiteLLM adds for its operator, always after the sentence.
    (
        re.compile(
            r"\s(?:LiteLLM: model group|Received Model Group=|model=\S{1,100} context_window_fallbacks=).*", re.S
        ),
        "",
    ),
    (re.compile(r"Traceback.*", re.S), " "),
    (re.compile(r'File "[^"]*"(?:, line \d+)?(?:, in \S+)?'), " "),
    (re.compile(r"<(?:script|style)[^<>]*>[^<]*", re.I), " "),
    (re.compile(r"</?[a-z!][^<>]*(?:>|\Z)", re.I), ""),
    (re.compile(r"\bat (?:\w+\.){2,9}\w+\([^()]*\)"), " "),
    (re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://\S+|\bwww\.\S+", re.I), "…"),
    (re.compile(r"\bbearer\s+\S+", re.I), "…"),
    (re.compile(r"\b\w{0,30}(?:password|secret|token|key)\w{0,30}\s?[=:]\s?\S+", re.I), "…"),
    (re.compile(r"\b(?:api.?key|password|secret)\s+(['\"])[^'\"]+\1", re.I), "…"),
    (re.compile(r"\S{0,60}\*{3}\S*"), "…"),
    (re.compile(r"(?<!\S)/(?:[\w.-]+/)+\S*|[?&]\w+=\S*"), "…"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9a-f:]{2,40}\](?::\d+)?|\blocalhost:\S+", re.I), "…"),
    (re.compile(r"\b(?:[\w-]{1,63}\.){1,8}[a-z]{2,}(?::\d+\S*|/\S+)", re.I), "…"),
    (re.compile(r"\b(?=\w*[a-z][A-Z])[A-Z]\w*\([^()]*\):?|\b[a-z_]\w{0,60}(?:\.[a-z_]\w{0,60}){0,8}\.[A-Z]\w*:"), ""),
    (re.compile(r"\b(?:sk|pk|rk|hf|gsk|ghp|xox\w)[-_][\w*.-]{4,}|\beyJ[\w.-]{8,}", re.I), "…"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{16,}\b", re.I), "…"),
    (re.compile(r"(?=[A-Za-z+/]{0,60}\d)[A-Za-z0-9+/]{24,}={0,2}"), "…"),
    (re.compile(r"\b(?:\w{1,60}\.){0,8}\w{1,60}(?:Error|Exception)\b(?:\(\))?:?"), ""),
)

_JSON = re.compile(r"""[\[{]\s?['"]\w{1,60}['"]\s?:.*|[{}]""", re.S)
_EMPTY = re.compile(r"""\(\s?\)|\[\s?\]|(?<!\w)(?:''|""|``)(?!\w)""")
_ORPHAN = re.compile(r" (?=[.,;:)\]](?: |\Z))")
_FIRST = re.compile(r"\A(?:[\s:;,)\]}|>]|[.-](?=\s|\Z))+")


class _Spelling(NamedTuple):
    """The characters of a text without case, accents and escapes, each with its start and end in the text."""

    characters: str
    starts: list[int]
    ends: list[int]


def clean(said: str, secrets: tuple[str, ...] = ()) -> str:
    """Return a sentence that users may read: no secrets, addresses, markup, code names or invisible characters."""
    text = said if len(said) <= _MAX_RAW_DETAIL_CHARS else said[:_MAX_RAW_DETAIL_CHARS].rpartition(" ")[0]
    text = "".join(map(_visible, html.unescape(text)))
    text = mask(text, secrets)
    for pattern, replacement in _UNWANTED:
        text = pattern.sub(replacement, text)
    text = mask(text, secrets)  # again: markup may have split a secret
    text = _tidy(" ".join(text.split()))
    return text if len(text) <= MAX_DETAIL_CHARS else text[:MAX_DETAIL_CHARS].rpartition(" ")[0] + " …"


def _tidy(text: str) -> str:
    """The text without JSON, and without punctuation that lost its words."""
    text = _ORPHAN.sub("", _EMPTY.sub("", _JSON.sub("", text)))
    return _FIRST.sub("", text).rstrip(" :;,([{|<-")


def mask(text: str, secrets: Iterable[str]) -> str:
    """Replace each secret by an ellipsis, and each word that holds PIECE_CHARS characters of one.

    Finds secrets in any case, reversed, spaced out, and in URL, hex and base64 codes.
    The time is linear in the text.
    """
    secrets = [secret for secret in secrets if secret]
    hidden = bytearray(len(text))
    for is_bare in (False, True):
        pieces, wholes = _pieces(secrets, is_bare=is_bare)
        spelling = _spelled(text, is_bare=is_bare)
        for start, end in _found(spelling, pieces):
            hidden[start:end] = b"\1" * (end - start)
        for start, end in _found(spelling, wholes):
            if _is_telling(text, start, end, is_bare=is_bare):
                hidden[start:end] = b"\1" * (end - start)
    return _without(text, hidden)


def _pieces(secrets: Iterable[str], *, is_bare: bool) -> tuple[set[str], set[str]]:
    """Return the pieces of long secrets, and the short secrets as a whole."""
    pieces: set[str] = set()
    wholes: set[str] = set()
    for secret in secrets:
        for form, size in _forms(secret):
            forward = _spelled(form, is_bare=is_bare).characters
            for needle in (forward, forward[::-1]):
                if len(needle) >= max(size, SHORT_CHARS):
                    pieces |= {needle[at : at + size] for at in range(len(needle) - size + 1)}
                elif size == PIECE_CHARS and len(needle) >= (RARE_CHARS if is_bare else 1):
                    wholes.add(needle)
    return pieces, wholes


def _forms(secret: str) -> Iterator[tuple[str, int]]:
    """Yield the secret and its codes, each with the length of a piece that reveals too much."""
    data = secret.encode("utf-8", "replace")
    yield secret, PIECE_CHARS
    # For letters beyond ASCII; _CHARACTER decodes the others.
    yield quote(data), _HEX_CHARS
    yield quote_plus(data), _HEX_CHARS
    yield data.hex(), _HEX_CHARS
    for before in range(3):  # the bytes before a secret shift its base64 code
        code = b64encode(bytes(before) + data).decode()
        yield code[(0, 2, 3)[before] :], _BASE64_CHARS


def _spelled(text: str, *, is_bare: bool) -> _Spelling:
    """Return the spelling of a text; a bare one has only letters and digits."""
    characters, starts, ends = [], [], []
    for match in _CHARACTER.finditer(text):
        character = chr(int(match[1], 16)) if match[1] else chr(int(match[2])) if match[2] else match[0]
        for letter in unicodedata.normalize("NFKD", character).casefold():
            if letter.isalnum() or not is_bare:
                characters.append(letter)
                starts.append(match.start())
                ends.append(match.end())
    return _Spelling("".join(characters), starts, ends)


def _found(spelling: _Spelling, needles: set[str]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each needle in the text."""
    for size in {len(needle) for needle in needles}:
        for at in range(len(spelling.characters) - size + 1):
            if spelling.characters[at : at + size] in needles:
                yield spelling.starts[at], spelling.ends[at + size - 1]


def _is_telling(text: str, start: int, end: int, *, is_bare: bool) -> bool:
    """Whether a match is the short secret. A match with gaps, or a very short one, must not begin or end in a word."""
    if not is_bare and end - start >= RARE_CHARS:
        return True
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _without(text: str, hidden: bytearray) -> str:
    """Return the text with one ellipsis for each run of hidden characters and the words that they touch."""
    for word in _WORD.finditer(text):
        start, end = word.span()
        if any(hidden[start:end]):
            hidden[start:end] = b"\1" * (end - start)
    runs = groupby(zip(text, hidden, strict=True), key=itemgetter(1))
    return "".join("…" if is_hidden else "".join(map(itemgetter(0), run)) for is_hidden, run in runs)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    # Drops format characters (bidi, zero width); a control or unassigned character becomes a space.
    return "" if category == "Cf" else " " if category[0] in "CZ" else character
