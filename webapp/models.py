"""The models that the page offers: those of the settings, or those that the upstream lists."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from webapp.errors import UpstreamError

FRESH_SECONDS = 60.0
FIRST_WAIT_SECONDS = 1.0  # the first page waits this long for the list; no other page ever waits

log = logging.getLogger(__name__)


class Models:
    """A list of model names, kept fresh in the background so that no page waits for the upstream."""

    def __init__(self, fetch: Callable[[], list[str]], fixed: Sequence[str], fallback: Sequence[str]) -> None:
        self._fetch = fetch
        self._names = list(fixed) or list(fallback)
        self._is_fixed = bool(fixed)
        self._fetched_at: float | None = None
        self._fetching = threading.Lock()
        self._first = threading.Event()

    def names(self) -> list[str]:
        """The names, the default first. While the upstream has never answered: the fallback."""
        if not self._is_fixed:
            self._refresh_if_stale()
            self._first.wait(FIRST_WAIT_SECONDS)
        return self._names

    def _refresh_if_stale(self) -> None:
        is_fresh = self._fetched_at is not None and time.monotonic() - self._fetched_at < FRESH_SECONDS
        if not is_fresh and self._fetching.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="models", daemon=True).start()

    def _refresh(self) -> None:
        try:
            self._names = self._fetch() or self._names
        except UpstreamError as error:
            log.warning("the upstream does not list its models: %s", error)
        finally:
            self._fetched_at = time.monotonic()
            self._first.set()
            self._fetching.release()
