"""The use case of the API: one answer of the upstream for a program, within the limits of its key's owner."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial

from webapp import window
from webapp.chat import Failure, Outcome, Status, Usage
from webapp.errors import ModelNotFound, StorageUnavailable, UpstreamError
from webapp.generation import BEAT_SECONDS
from webapp.language import gettext as _
from webapp.limits import Holder
from webapp.lockchat import Lockchat
from webapp.offers import Offers
from webapp.quotas import SendLimits
from webapp.storage import Storage, spending
from webapp.upstream.relay import Payload, Relay

AHEAD = 8  # pieces that are read before the client takes them

log = logging.getLogger(__name__)


class Answer(Iterator[Payload]):
    """The chunks of an answer, or its one completion. Raises UpstreamError. Close it; `abort` works from any thread."""

    def __init__(self, relay: Relay, on_end: Callable[[Outcome, int], None]) -> None:
        self._relay = relay
        self._on_end = on_end
        self._is_over = False
        self._started = time.monotonic()
        self._first_token_seconds: float | None = None

    def __next__(self) -> Payload:
        try:
            piece = next(self._relay)
        except StopIteration:
            self._end("stopped" if self._relay.is_aborted else "done")
            raise
        except UpstreamError as error:
            self._end("interrupted" if error.reason == "cut_off" else "error", error.failure)
            raise
        if self._first_token_seconds is None:
            self._first_token_seconds = time.monotonic() - self._started
        return piece

    def with_beats(self, seconds: float) -> Generator[Payload | None, None, None]:
        """Yield the pieces as they come, and None after each `seconds` in which none came. Raises UpstreamError.

        A thread reads them, a few ahead: a client that does not read makes the upstream wait.
        """
        arrived: queue.Queue[Payload | Exception | None] = queue.Queue(AHEAD)
        context = copy_context()  # has the request's id, for the log
        threading.Thread(target=context.run, args=[self._read, arrived], name="completion", daemon=True).start()
        try:
            while True:
                try:
                    found = arrived.get(timeout=seconds)
                except queue.Empty:
                    yield None
                    continue
                if found is None:
                    return
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            self.abort()
            with suppress(queue.Empty):
                while True:  # the thread may wait for a place
                    arrived.get_nowait()

    def _read(self, arrived: queue.Queue[Payload | Exception | None]) -> None:
        """Put each piece into the queue, then None, or the error."""
        try:
            for piece in self:
                arrived.put(piece)
            arrived.put(None)
        except Exception as error:
            arrived.put(error)

    def abort(self) -> None:
        """Stop: end the iteration and cut the upstream's connection, at once."""
        self._relay.abort()

    def close(self) -> None:
        """Let go of the upstream's connection."""
        self._relay.close()
        self._end("stopped")

    def _end(self, status: Status, failure: Failure | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        outcome = Outcome(
            status,
            failure=failure,
            usage=self._relay.usage,
            first_token_seconds=self._first_token_seconds,
            seconds=time.monotonic() - self._started,
        )
        self._on_end(outcome, self._relay.answer_bytes)


class Completions:
    """Answers for programs. They are not stored, but count as answers of the user whose key asks.

    `beat_seconds` is how long a stream may be silent.
    """

    def __init__(self, storage: Storage, upstream: Lockchat, offers: Offers, limits: SendLimits) -> None:
        self._storage = storage
        self._upstream = upstream
        self._offers = offers
        self._limits = limits
        self.beat_seconds = BEAT_SECONDS

    @contextmanager
    def place(self, holder: Holder, size: int) -> Iterator[None]:
        """Take a place for an answer to a request of `size` bytes while the block runs. Raises Busy and Limited."""
        limits = self._limits
        self._storage.run(lambda tx: limits.quotas.ask(tx, holder))
        with limits.replies.place(holder), limits.histories.place(holder, size):
            yield

    def ask(self, holder: Holder, body: Payload, size: int) -> Answer:
        """Return the answer to a checked request (`webapp.allowed`). The first `next` sends it.

        Raises ModelNotFound for one that the user may not use.
        """
        if not self._offers.to(holder.user_id).has(body["model"]):
            sentence = _("The model %(model)s is not offered here. Choose another one.")
            raise ModelNotFound(sentence % {"model": body["model"][:80]})
        return Answer(self._upstream.relay(body), partial(self._note, holder, body["model"], size))

    def _note(self, holder: Holder, model: str, size: int, outcome: Outcome, answer_bytes: int) -> None:
        """Count an answer that has ended, as a reply in a chat is counted, and say in the log what it took."""
        usage = outcome.usage or Usage()
        tokens, now = window.counted(outcome, size // window.BYTES_PER_TOKEN, answer_bytes), datetime.now(UTC)
        try:
            self._storage.run(lambda tx: spending.book_unstored(tx, holder.user_id, model, outcome, tokens, now))
        except StorageUnavailable:
            log.warning("API: an answer of user %s could not be counted", holder.user_id[:8])
        log.info(
            "API: user %s, model %r, %s, %s bytes asked, %s answered, tokens %s + %s, %.1f s",
            holder.user_id[:8],
            model,
            outcome.status,
            size,
            answer_bytes,
            usage.prompt_tokens,
            usage.completion_tokens,
            outcome.seconds,
        )
