"""The models that the page offers: from the settings, or from the upstream's list."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from webapp.chat import OfferedModel
from webapp.errors import UpstreamError
from webapp.language import gettext as _

FRESH_SECONDS = 60.0
FAILED_SECONDS = 5.0
FIRST_WAIT_SECONDS = 1.0  # only the first page waits for the list
WRONG_ADDRESS = ("protocol", "network")  # the codes of what a wrong address answers
NO_LIST = (404, 405)  # the answer of a server without a list, and of a wrong address

log = logging.getLogger(__name__)


class Models:
    """The models of one upstream. A thread refreshes them; only the first page waits, FIRST_WAIT_SECONDS at most.

    `fetch` asks the upstream at `address`. `fixed` are the names of the settings; without them the page offers the
    names that the upstream lists, and `fallback` until it has answered with a list.
    """

    def __init__(
        self, fetch: Callable[[], list[OfferedModel]], address: str, fixed: Sequence[str], fallback: Sequence[str]
    ) -> None:
        self._fetch = fetch
        self._address = address
        self._fixed = list(fixed)
        self._fallback = list(fallback)
        self._listed: dict[str, OfferedModel] | None = None
        self._failure: UpstreamError | None = None
        self._logged = ""
        self._fetch_at = 0.0
        self._fetching = threading.Lock()
        self._first = threading.Event()

    def start(self) -> None:
        """Ask for the first time, in a thread. It logs which address answered what."""
        self._refresh_if_stale()

    def names(self) -> list[str]:
        """Return the names to offer, the default first; none where the upstream lists none."""
        self._refresh_if_stale()
        if self._fixed:
            return self._fixed
        self._first.wait(FIRST_WAIT_SECONDS)
        self._first.set()
        return self._fallback if self._listed is None else list(self._listed)

    def choose(self, wanted: str) -> str:
        """Return the wanted model, or the default if the upstream is known not to offer it."""
        names = self.names()
        return wanted if not names or wanted in names or (wanted and self.is_open()) else names[0]

    @property
    def is_fixed(self) -> bool:
        """Whether the settings name the models."""
        return bool(self._fixed)

    def is_open(self) -> bool:
        """Return whether nobody has said which models there are: neither the settings nor the upstream."""
        return not self._fixed and self._listed is None

    def window(self, name: str) -> int | None:
        """Return the context window of a model in tokens; None where the upstream does not say."""
        listed = (self._listed or {}).get(name)
        return listed.window if listed else None

    def trouble(self) -> str:
        """Return which address answered what, if that was no list of models; else an empty string."""
        failure = self._failure
        if failure is None or (self._fixed and (failure.status in NO_LIST or failure.reason == "no_models")):
            return ""
        words = {"address": self._address, "status": failure.status, "sentence": failure.sentence}
        said = (
            _("%(address)s answered with status %(status)s: %(sentence)s")
            if failure.status
            else "%(address)s: %(sentence)s"
        )
        hint = _("An administrator has to check the address in LOCKCHAT_URL.") if failure.code in WRONG_ADDRESS else ""
        return f"{said % words} {hint}".strip()

    def _refresh_if_stale(self) -> None:
        if time.monotonic() >= self._fetch_at and self._fetching.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="models", daemon=True).start()

    def _refresh(self) -> None:
        fresh_seconds = FAILED_SECONDS
        try:
            self._listed = {model.id: model for model in self._fetch()}
            self._failure = None if self._listed else UpstreamError("no_models")
            fresh_seconds = FRESH_SECONDS if self._listed else FAILED_SECONDS
        except UpstreamError as error:
            self._failure = error
        finally:
            self._fetch_at = time.monotonic() + fresh_seconds
            self._first.set()
            self._fetching.release()
        self._log()

    def _log(self) -> None:
        """Log what the upstream answered, unless it is what it answered before."""
        failure = self._failure
        said = f"{failure} (status {failure.status or 'none'})" if failure else f"{len(self._listed or ())} models"
        if said != self._logged:
            log.log(logging.WARNING if failure else logging.INFO, "the upstream at %s: %s", self._address, said)
        self._logged = said
