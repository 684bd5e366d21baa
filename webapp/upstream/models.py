"""The models that the page offers: from the settings, or from the upstream's list."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from webapp.errors import UpstreamError

FRESH_SECONDS = 60.0
FAILED_SECONDS = 5.0
FIRST_WAIT_SECONDS = 1.0  # only the first page waits for the list

log = logging.getLogger(__name__)


class Models:
    """A list of model names that a thread refreshes. Only the first page waits for it, FIRST_WAIT_SECONDS at most."""

    def __init__(self, fetch: Callable[[], list[str]], fixed: Sequence[str], fallback: Sequence[str]) -> None:
        self._fetch = fetch
        self._names = list(fixed) or list(fallback)
        self._is_fixed = bool(fixed)
        self._fetch_at = 0.0
        self._is_known = bool(fixed)
        self._fetching = threading.Lock()
        self._first = threading.Event()

    def names(self) -> list[str]:
        """Return the names, the default first. Returns the fallback until the upstream has answered once."""
        if not self._is_fixed:
            self._refresh_if_stale()
            self._first.wait(FIRST_WAIT_SECONDS)
            self._first.set()
        return self._names

    def choose(self, wanted: str) -> str:
        """Return the wanted model, or the default if the upstream is known not to offer it."""
        names = self.names()
        return wanted if wanted in names or not self._is_known else names[0]

    def _refresh_if_stale(self) -> None:
        if time.monotonic() >= self._fetch_at and self._fetching.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="models", daemon=True).start()

    def _refresh(self) -> None:
        fresh_seconds = FAILED_SECONDS
        try:
            if names := self._fetch():
                self._names, self._is_known, fresh_seconds = names, True, FRESH_SECONDS
        except UpstreamError as error:
            log.warning("the upstream does not list its models: %s", error)
        finally:
            self._fetch_at = time.monotonic() + fresh_seconds
            self._first.set()
            self._fetching.release()
