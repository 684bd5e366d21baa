"""Tries the upstream for administrators: a tiny question, what comes back and how long it takes; how replies ended."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from webapp.chat import Delta, Failure, merge
from webapp.config import Config
from webapp.errors import Busy, Throttled, UpstreamError
from webapp.language import gettext as _
from webapp.lockchat import Lockchat
from webapp.loop import give_way
from webapp.storage import Storage, audit, endings, throttles
from webapp.storage.endings import Ending
from webapp.team import Actor
from webapp.upstream.cleaning import clean
from webapp.upstream.models import Models
from webapp.upstream.stream import Stream

QUESTION = "Answer with one word: OK"
MOST_TOKENS = 64
TOTAL_SECONDS = 30.0  # less than the 60 s of common proxies
ANSWER_BYTES = 64 * 2**10  # some models reason first
PAUSE_SECONDS = 5  # between the beginnings of two trials, for all workers
LAST_MESSAGES = 200  # a question and an answer each
READ_AT_ONCE = 10  # of the longest, 15 ms
KEY = "trial of the upstream"  # beside those of `webapp.throttle`, which are hashes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one question. Times are in seconds from its beginning; None for what did not happen.

    `said` are the first words, of the reasoning if there is no text; `answering` is the model that the upstream named.
    """

    model: str
    answering: str
    said: str
    status: int | None
    connect_seconds: float | None
    first_token_seconds: float | None
    seconds: float
    error: UpstreamError | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """The replies that ended with this error: their number and the newest of them."""

    error: UpstreamError
    count: int
    last: Ending


class Trials:
    """Tries the upstream: one question at a time in each worker. `address` is without secrets."""

    def __init__(self, config: Config, upstream: Lockchat, storage: Storage, models: Models) -> None:
        self.address = upstream.address
        self._url = upstream.base_url
        self._config = config
        self._storage = storage
        self._models = models
        self._running = threading.Lock()

    def ask(self, actor: Actor, model: str) -> Trial:
        """Ask the upstream, which takes TOTAL_SECONDS at most. Raises Busy and Throttled where one runs or just ran."""
        model = self._models.choose(model)
        if not model:
            raise UpstreamError("no_models")
        if not self._running.acquire(blocking=False):
            raise Busy(_("The upstream is being tested. Try again when that has ended."), retry_after=PAUSE_SECONDS)
        try:
            self._note(actor, model)
            trial = self._try(model)
        finally:
            self._running.release()
        log.log(
            logging.WARNING if trial.error else logging.INFO,
            "the upstream was tested with the model %r: %s, connected after %s s, first token after %s s, all %.2f s",
            model,
            trial.error or "an answer",
            _rounded(trial.connect_seconds),
            _rounded(trial.first_token_seconds),
            trial.seconds,
        )
        return trial

    def failures(self) -> tuple[int, Sequence[Failures]]:
        """How many replies the newest messages have, and which errors they ended with, the newest error first."""
        ended: list[Ending] = []
        for start in range(0, LAST_MESSAGES, READ_AT_ONCE):
            with self._storage.read() as tx:
                ended += endings.newest(tx, READ_AT_ONCE, start)
            give_way()
        failed = [(one.reason, one) for one in ended if one.reason]
        counts = Counter(reason for reason, _one in failed)
        newest = dict(reversed(failed))
        found = [Failures(UpstreamError.of(Failure(reason)), counts[reason], one) for reason, one in newest.items()]
        return len(ended), sorted(found, key=lambda one: one.last.created_at, reverse=True)

    def _note(self, actor: Actor, model: str) -> None:
        """Write the audit log. Raises Throttled if the last trial began less than PAUSE_SECONDS ago."""
        now = datetime.now(UTC)
        with self._storage.begin() as tx:
            level, at = throttles.levels(tx, [KEY], now)[KEY]
            if level and abs((now - at).total_seconds()) < PAUSE_SECONDS:
                sentence = _("The upstream was tested a moment ago. Try again in a few seconds.")
                raise Throttled(sentence, retry_after=PAUSE_SECONDS)
            throttles.put(tx, {KEY: 1.0}, now)
            audit.note(tx, actor, "upstream_tested", model)

    def _try(self, model: str) -> Trial:
        # With connections of its own, to see how long a new one takes.
        upstream = Lockchat.of(self._config.hurried(TOTAL_SECONDS, ANSWER_BYTES), self._url)
        started = time.monotonic()
        stream = upstream.stream([{"role": "user", "content": QUESTION}], model, options={"max_tokens": MOST_TOKENS})
        try:
            return self._read(stream, model, started)
        finally:
            stream.close()
            upstream.close()

    def _read(self, stream: Stream, model: str, started: float) -> Trial:
        deltas: list[Delta] = []
        first, error = None, None
        try:
            for delta in stream:
                first = first or time.monotonic() - started
                deltas.append(delta)
        except UpstreamError as failure:
            error = failure
        whole = merge(deltas)
        return Trial(
            model=model,
            answering=clean(stream.model, self._config.secrets),
            said=clean(whole.text.strip() or whole.reasoning, self._config.secrets),
            status=error.status if error else 200,
            connect_seconds=stream.connect_seconds,
            first_token_seconds=first,
            seconds=time.monotonic() - started,
            error=error,
        )


def _rounded(seconds: float | None) -> str:
    return "none" if seconds is None else f"{seconds:.2f}"
