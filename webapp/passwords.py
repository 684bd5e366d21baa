"""Passwords: which are accepted, and their argon2id hashes.

The parameters are those of https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html, the rules
those of https://pages.nist.gov/800-63-4/sp800-63b.html: a length and a list of common passwords, nothing else.
"""

from __future__ import annotations

import _thread
import base64
import gzip
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from gevent import monkey  # type: ignore[import-untyped]
from gevent.threadpool import ThreadPool  # type: ignore[import-untyped]

from webapp.errors import Busy, Invalid
from webapp.language import gettext as _

MIN_CHARS = 12
MAX_CHARS = 200
TIMES, MEMORY_KIB, LANES = 2, 19 * 1024, 1  # about 30 ms
SALT_BYTES, HASH_BYTES = 16, 32
HASHES_AT_ONCE = 2  # each takes a processor and 19 MiB
LOWEST_PRIORITY = 19
WAIT_SECONDS = 10.0
COMMON = Path(__file__).parent / "common_passwords.txt.gz"

Result = TypeVar("Result")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


# The hash of no password. An unknown name is checked against it, so that it takes as long as a known one.
_SALT, _HASH = _base64(bytes(SALT_BYTES)), _base64(bytes(HASH_BYTES))
NOBODY = f"$argon2id$v=19$m={MEMORY_KIB},t={TIMES},p={LANES}${_SALT}${_HASH}"


class Passwords:
    """Makes and checks hashes outside of the loop, a few at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(TIMES, MEMORY_KIB, LANES, HASH_BYTES, SALT_BYTES)
        self._turns = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self._pool: ThreadPool | None = None

    def hash(self, password: str) -> str:
        """Return the hash of a new password. Raises Invalid for one that is refused, and Busy."""
        return self.hash_again(_checked(password))

    def hash_again(self, password: str) -> str:
        """Return the hash of a password that was accepted before. Raises Busy."""
        password = _normal(password)
        return self._apart(lambda: self._hasher.hash(password))

    def matches(self, stored: str | None, password: str) -> bool:
        """Return whether a password has this hash. Takes as long without a hash. Raises Busy."""
        password = _normal(password)
        return self._apart(lambda: self._matches(stored or NOBODY, password))

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash has other parameters than a new one."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    def _apart(self, work: Callable[[], Result]) -> Result:
        """Call `work` in a thread of the system: argon2 would stop every stream of the loop."""
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise Busy(_("Too many people are signing in. Try again in a moment."), retry_after=5)
        try:
            if not monkey.is_module_patched("threading"):
                return work()
            if self._pool is None:  # made in the worker: threads do not survive a fork
                self._pool = ThreadPool(HASHES_AT_ONCE)
            result: Result = self._pool.apply(_politely, (work,))
            return result
        finally:
            self._turns.release()


def _politely(work: Callable[[], Result]) -> Result:
    """Call `work` with a low priority of this thread, so that the loop's own thread comes first.

    Only Linux sets the priority of one thread: https://man7.org/linux/man-pages/man2/setpriority.2.html#NOTES
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, _thread.get_native_id(), LOWEST_PRIORITY)
    return work()


def _checked(password: str) -> str:
    """The password in its normal form. Raises Invalid for one that is refused."""
    password = _normal(password)
    if len(password) < MIN_CHARS:
        raise Invalid(_("The password is too short: use %(count)s characters or more.") % {"count": MIN_CHARS})
    if len(password) > MAX_CHARS:
        raise Invalid(_("The password is too long: %(count)s characters are allowed.") % {"count": MAX_CHARS})
    if password.lower() in common():
        raise Invalid(_("This password is one of the most common ones: it is guessed first. Choose another one."))
    return password


def _normal(password: str) -> str:
    """One form for the spellings of a letter: keyboards differ. Cuts what is too long anyway."""
    return unicodedata.normalize("NFKC", password[: 4 * MAX_CHARS])[: MAX_CHARS + 1]


@cache
def common() -> frozenset[str]:
    """The 10,000 most common passwords, and less common ones that are long enough to be accepted otherwise."""
    return frozenset(gzip.decompress(COMMON.read_bytes()).decode().split())
