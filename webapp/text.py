"""Texts as they are stored: cleaned, named, cut to a title."""

from __future__ import annotations

import re
import uuid

TITLE_CHARS = 60
LONGEST_TITLE_CHARS = 200
FOLDER_CHARS = 60  # of a folder's name

# Databases refuse NUL and lone surrogates.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def new_id() -> str:
    """A random id."""
    return str(uuid.uuid4())


def clean(text: str) -> str:
    """The text with LF line ends, and U+FFFD for characters that databases refuse."""
    return UNSTORABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def title_of(text: str) -> str:
    """A title made of the first words of a text, one line of at most TITLE_CHARS characters."""
    line = " ".join(text.split())
    if len(line) <= TITLE_CHARS:
        return line
    cut = line[:TITLE_CHARS]
    return (cut.rpartition(" ")[0] or cut) + "…"


def ends_of(text: str, chars: int) -> str:
    """The text, or the beginning and the end of one that is longer."""
    half = chars // 2
    return text if len(text) <= chars else f"{text[:half]} … {text[-half:]}"


def first_bytes(text: str, size: int) -> str:
    """As many whole characters as fit in `size` bytes."""
    return text if len(text) * 4 <= size else text.encode()[: max(size, 0)].decode("utf-8", "ignore")
