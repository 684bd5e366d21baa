"""Secrets in foreign text: found in every usual spelling, whole or in pieces, and replaced by an ellipsis."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import quote

PIECE_CHARS = 6  # as many of a secret's characters in a row tell too much
SHORT_CHARS = 8  # a shorter secret is masked as a whole only: its pieces are innocent words
RARE_CHARS = 4  # below that even the whole is part of many words

_BASE64_CHARS = 8  # which are six bytes
_HEX_CHARS = 12  # the same

_CHARACTER = re.compile(r"(?:%|\\x|\\u00|&#x)([0-7][0-9a-f])|&#([0-9]{2,3});|.", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"\w+")


class _Spelling(NamedTuple):
    """A text's characters without case, accents and escapes; each with the place in the text that it comes from."""

    characters: str
    starts: list[int]
    ends: list[int]


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with an ellipsis for each secret, and for each word that holds PIECE_CHARS of one.

    Finds them in any case, reversed, with other characters between their letters, and as percent, hex and base64
    codes. Time is linear in the text.
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
    """What to look for: pieces of the long secrets, and the short ones as they are."""
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
    """The secret and its codes, each with the length of a piece that tells too much."""
    data = secret.encode("utf-8", "replace")
    yield secret, PIECE_CHARS
    yield quote(data), _HEX_CHARS  # for letters beyond ASCII; others are read as what they stand for
    yield data.hex(), _HEX_CHARS
    for before in range(3):  # bytes in front of it, which shift the code
        code = b64encode(bytes(before) + data).decode()
        yield code[(0, 2, 3)[before] :].rstrip("=")[: -1 if code.endswith("=") else None], _BASE64_CHARS


def _spelled(text: str, *, is_bare: bool) -> _Spelling:
    """The spelling of a text; a bare one has letters and digits only."""
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
    """Where in the text the needles are."""
    for size in {len(needle) for needle in needles}:
        for at in range(len(spelling.characters) - size + 1):
            if spelling.characters[at : at + size] in needles:
                yield spelling.starts[at], spelling.ends[at + size - 1]


def _is_telling(text: str, start: int, end: int, *, is_bare: bool) -> bool:
    """Whether a short secret here is one: with gaps, or very short, it must not begin or end inside a word."""
    if not is_bare and end - start >= RARE_CHARS:
        return True
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _without(text: str, hidden: bytearray) -> str:
    """The text with one ellipsis for each row of hidden characters and the rest of the words they are in."""
    for word in _WORD.finditer(text):
        start, end = word.span()
        if any(hidden[start:end]):
            hidden[start:end] = b"\1" * (end - start)
    runs = groupby(zip(text, hidden, strict=True), key=itemgetter(1))
    return "".join("…" if is_hidden else "".join(map(itemgetter(0), run)) for is_hidden, run in runs)
