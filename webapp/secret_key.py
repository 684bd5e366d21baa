"""The secret that signs cookies: its file in the data directory, and the check for weak secrets."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from webapp.errors import ConfigError

MIN_CHARS = 16
MIN_UNITS = 9  # unpredictable pieces; 16 random hexadecimal digits have 12 to 16
SHORTEST = 4  # repeat or row; random secrets contain shorter ones too
WORDS = (
    *("admin", "administrator", "application", "change", "changeit", "changeme", "chat", "cookie", "default", "demo"),
    *("dev", "development", "example", "flask", "hello", "hunter", "insecure", "key", "letmein", "lockchat", "login"),
    *("master", "private", "prod", "production", "root", "sample", "secret", "server", "session", "super", "test"),
    *("testing", "token", "user", "welcome", "world", "your", "pass", "password", "passwort", "пароль", "секрет"),
)
ROWS = (
    *("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
)
LOOKALIKES = str.maketrans("01345@$7", "oieasast")

_WORD = re.compile("|".join(sorted(WORDS, key=len, reverse=True)))
_ROWS = " ".join([*ROWS, *(row[::-1] for row in ROWS)])


def is_weak(secret: str) -> bool:
    """Return whether a secret is short or predictable: known words, repeats, rows of the alphabet or the keyboard."""
    return len(secret) < MIN_CHARS or _units(secret.lower()) < MIN_UNITS


def kept(path: Path) -> str:
    """Return the secret in this file; create the file if it is missing.

    Raises ConfigError for a weak secret, and for a file that others can read.
    """
    try:
        if not path.exists():
            _make(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be made: {error.strerror}. Make the directory writable, or set LOCKCHAT_SECRET_KEY."
        ) from None
    try:
        secret, mode = path.read_text(encoding="utf-8").strip(), path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is no text')}.") from None
    if mode & 0o077:
        raise ConfigError(
            f"{path} signs the cookies, and other users of this machine can read it. Run: chmod 600 {path}"
        )
    if is_weak(secret):
        raise ConfigError(
            f"{path} holds a secret that is too easy to guess. Remove it and start again: a new one is made,"
            " and every browser becomes a new user."
        )
    return secret


def _make(path: Path) -> None:
    # Written under another name, then linked: a second worker must not read half of it.
    descriptor, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32))
    with suppress(FileExistsError):
        os.link(draft, path)
    os.unlink(draft)


def _units(secret: str) -> int:
    """Return the number of pieces: a piece is a known word, a repeat, a row, or a single letter or digit."""
    words = {match.start(): match.end() for match in _WORD.finditer(secret.translate(LOOKALIKES))}
    words |= {match.start(): match.end() for match in _WORD.finditer(secret)}
    at = units = 0
    while at < len(secret):
        end = max(words.get(at, at + 1), _known_until(secret, at))
        units += end > at + 1 or secret[at].isalnum()
        at = end
    return units


def _known_until(secret: str, start: int) -> int:
    """Return the end of the longest row or repeat that begins at `start`."""
    end = start
    piece = SHORTEST
    while start + piece <= len(secret):
        wanted = secret[start : start + piece]
        is_run = len(set(wanted)) == 1
        if not is_run and wanted not in _ROWS and wanted not in secret[: start + piece - 1]:
            break
        end = start + piece
        piece += 1
    return end
