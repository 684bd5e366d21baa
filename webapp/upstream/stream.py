"""The answer to one request as a stream of deltas: sends, retries, reads any framing, checks the end."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import chain

import requests

from webapp import sse
from webapp.chat import Delta, Usage
from webapp.config import UpstreamConfig
from webapp.errors import UpstreamError
from webapp.upstream import answers, transport
from webapp.upstream.exchange import ERROR_BYTES, Exchange, bounded, check, start_of
from webapp.upstream.thinking import Thinking
from webapp.upstream.transport import Passing

OPENING_BYTES = 1024  # enough to recognise an error in plain text
JSON_BYTES_PER_ANSWER_BYTE = 3  # \\u0439 takes six bytes for two, but few characters are escaped
BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 4.0
FINISH_SECONDS = 5.0  # after its finish reason an upstream has only usage and [DONE] to send
TAIL_SECONDS = 0.05  # how long, and how much, to read so that the connection can be used again
TAIL_BYTES = 65536

_BOM = b"\xef\xbb\xbf"
_FIELD = re.compile(r"(?:data|event|id|retry)?(?::|$)", re.M)


@dataclass(slots=True)
class _Progress:
    """The state of one try."""

    began: bool = False  # the first text or reasoning was yielded
    has_text: bool = False
    is_over: bool = False  # the last byte has arrived
    done: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    answer_bytes: int = 0
    thinking: Thinking = field(default_factory=Thinking)


class Stream(Iterator[Delta]):
    """The deltas of one answer; `finish_reason` and `usage` come on the last one.

    Any thread or greenlet may call `abort` at any time: it cuts the connection and ends the iteration without an
    error. Only one thread may iterate and close. Raises UpstreamError.
    """

    def __init__(self, exchange: Exchange, limits: UpstreamConfig, body: bytes) -> None:
        self._exchange = exchange
        self._limits = limits
        self._body = body
        self._line = exchange.line()
        self._progress = _Progress()
        self._head = bytearray()  # the answer's first bytes, in case it is no event stream
        self._deltas = self._run()

    def __next__(self) -> Delta:
        if self._line.aborted:
            self._deltas.close()  # drops deltas that were read but not yet returned
        return next(self._deltas)

    def abort(self) -> None:
        """Stop: end the iteration and cut the connection, at once."""
        self._line.abort()

    def close(self) -> None:
        """Release the connection. While another thread waits for a delta, do the same as `abort`."""
        try:
            self._deltas.close()
        except ValueError:  # the generator is running, in another thread
            self.abort()

    def _run(self) -> Generator[Delta, None, None]:
        line, tries, failure = self._line, 0, None
        line.start("first_token_timeout", self._limits.first_token_seconds)
        try:
            while not line.aborted:
                failure = None
                try:
                    yield from self._try()
                except UpstreamError as error:
                    failure = error
                if failure is None or not self._waits_for_next_try(failure, tries):
                    break
                tries += 1
        finally:
            line.end()
        if failure and not line.aborted:
            raise self._exchange.shown(failure, line)

    def _waits_for_next_try(self, failure: UpstreamError, tries: int) -> bool:
        line = self._line
        if not isinstance(failure, Passing) or self._progress.began or tries >= self._limits.retries or line.expired:
            return False
        is_stale = line.reused and failure.reason == "network"
        backoff = min(BACKOFF_SECONDS * 2**tries, MAX_BACKOFF_SECONDS) * random.uniform(0.5, 1)
        seconds = 0 if is_stale else max(backoff, failure.retry_after or 0)
        if seconds >= line.seconds_left():
            return False
        line.sleep(seconds)
        return not line.expired

    def _try(self) -> Iterator[Delta]:
        self._progress, self._head = _Progress(), bytearray()
        response = self._exchange.send(self._line, "POST", "/chat/completions", self._body)
        try:
            check(response)
            response.request.body = None  # frees memory: it is the whole conversation
            blocks = self._blocks(response)
            opening = _opening(blocks)
            if opening.startswith((b"{", b"[")):
                yield from self._whole(chain([opening], blocks))
            elif opening.startswith(b"<"):
                raise UpstreamError("html")
            else:
                yield from self._events(chain([opening], blocks))
                self._drain(blocks)
        finally:
            response.close()

    def _blocks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the bytes of the answer. Keep the first ones in case it is no event stream."""
        for block in transport.read(response, lambda: self._progress.began):
            if not self._progress.began and len(self._head) < ERROR_BYTES:
                self._head += block
                if answers.MISSING_MODEL.match(beginning := start_of(self._head[:OPENING_BYTES])):
                    raise answers.failure_of(None, beginning)
            yield block

    def _whole(self, blocks: Iterator[bytes]) -> Iterator[Delta]:
        """Yield the deltas of a JSON body: a whole completion instead of a stream. Raises its error."""
        limit = JSON_BYTES_PER_ANSWER_BYTE * self._limits.max_answer_bytes + ERROR_BYTES
        body = bounded(blocks, limit)
        payload = answers.load(body)
        if isinstance(payload, dict) and not payload.get("choices"):
            raise answers.failure_of(None, payload, unknown="upstream" if payload.get("error") else "protocol")
        if payload is None:
            raise UpstreamError("answer_too_large" if len(body) > limit else "protocol")
        yield from self._give(answers.delta_of(payload))
        self._progress.done = True
        yield from self._conclude()

    def _events(self, blocks: Iterator[bytes]) -> Iterator[Delta]:
        progress, failure = self._progress, None
        try:
            for event in self._decode(blocks):
                if event.data.strip() == "[DONE]":
                    progress.done = True
                    break
                if event.event == "error":
                    raise answers.failure_of(None, event.data)
                if event.data.strip() and not (progress.is_over and answers.load(event.data) is None):
                    yield from self._give(answers.delta_of(event.data))
        except sse.LineTooLong:
            failure = UpstreamError("line_too_large")
        except UpstreamError as error:
            failure = error
        if failure:
            yield from self._give_rest()
        if failure and failure.reason == "cut_off" and not self._head:
            failure = UpstreamError("network")
        # After the finish reason the answer is complete, even if the connection breaks.
        if failure and not (progress.finish_reason and failure.reason == "cut_off"):
            raise failure
        yield from self._conclude()

    def _decode(self, blocks: Iterator[bytes]) -> Iterator[sse.Event]:
        limit = self._limits.max_line_bytes
        lines = sse.lines(self._with_ending(blocks), max_line_bytes=limit)
        return sse.events(_with_error_events(lines), max_data_bytes=limit)

    def _with_ending(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the blocks, and the blank line that some servers leave out after their last event."""
        yield from blocks
        self._progress.is_over = True
        yield b"\n\n"

    def _give(self, delta: Delta) -> Iterator[Delta]:
        """Yield the delta's text and reasoning. Keep its usage and finish reason for the last delta."""
        progress = self._progress
        progress.usage = delta.usage or progress.usage
        if delta.text or delta.reasoning:
            if not progress.began and answers.MISSING_MODEL.match(delta.text):
                raise answers.failure_of(None, delta.text)
            text, reasoning = progress.thinking.feed(delta.text)
            yield from self._give_text(text, delta.reasoning + reasoning)
        if delta.finish_reason == "error":
            raise UpstreamError("upstream")
        if delta.finish_reason:
            progress.finish_reason = delta.finish_reason
            self._line.watch("idle_timeout", min(FINISH_SECONDS, self._limits.idle_seconds))

    def _give_rest(self) -> Iterator[Delta]:
        """Yield the text that was kept back because it could begin a tag."""
        yield from self._give_text(*self._progress.thinking.end())

    def _give_text(self, all_text: str, all_reasoning: str) -> Iterator[Delta]:
        progress = self._progress
        if not all_text and not all_reasoning:
            return
        if not progress.began:
            progress.began = True
            self._body = b""  # no retry after the first token
            self._line.watch("idle_timeout", self._limits.idle_seconds)
        room = self._limits.max_answer_bytes - progress.answer_bytes
        reasoning = _first_bytes(all_reasoning, room)
        text = _first_bytes(all_text, room - len(reasoning.encode()))
        progress.answer_bytes += len(text.encode()) + len(reasoning.encode())
        progress.has_text |= bool(text) and not text.isspace()
        if text or reasoning:
            self._line.pause()
            yield Delta(text, reasoning)
            self._line.resume()
        if text != all_text or reasoning != all_reasoning:
            raise UpstreamError("answer_too_large")

    def _conclude(self) -> Iterator[Delta]:
        """Yield the last delta. Raises UpstreamError for an answer that is incomplete or empty."""
        yield from self._give_rest()
        progress = self._progress
        if not progress.has_text and progress.finish_reason == "content_filter":
            raise UpstreamError("filtered")
        if not progress.began and not progress.done and (said := start_of(self._head)) and not _FIELD.match(said):
            raise answers.failure_of(None, said, unknown="protocol")
        if not (progress.done or progress.finish_reason) and progress.began:
            raise UpstreamError("cut_off")
        if not progress.has_text:
            raise UpstreamError("empty")
        if progress.finish_reason or progress.usage:
            self._line.pause()
            yield Delta(finish_reason=progress.finish_reason, usage=progress.usage)

    def _drain(self, blocks: Iterator[bytes]) -> None:
        """Read a little after [DONE], not for long, so that the connection can be used again."""
        self._line.watch("idle_timeout", TAIL_SECONDS)
        with contextlib.suppress(UpstreamError):
            bounded(blocks, TAIL_BYTES)


def _opening(blocks: Iterator[bytes]) -> bytes:
    """Return the answer's first bytes without leading BOM and white space; empty if there is nothing else."""
    opening = b""
    for block in blocks:
        opening = (opening + block).lstrip().removeprefix(_BOM).lstrip()
        if opening and not _BOM.startswith(opening):
            break
    return opening


def _with_error_events(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines. Turns `error: {...}` and `{"error": ...}` lines, which some servers send, into events."""
    for line in lines:
        if line.startswith((b"error:", b'{"error"')):
            yield from (b"", b"event: error", b"data:" + line.removeprefix(b"error:"), b"")
        else:
            yield line


def _first_bytes(text: str, size: int) -> str:
    """Return as many whole characters as fit in `size` bytes."""
    return text if len(text) * 4 <= size else text.encode()[: max(size, 0)].decode("utf-8", "ignore")
