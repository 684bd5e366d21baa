"""One request for an answer: sends, retries, reads any framing, and finds where the answer ends."""

from __future__ import annotations

import random
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from webapp import sse
from webapp.chat import Delta, Usage
from webapp.config import UpstreamConfig
from webapp.errors import UpstreamError
from webapp.upstream import answers, framing, pictures, refusals, transport
from webapp.upstream.exchange import ERROR_BYTES, Exchange, bounded, check, start_of
from webapp.upstream.failures import MISSING_MODEL, Refused, failure_of, part_of
from webapp.upstream.payloads import dump, load
from webapp.upstream.refusals import Body, Refusal, Refusals
from webapp.upstream.transport import Passing

OPENING_BYTES = 1024  # enough to recognise an error in plain text
JSON_BYTES_PER_ANSWER_BYTE = 3  # \\u0439 takes six bytes for two, but few characters are escaped
BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 4.0
TAIL_SECONDS = 0.05  # how long, and how much, to read so that the connection can be used again
TAIL_BYTES = 65536
BREAK_SECONDS = 2.0  # for the end of an answer that names no finish reason: it may be broken
FINISH_SECONDS = 5.0  # after its finish reason an upstream has only usage and [DONE] to send

_FIELD = re.compile(r"(?:data|event|id|retry)?(?::|$)", re.M)
_NOTHING = ("", "null")  # some gateways send null between the reasoning and the text
_FAILED = {
    "error": "upstream",
    "network_error": "upstream",  # Zhipu
    "insufficient_system_resource": "unavailable",
    "abort": "cut_off",
    "cancelled": "cut_off",  # TensorRT-LLM
    "timeout": "cut_off",
}

Piece = TypeVar("Piece")


@dataclass(slots=True)
class Progress:
    """The state of one try."""

    began: bool = False  # the first piece was yielded: there is no other try
    is_over: bool = False  # the last byte has arrived
    done: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    told: Any = None  # what an event without choices says


class Asking(Iterator[Piece]):
    """The answer to one request, in pieces. A subclass says what the pieces are: it makes them of each event.

    Any thread or greenlet may call `abort` at any time: it cuts the connection and ends the iteration without an
    error. Only one thread may iterate and close. Raises UpstreamError.
    """

    _progress: Progress

    def __init__(self, exchange: Exchange, limits: UpstreamConfig, body: Body, known: Refusals) -> None:
        self._exchange = exchange
        self._limits = limits
        self._body = body
        self._model: str = body["model"]
        self._known = known
        self._refused: list[Refusal] = list(filter(self._can_leave_out, known.of(self._model)))
        self._dropped: tuple[str, ...] = ()
        self._first_seconds = limits.first_token_seconds
        self._line = exchange.line()
        self._progress = self._new_progress()
        self._head = bytearray()  # the answer's first bytes, in case it is no event stream
        self._pieces = self._run()

    @property
    def connect_seconds(self) -> float | None:
        """How long the connection took; None without one."""
        return self._line.connect_seconds

    def __next__(self) -> Piece:
        if self._line.aborted:
            self._pieces.close()  # drops pieces that were read but not yet returned
        return next(self._pieces)

    def abort(self) -> None:
        """Stop: end the iteration and cut the connection, at once."""
        self._line.abort()

    def close(self) -> None:
        """Release the connection. While another thread waits for a piece, do the same as `abort`."""
        try:
            self._pieces.close()
        except ValueError:  # the generator is running, in another thread
            self.abort()

    def _new_progress(self) -> Progress:
        raise NotImplementedError

    def _can_leave_out(self, refusal: Refusal) -> bool:
        return True

    def _take(self, data: str) -> Iterator[Piece]:
        """The pieces that the data of one event makes."""
        raise NotImplementedError

    def _take_objects(self, objects: list[bytes]) -> Iterator[Piece]:
        """The pieces of several events, each with what should be a JSON object as its data."""
        for data in objects:
            yield from self._take(data.decode("utf-8", "replace"))

    def _take_whole(self, payload: Any) -> Iterator[Piece]:
        """The pieces that a whole completion makes, given as JSON."""
        raise NotImplementedError

    def _take_comment(self) -> None:
        """The upstream is at work."""

    def _wait(self) -> None:
        """All that has arrived is yielded."""

    def _give_rest(self) -> Iterator[Piece]:
        """The pieces that were kept back."""
        return iter(())

    def _conclude(self) -> Iterator[Piece]:
        """The last pieces. Raises UpstreamError for an answer that is incomplete or empty."""
        raise NotImplementedError

    def _run(self) -> Generator[Piece, None, None]:
        line, tries, failure = self._line, 0, None
        line.start("first_token_timeout", self._first_seconds)
        try:
            while not line.aborted:
                failure = None
                try:
                    yield from self._try()
                except UpstreamError as error:
                    failure = error
                if failure is None or self._progress.began or line.expired:
                    break
                if self._leaves_out(failure):
                    continue
                if not self._waits_for_next_try(failure, tries):
                    break
                tries += 1
        finally:
            line.end()
        if failure and not line.aborted:
            raise self._exchange.shown(failure, line)

    def _leaves_out(self, failure: UpstreamError) -> bool:
        """Whether the model refuses a parameter that the next request can do without."""
        refusal = refusals.named(self._sent(), failure.words) if isinstance(failure, Refused) else None
        if refusal is None or refusal in self._refused or not self._can_leave_out(refusal):
            return False
        self._refused.append(refusal)
        return True

    def _sent(self) -> Body:
        return refusals.without(self._body, self._refused)

    def _waits_for_next_try(self, failure: UpstreamError, tries: int) -> bool:
        line = self._line
        if not isinstance(failure, Passing) or tries >= self._limits.retries:
            return False
        is_stale = line.reused and failure.reason == "network"
        backoff = min(BACKOFF_SECONDS * 2**tries, MAX_BACKOFF_SECONDS) * random.uniform(0.5, 1)
        seconds = 0 if is_stale else max(backoff, failure.retry_after or 0)
        if seconds >= line.seconds_left():
            return False
        line.sleep(seconds)
        return not line.expired

    def _try(self) -> Iterator[Piece]:
        self._progress, self._head = self._new_progress(), bytearray()
        response = self._send()
        try:
            check(response)
            blocks = self._blocks(response)
            opening = framing.opening_of(blocks)
            if opening.startswith((b"{", b"[")):
                yield from self._whole(chain([opening], blocks))
            elif opening.startswith(b"<"):
                raise UpstreamError("html")
            else:
                yield from self._events(chain([opening], blocks))
                self._drain(blocks, TAIL_SECONDS)
        except UpstreamError as error:
            told = failure_of(None, self._progress.told) if error.reason in ("empty", "cut_off") else error
            failure = told if told.detail else error
            failure.status = response.status_code
            raise failure from None
        finally:
            response.close()

    def _send(self) -> transport.Response:
        body = self._sent()
        self._dropped = refusals.dropped(self._body, body)
        return self._exchange.send(self._line, "POST", "/chat/completions", dump(body))

    def _blocks(self, response: transport.Response) -> Iterator[bytes]:
        """Yield the bytes of the answer. Keep the first ones in case it is no event stream."""
        progress = self._progress
        read = transport.read(response, lambda: progress.began and not (progress.finish_reason or progress.done))
        for block in pictures.held(read):
            if not progress.began and len(self._head) < ERROR_BYTES:
                self._head += block
                if MISSING_MODEL.match(beginning := start_of(self._head[:OPENING_BYTES])):
                    raise failure_of(None, beginning)
            yield block
            del block  # frees memory while the next one is waited for
            self._wait()

    def _whole(self, blocks: Iterator[bytes]) -> Iterator[Piece]:
        """Yield the pieces of a JSON body: a whole completion instead of a stream. Raises its error."""
        limit = JSON_BYTES_PER_ANSWER_BYTE * self._limits.max_answer_bytes + ERROR_BYTES
        body = bounded(blocks, limit)
        pictures.pause_for(body)
        payload = load(body)
        pictures.pause_for(body)
        if isinstance(payload, dict) and not payload.get("choices"):
            raise failure_of(None, payload, unknown="upstream" if payload.get("error") else "protocol")
        if payload is None:
            is_first_whole = isinstance(load(body.partition(b"\n")[0]), dict)
            raise UpstreamError(
                "answer_too_large" if len(body) > limit else "unframed" if is_first_whole else "protocol"
            )
        yield from self._take_whole(payload)
        self._progress.done = True
        yield from self._conclude()

    def _events(self, blocks: Iterator[bytes]) -> Iterator[Piece]:
        progress, failure = self._progress, None
        try:
            for event in framing.events(self._with_ending(blocks), self._limits.max_line_bytes):
                if not progress.finish_reason:
                    self._line.resume()  # any event is a sign of life
                if isinstance(event, list):
                    yield from self._take_objects(event)
                elif event.event == framing.COMMENT:
                    self._take_comment()
                elif (data := event.data.strip()) == "[DONE]":
                    progress.done = True
                    break
                elif event.event == "error":
                    raise failure_of(None, event.data)
                elif data not in _NOTHING and not (progress.is_over and load(data) is None):
                    yield from self._take(data)
                del event  # frees memory while the next one is waited for
        except sse.LineTooLong:
            failure = UpstreamError("line_too_large")
        except UpstreamError as error:
            failure = error
        if failure:
            yield from self._give_rest()
        elif progress.done and not progress.finish_reason and self._drain(blocks, BREAK_SECONDS):
            failure = UpstreamError("cut_off")  # llama-cpp-python ends a request so that another one pushes out
        # After the finish reason the answer is complete, even if the connection breaks.
        if failure and not (progress.finish_reason and failure.reason == "cut_off"):
            raise failure
        yield from self._conclude()

    def _with_ending(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the blocks, and the blank line that some servers leave out after their last event."""
        yield from blocks
        self._progress.is_over = True
        yield b"\n\n"

    def _begin(self) -> None:
        if not self._progress.began:
            self._progress.began = True
            self._body = {}  # there is no next try
            self._known.remember(self._model, self._refused)
            self._line.watch("idle_timeout", self._limits.idle_seconds)

    def _passed(self, piece: Piece) -> Iterator[Piece]:
        self._progress.told = None  # the answer went on
        self._line.pause()
        yield piece
        self._line.resume()

    def _note_usage(self, delta: Delta) -> None:
        if delta.usage:
            self._progress.usage = answers.newer(self._progress.usage, delta.usage)

    def _note_told(self, payload: Any) -> None:
        """Keep what an event without choices says: it may be why the answer ends without more."""
        if isinstance(payload, dict) and not payload.get("choices") and part_of(payload):
            self._progress.told = payload

    def _note_finish(self, delta: Delta) -> None:
        if failed := _FAILED.get((delta.finish_reason or "").lower()):
            raise UpstreamError(failed)
        progress = self._progress
        if delta.finish_reason:
            progress.finish_reason = delta.finish_reason
            if progress.began:
                self._line.watch("", min(FINISH_SECONDS, self._limits.idle_seconds))

    def _raise_for_no_answer(self) -> None:
        """Say what came instead of an answer, if it was none."""
        progress, said = self._progress, start_of(self._head)
        if said and not _FIELD.match(said) and not (progress.began or progress.done):
            raise failure_of(None, said, unknown="unframed" if " " in said else "protocol")

    def _drain(self, blocks: Iterator[bytes], seconds: float) -> bool:
        """Read what follows [DONE], a little and not for long, so that the connection can be used again.

        Returns whether the connection broke.
        """
        self._line.watch("", seconds)
        try:
            bounded(blocks, TAIL_BYTES)
        except UpstreamError:
            return not self._line.expired
        finally:
            self._line.watch("first_token_timeout", self._first_seconds)  # of the next try
        return False
