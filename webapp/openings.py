"""Answers that stay open: ends them when their user may no longer have them, whichever worker was told, or has left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from webapp.background import Background
from webapp.storage import Storage, sign_ins

LOOK_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Opening:
    """One open answer. `token_hash` names the sign-in or the key; it is empty where a proxy signs users in.

    `is_allowed` asks the database what else the answer depends on, such as the user's role.
    """

    user_id: str
    token_hash: str
    hang_up: Callable[[], None]
    has_left: Callable[[], bool] = bool  # whether the client is gone already
    is_allowed: Callable[[], bool] | None = None
    is_over: bool = field(default=False, init=False)


class Openings(Background):
    """The open answers of this worker. Reads the database once a second while there are some."""

    def __init__(self, storage: Storage) -> None:
        super().__init__("openings", LOOK_SECONDS)
        self._storage = storage
        self._open: set[Opening] = set()

    def add(self, opening: Opening) -> None:
        self._open.add(opening)

    def discard(self, opening: Opening) -> None:
        self._open.discard(opening)

    def look(self) -> None:
        """End the answers of those who left, or may no longer have them. While the database is away, these go on."""
        for opening in list(self._open):
            if opening.has_left():
                self._end(opening)
        if not (current := list(self._open)):
            return
        with self._storage.read() as tx:
            users = sign_ins.enabled_users(tx, {opening.user_id for opening in current})
            tokens = sign_ins.known_tokens(tx, {opening.token_hash for opening in current})
        for opening in current:
            is_out = opening.user_id not in users or (opening.token_hash and opening.token_hash not in tokens)
            if is_out or (opening.is_allowed and not opening.is_allowed()):
                self._end(opening)

    def _end(self, opening: Opening) -> None:
        opening.is_over = True
        self.discard(opening)
        with suppress(OSError):  # the browser has left
            opening.hang_up()
