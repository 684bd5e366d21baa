"""The answer to one request as a stream of deltas: sends, retries, reads any framing, checks the end."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import requests

from webapp import references, sse
from webapp.chat import Activity, Delta, Reference, Usage
from webapp.config import UpstreamConfig
from webapp.errors import UpstreamError
from webapp.text import first_bytes
from webapp.upstream import answers, framing, pictures, refusals, transport
from webapp.upstream.exchange import ERROR_BYTES, Exchange, bounded, check, start_of
from webapp.upstream.failures import MISSING_MODEL, Refused, failure_of
from webapp.upstream.payloads import dump, load
from webapp.upstream.refusals import Body, Refusal, Refusals
from webapp.upstream.thinking import Thinking
from webapp.upstream.transport import Passing

OPENING_BYTES = 1024  # enough to recognise an error in plain text
JSON_BYTES_PER_ANSWER_BYTE = 3  # \\u0439 takes six bytes for two, but few characters are escaped
BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 4.0
FINISH_SECONDS = 5.0  # after its finish reason an upstream has only usage and [DONE] to send
TAIL_SECONDS = 0.05  # how long, and how much, to read so that the connection can be used again
TAIL_BYTES = 65536
BREAK_SECONDS = 2.0  # for the end of an answer that names no finish reason: it may be broken

_FIELD = re.compile(r"(?:data|event|id|retry)?(?::|$)", re.M)
_FAILED = {"error": "upstream", "insufficient_system_resource": "unavailable", "abort": "cut_off"}


@dataclass(slots=True)
class _Progress:
    """The state of one try."""

    began: bool = False  # the first text or reasoning was yielded
    has_text: bool = False
    has_reasoning: bool = False
    is_over: bool = False  # the last byte has arrived
    done: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    sources: tuple[Reference, ...] = ()
    tool: str = ""
    pictures: pictures.Gathered = field(default_factory=pictures.Gathered)
    activity: Activity | None = None
    answer_bytes: int = 0
    repeats: answers.Repeats = field(default_factory=answers.Repeats)
    thinking: Thinking = field(default_factory=Thinking)


class Stream(Iterator[Delta]):
    """The deltas of one answer; what it tells of the whole comes on the last one.

    Any thread or greenlet may call `abort` at any time: it cuts the connection and ends the iteration without an
    error. Only one thread may iterate and close. Raises UpstreamError.
    """

    def __init__(self, exchange: Exchange, limits: UpstreamConfig, body: Body, known: Refusals) -> None:
        self._exchange = exchange
        self._limits = limits
        self._body = body
        self._model: str = body["model"]
        self._known = known
        self._refused: list[Refusal] = list(known.of(self._model))
        self._dropped: tuple[str, ...] = ()
        self._line = exchange.line()
        self._progress = _Progress()
        self._head = bytearray()  # the answer's first bytes, in case it is no event stream
        self.listen(lambda activity: None, lambda: None)
        self._deltas = self._run()

    def listen(self, on_activity: Callable[[Activity], None], on_wait: Callable[[], None]) -> None:
        """Call these while iterating: when the upstream works but brings no text; when all that arrived is yielded."""
        self._on_activity, self._on_wait = on_activity, on_wait

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
        if refusal is None or refusal in self._refused:
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

    def _try(self) -> Iterator[Delta]:
        self._progress, self._head = _Progress(), bytearray()
        body = self._sent()
        self._dropped = refusals.dropped(self._body, body)
        response = self._exchange.send(self._line, "POST", "/chat/completions", dump(body))
        try:
            check(response)
            response.request.body = None  # frees memory: it is the whole conversation
            blocks = self._blocks(response)
            opening = framing.opening_of(blocks)
            if opening.startswith((b"{", b"[")):
                yield from self._whole(chain([opening], blocks))
            elif opening.startswith(b"<"):
                raise UpstreamError("html")
            else:
                yield from self._events(chain([opening], blocks))
                self._drain(blocks, TAIL_SECONDS)
        finally:
            response.close()

    def _blocks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the bytes of the answer. Keep the first ones in case it is no event stream."""
        progress = self._progress
        read = transport.read(response, lambda: progress.began and not (progress.finish_reason or progress.done))
        for block in pictures.held(read):
            if not progress.began and len(self._head) < ERROR_BYTES:
                self._head += block
                if MISSING_MODEL.match(beginning := start_of(self._head[:OPENING_BYTES])):
                    raise failure_of(None, beginning)
            yield block
            self._on_wait()

    def _whole(self, blocks: Iterator[bytes]) -> Iterator[Delta]:
        """Yield the deltas of a JSON body: a whole completion instead of a stream. Raises its error."""
        limit = JSON_BYTES_PER_ANSWER_BYTE * self._limits.max_answer_bytes + ERROR_BYTES
        body = bounded(blocks, limit)
        payload = load(body)
        if isinstance(payload, dict) and not payload.get("choices"):
            raise failure_of(None, payload, unknown="upstream" if payload.get("error") else "protocol")
        if payload is None:
            is_first_whole = isinstance(load(body.partition(b"\n")[0]), dict)
            raise UpstreamError(
                "answer_too_large" if len(body) > limit else "unframed" if is_first_whole else "protocol"
            )
        yield from self._give(answers.delta_of(payload))
        self._progress.done = True
        yield from self._conclude()

    def _events(self, blocks: Iterator[bytes]) -> Iterator[Delta]:
        progress, failure = self._progress, None
        try:
            for event in framing.events(self._with_ending(blocks), self._limits.max_line_bytes):
                if not progress.finish_reason:
                    self._line.resume()  # any event is a sign of life
                if event.event == framing.COMMENT:
                    self._tell("working")
                elif (data := event.data.strip()) == "[DONE]":
                    progress.done = True
                    break
                elif event.event == "error":
                    raise failure_of(None, event.data)
                elif data and not (progress.is_over and load(data) is None):
                    yield from self._give(self._delta_of(data))
        except sse.LineTooLong:
            failure = UpstreamError("line_too_large")
        except UpstreamError as error:
            failure = error
        if failure:
            yield from self._give_rest()
        elif progress.done and not progress.finish_reason and self._drain(blocks, BREAK_SECONDS):
            failure = UpstreamError("cut_off")  # llama-cpp-python ends a request so that another one pushes out
        if failure and failure.reason == "cut_off" and not self._head:
            failure = UpstreamError("network")
        # After the finish reason the answer is complete, even if the connection breaks.
        if failure and not (progress.finish_reason and failure.reason == "cut_off"):
            raise failure
        yield from self._conclude()

    def _delta_of(self, data: str) -> Delta:
        """The delta of one event; a message that repeats what came before it adds nothing."""
        progress = self._progress
        pictures.pause_for(data)
        payload = load(data)
        delta = answers.delta_of(data if payload is None else payload)
        if progress.began and '"message"' in data and answers.is_whole(payload):
            text = progress.repeats.rest_of(delta.text, is_last=bool(delta.finish_reason))
            return replace(delta, text=text, reasoning="" if progress.has_reasoning else delta.reasoning)
        return delta

    def _with_ending(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the blocks, and the blank line that some servers leave out after their last event."""
        yield from blocks
        self._progress.is_over = True
        yield b"\n\n"

    def _give(self, delta: Delta) -> Iterator[Delta]:
        """Yield the delta's text and reasoning. Keep its usage and finish reason for the last delta."""
        progress = self._progress
        if delta.usage:
            progress.usage = answers.newer(progress.usage, delta.usage)
        if delta.sources and delta.sources != progress.sources:
            known = (*progress.sources, *delta.sources)
            progress.sources = references.of((source.url, source.title) for source in known)
        if delta.text or delta.reasoning:
            progress.thinking.has_reasoning |= bool(delta.reasoning)
            progress.repeats.note(delta.text)
            text, reasoning, was_reasoning = progress.thinking.feed(delta.text)
            yield from self._give_text(text, delta.reasoning + reasoning, was_reasoning)
        if delta.images and (new := progress.pictures.take(delta.images)):
            self._begin()
            yield from self._passed(Delta(images=new))
        if delta.tool:
            progress.tool = progress.tool.strip("?") or delta.tool
            self._tell("calling")
        if failed := _FAILED.get(delta.finish_reason or ""):
            raise UpstreamError(failed)
        if delta.finish_reason:
            progress.finish_reason = delta.finish_reason
            self._line.watch("idle_timeout", min(FINISH_SECONDS, self._limits.idle_seconds))

    def _tell(self, activity: Activity) -> None:
        """Tell once what the upstream does while no text comes. Comments within a text tell nothing."""
        progress = self._progress
        if progress.activity != activity and not (activity == "working" and progress.began):
            progress.activity = activity
            self._on_activity(activity)

    def _give_rest(self) -> Iterator[Delta]:
        """Yield the text that was kept back because it could begin a tag."""
        yield from self._give_text(*self._progress.thinking.end())

    def _give_text(self, all_text: str, all_reasoning: str, was_reasoning: bool) -> Iterator[Delta]:
        progress = self._progress
        if not all_text and not all_reasoning and not was_reasoning:
            return
        self._begin()
        room = self._limits.max_answer_bytes - progress.answer_bytes
        reasoning = first_bytes(all_reasoning, room)
        text = first_bytes(all_text, room - len(reasoning.encode()))
        progress.answer_bytes += len(text.encode()) + len(reasoning.encode())
        progress.has_text = (progress.has_text and not was_reasoning) or (bool(text) and not text.isspace())
        progress.has_reasoning |= bool(reasoning) or was_reasoning
        progress.activity = None
        if text or reasoning or was_reasoning:
            yield from self._passed(Delta(text, reasoning, was_reasoning=was_reasoning))
        if text != all_text or reasoning != all_reasoning:
            raise UpstreamError("answer_too_large")

    def _begin(self) -> None:
        if not self._progress.began:
            self._progress.began = True
            self._body = {}  # there is no next try
            self._known.remember(self._model, self._refused)
            self._line.watch("idle_timeout", self._limits.idle_seconds)

    def _passed(self, delta: Delta) -> Iterator[Delta]:
        self._line.pause()
        yield delta
        self._line.resume()

    def _conclude(self) -> Iterator[Delta]:
        """Yield the last delta. Raises UpstreamError for an answer that is incomplete or empty."""
        yield from self._give_rest()
        progress = self._progress
        if not progress.has_text and not progress.pictures:
            self._raise_for_no_text()
        if not (progress.done or progress.finish_reason):
            raise UpstreamError("cut_off")
        last = Delta(
            finish_reason=progress.finish_reason,
            usage=progress.usage,
            sources=progress.sources,
            tool=progress.tool.strip("?"),
            dropped=(*self._dropped, *(["picture"] if progress.pictures.is_short else [])),
        )
        if last != Delta():
            yield from self._passed(last)

    def _raise_for_no_text(self) -> None:
        """Say what came instead of an answer. Returns for a model that used up its length while it thought."""
        progress, said = self._progress, start_of(self._head)
        if progress.finish_reason == "content_filter":
            raise UpstreamError("filtered")
        is_plain = said and not said.startswith(("{", "[")) and not _FIELD.match(said)
        if is_plain and not (progress.began or progress.done):
            raise failure_of(None, said, unknown="unframed" if " " in said else "protocol")
        if progress.began and not (progress.done or progress.finish_reason):
            raise UpstreamError("cut_off")
        if progress.tool:
            raise UpstreamError("tool", progress.tool.strip("?"))
        if pictures.NAMED.search(self._head):
            raise UpstreamError("picture")
        if progress.finish_reason != "length":
            raise UpstreamError("no_answer" if progress.has_reasoning else "empty")

    def _drain(self, blocks: Iterator[bytes], seconds: float) -> bool:
        """Read what follows [DONE], a little and not for long, so that the connection can be used again.

        Returns whether the connection broke.
        """
        self._line.watch("idle_timeout", seconds)
        try:
            bounded(blocks, TAIL_BYTES)
        except UpstreamError:
            return not self._line.expired
        return False
