"""The provider: chat completions of Lockchat, or of any server that speaks the same wire, as a stream of deltas."""

from __future__ import annotations

import contextlib
import logging
import random
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, get_type_hints
from urllib.parse import urlencode

import requests

from webapp import sse
from webapp.chat import Delta, Usage
from webapp.config import Config
from webapp.errors import UpstreamError
from webapp.upstream import answers, transport
from webapp.upstream.thinking import Thinking
from webapp.upstream.transport import Lifeline, Passing

url = "http://super.lockchat.app"
model = ["gpt-4", "gpt-3.5-turbo"]
supports_stream = True
needs_auth = False
working = True  # the original package's loader reads it first

USER_AGENT = "lockchat-webapp/1"
ERROR_BYTES = 65536
OPENING_BYTES = 1024  # an error in plain text has named itself by then
LIST_BYTES = 2**20
LIST_SECONDS = 10.0
JSON_BYTES_PER_ANSWER_BYTE = 3  # \\u0439 stands for two bytes; most are written as they are
BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 4.0
FINISH_SECONDS = 5.0  # after its finish reason an upstream has only usage and [DONE] to send
TAIL_SECONDS = 0.05  # a pooled connection is worth this wait, and these bytes
TAIL_BYTES = 65536

_BOM = b"\xef\xbb\xbf"
_FIELD = re.compile(r"(?:data|event|id|retry)?(?::|$)", re.M)
_SETTINGS = (
    "auth",
    "api_key",
    "connect_seconds",
    "first_token_seconds",
    "idle_seconds",
    "total_seconds",
    "retries",
    "max_answer_bytes",
    "max_line_bytes",
    "ca_bundle",
    "proxy",
)

log = logging.getLogger(__name__)


def _create_completion(
    model: str, messages: list[dict[str, Any]], stream: bool, temperature: float = 0.7, **kwargs: Any
) -> Iterator[str]:
    """Yield the text tokens of the answer; without `stream` the whole answer is one token.

    `base_url` and the keyword arguments of Lockchat override the environment; None and False mean not given,
    other names are ignored. Raises UpstreamError, and ConfigError for a setting that cannot be used.
    """
    given = {name: value for name, value in kwargs.items() if value is not None and value is not False}
    config = Config.from_env()
    settings = {name: given.get(name, getattr(config, name)) for name in _SETTINGS}
    lockchat = Lockchat(given.get("base_url") or config.url or url, **settings)
    deltas = lockchat.stream(messages, model, temperature, stream)
    try:
        tokens = (delta.text for delta in deltas if delta.text)
        yield from tokens if stream else ["".join(tokens)]
    finally:
        deltas.close()
        lockchat.close()


_hints = {name: hint.__name__ for name, hint in get_type_hints(_create_completion).items()}
_arguments = ", ".join(f"{name}: {_hints[name]}" for name in ("model", "messages", "stream", "temperature"))
params = f"g4f.Providers.Lockchat supports: ({_arguments})"


class Lockchat:
    """One upstream, for many threads. Times are in seconds; `retries` are the tries after the first.

    `auth` goes into the query, `api_key` into the Authorization header, and neither into any message or log.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: str | None = None,
        api_key: str | None = None,
        connect_seconds: float = 5,
        first_token_seconds: float = 120,
        idle_seconds: float = 60,
        total_seconds: float = 900,
        retries: int = 2,
        max_answer_bytes: int = 4 * 2**20,
        max_line_bytes: int = 2**20,
        ca_bundle: str | None = None,
        proxy: str | None = None,
    ) -> None:
        base = base_url.rstrip("/")
        self._base = base if base.endswith("/v1") else f"{base}/v1"
        self._query = urlencode({"auth": auth}) if auth else ""
        self._secrets = tuple(secret for secret in (auth, api_key) if secret)
        self._session = transport.open_session(ca_bundle, proxy)
        self._session.headers.clear()
        self._session.headers.update({"user-agent": USER_AGENT, "accept-encoding": "identity"})
        if api_key:
            self._session.headers["authorization"] = f"Bearer {api_key}".encode()
        self.connect_seconds = connect_seconds
        self.first_token_seconds = first_token_seconds
        self.idle_seconds = idle_seconds
        self.total_seconds = total_seconds
        self.retries = retries
        self.max_answer_bytes = max_answer_bytes
        self.max_line_bytes = max_line_bytes

    def stream(
        self, messages: list[dict[str, Any]], model: str, temperature: float | None = None, stream: bool = True
    ) -> Stream:
        """The answer to `messages`, asked for when the first delta is taken. None sends no temperature."""
        body: dict[str, Any] = {"messages": messages, "model": model, "stream": stream}
        if temperature is not None:
            body = {"temperature": temperature, **body}
        return Stream(self, answers.dump(body), Lifeline(self.total_seconds, self._query))

    def models(self) -> list[str]:
        """The ids of the models that the upstream offers. Raises UpstreamError."""
        line = Lifeline(LIST_SECONDS, self._query)
        line.start("first_token_timeout", LIST_SECONDS)
        try:
            ids, failure = self._ask_models(line), None
        except UpstreamError as error:
            ids, failure = [], error
        finally:
            line.end()
        if failure:
            raise self._told(failure, line)
        return ids

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

    def _ask_models(self, line: Lifeline) -> list[str]:
        response = self._send(line, "GET", "/models")
        try:
            _check(response)
            body = _bounded(transport.read(response), LIST_BYTES)
        finally:
            response.close()
        if body.lstrip().startswith(b"<"):
            raise UpstreamError("html")
        return answers.model_ids(answers.load(body))

    def _send(self, line: Lifeline, method: str, path: str, body: bytes | None = None) -> requests.Response:
        headers = {"content-type": "application/json"} if body else None
        return transport.send(
            self._session,
            line,
            method,
            self._base + path,
            data=body,
            headers=headers,
            timeout=(self.connect_seconds, self.total_seconds),
        )

    def _told(self, failure: UpstreamError, line: Lifeline) -> UpstreamError:
        """The failure as users and the log are told it, new: nothing of what led to it hangs on it."""
        told = UpstreamError(failure.reason, answers.clean(failure.detail, self._secrets), failure.retry_after)
        if line.expired:
            told = UpstreamError(line.expired)
        log.warning("upstream failed: %s", told)
        return told


@dataclass(slots=True)
class _Progress:
    """What one try has brought so far."""

    began: bool = False  # the first token, text or reasoning, was given on
    has_text: bool = False
    is_over: bool = False  # the connection has brought its last byte
    done: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    answer_bytes: int = 0
    thinking: Thinking = field(default_factory=Thinking)


class Stream(Iterator[Delta]):
    """The deltas of one answer; `finish_reason` and `usage` come on the last one.

    `abort` may be called from any thread or greenlet and at any time: the connection is cut at once and the
    iteration ends quietly. Otherwise only one thread takes deltas and closes. Raises UpstreamError.
    """

    def __init__(self, upstream: Lockchat, body: bytes, line: Lifeline) -> None:
        self._upstream = upstream
        self._body = body
        self._line = line
        self._progress = _Progress()
        self._head = bytearray()  # the answer's first bytes, for what is no event stream
        self._deltas = self._run()

    def __next__(self) -> Delta:
        if self._line.aborted:
            self._deltas.close()  # what was read but not yet taken is not wanted any more
        return next(self._deltas)

    def abort(self) -> None:
        """Stop: end the iteration and cut the connection, at once."""
        self._line.abort()

    def close(self) -> None:
        """Let go of the connection; like `abort` while another thread is waiting for a delta."""
        try:
            self._deltas.close()
        except ValueError:  # the generator is running, in another thread
            self.abort()

    def _run(self) -> Generator[Delta, None, None]:
        line, tries, failure = self._line, 0, None
        line.start("first_token_timeout", self._upstream.first_token_seconds)
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
            raise self._upstream._told(failure, line)

    def _waits_for_next_try(self, failure: UpstreamError, tries: int) -> bool:
        line = self._line
        if not isinstance(failure, Passing) or self._progress.began or tries >= self._upstream.retries or line.expired:
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
        response = self._upstream._send(self._line, "POST", "/chat/completions", self._body)
        try:
            _check(response)
            response.request.body = None  # a whole conversation, which nobody reads any more
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
        """What the connection brings; the first of it is kept, in case that it is no event stream."""
        for block in transport.read(response):
            if not self._progress.began and len(self._head) < ERROR_BYTES:
                self._head += block
                if answers.MISSING_MODEL.match(beginning := _start(self._head[:OPENING_BYTES])):
                    raise answers.failure_of(None, beginning)
            yield block

    def _whole(self, blocks: Iterator[bytes]) -> Iterator[Delta]:
        """A JSON body instead of a stream: a whole completion, or an error."""
        limit = JSON_BYTES_PER_ANSWER_BYTE * self._upstream.max_answer_bytes + ERROR_BYTES
        body = _bounded(blocks, limit)
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
        # After the finish reason nothing is missing, whatever becomes of the connection.
        if failure and not (progress.finish_reason and failure.reason == "cut_off"):
            raise failure
        yield from self._conclude()

    def _decode(self, blocks: Iterator[bytes]) -> Iterator[sse.Event]:
        limit = self._upstream.max_line_bytes
        lines = sse.lines(self._with_ending(blocks), max_line_bytes=limit)
        return sse.events(_with_error_events(lines), max_data_bytes=limit)

    def _with_ending(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The blocks, and the blank line that some servers leave out after their last event."""
        yield from blocks
        self._progress.is_over = True
        yield b"\n\n"

    def _give(self, delta: Delta) -> Iterator[Delta]:
        """Give on what the delta says; keep what belongs to the end."""
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
            self._line.watch("idle_timeout", min(FINISH_SECONDS, self._upstream.idle_seconds))

    def _give_rest(self) -> Iterator[Delta]:
        """Give on what could have become a tag."""
        yield from self._give_text(*self._progress.thinking.end())

    def _give_text(self, all_text: str, all_reasoning: str) -> Iterator[Delta]:
        progress = self._progress
        if not all_text and not all_reasoning:
            return
        if not progress.began:
            progress.began = True
            self._body = b""  # there is no next try
            self._line.watch("idle_timeout", self._upstream.idle_seconds)
        room = self._upstream.max_answer_bytes - progress.answer_bytes
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
        """The last delta, or the error for an answer that is none."""
        yield from self._give_rest()
        progress = self._progress
        if not progress.has_text and progress.finish_reason == "content_filter":
            raise UpstreamError("filtered")
        if not progress.began and not progress.done and (said := _start(self._head)) and not _FIELD.match(said):
            raise answers.failure_of(None, said, unknown="protocol")
        if not (progress.done or progress.finish_reason) and progress.began:
            raise UpstreamError("cut_off")
        if not progress.has_text:
            raise UpstreamError("empty")
        if progress.finish_reason or progress.usage:
            self._line.pause()
            yield Delta(finish_reason=progress.finish_reason, usage=progress.usage)

    def _drain(self, blocks: Iterator[bytes]) -> None:
        """Read what follows [DONE], a little and not for long, so that the connection can be used again."""
        self._line.watch("idle_timeout", TAIL_SECONDS)
        with contextlib.suppress(UpstreamError):
            _bounded(blocks, TAIL_BYTES)


def _check(response: requests.Response) -> None:
    """Raise UpstreamError unless the upstream accepts the request."""
    status = response.status_code
    if 300 <= status < 400:
        raise UpstreamError("redirect")
    if status >= 400:
        body = bytearray()
        with contextlib.suppress(UpstreamError):  # it broke off: what came may say enough
            for block in transport.read(response):
                body += block
                if len(body) > ERROR_BYTES:
                    break
        retry_after = answers.seconds_of(response.headers.get("retry-after"))
        raise answers.failure_of(status, _start(body), retry_after)


def _bounded(blocks: Iterator[bytes], limit: int) -> bytes:
    """All the bytes, or a little more than `limit` of them."""
    body = bytearray()
    for block in blocks:
        body += block
        if len(body) > limit:
            break
    return bytes(body)


def _opening(blocks: Iterator[bytes]) -> bytes:
    """The answer's first bytes, without the BOM and white space before them; empty if there is nothing else."""
    opening = b""
    for block in blocks:
        opening = (opening + block).lstrip().removeprefix(_BOM).lstrip()
        if opening and not _BOM.startswith(opening):
            break
    return opening


def _start(body: bytes | bytearray) -> str:
    return body[:ERROR_BYTES].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")


def _with_error_events(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines, with each `error: {...}` or `{"error": ...}` line, as some servers send, as an event of its own."""
    for line in lines:
        if line.startswith((b"error:", b'{"error"')):
            yield from (b"", b"event: error", b"data:" + line.removeprefix(b"error:"), b"")
        else:
            yield line


def _first_bytes(text: str, size: int) -> str:
    """As many whole characters as fit in `size` bytes."""
    return text if len(text) * 4 <= size else text.encode()[: max(size, 0)].decode("utf-8", "ignore")
