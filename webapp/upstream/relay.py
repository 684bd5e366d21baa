"""The upstream's answer for a client that speaks the same protocol: its own events, cleaned, not made anew.

A delta of the pages knows text and reasoning; the events also bring calls of tools, log probabilities and what comes
next. https://platform.openai.com/docs/api-reference/chat/object and .../chat/streaming
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from webapp.chat import Delta, Usage
from webapp.config import UpstreamConfig
from webapp.errors import UpstreamError
from webapp.text import new_id
from webapp.upstream import answers
from webapp.upstream.asking import Asking, Progress
from webapp.upstream.exchange import Exchange
from webapp.upstream.payloads import dump, load
from webapp.upstream.refusals import Body, Refusal, Refusals

Payload = dict[str, Any]

HELD_EVENTS = 20  # before the first text: until it comes, the request can be tried again
EVENT_BYTES_PER_ANSWER_BYTE = 16  # for the whole of a streamed answer: log probabilities take most of it

_FIELDS = ("id", "created", "model", "system_fingerprint", "service_tier", "citations", "usage")
_SPELLINGS = ("stream", "stream_options", "system", "developer", "max_tokens", "max_completion_tokens")
_TEXTS = ("content", "refusal", "reasoning_content", "reasoning", "reasoning_text")
_NAMED = frozenset(("role", *_TEXTS, "reasoning_details", "tool_calls", "annotations", "images"))


@dataclass(slots=True)
class _Progress(Progress):
    """The state of one try."""

    answer_bytes: int = 0
    event_bytes: int = 0
    held: list[Payload] = field(default_factory=list)
    whole: _Whole | None = None
    names: set[str] = field(default_factory=set)  # of _NAMED, those that have come
    repeats: answers.Repeats = field(default_factory=answers.Repeats)


class Relay(Asking[Payload]):
    """The chunks of one streamed answer, or its one completion, as the client asked: whatever the upstream sent.

    A chunk with the usage alone comes only if the client asked for it.
    """

    _progress: _Progress

    def __init__(self, exchange: Exchange, limits: UpstreamConfig, body: Body, known: Refusals) -> None:
        self._is_stream: bool = body["stream"]
        self._has_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._common = {"id": f"chatcmpl-{new_id()}", "created": int(time.time()), "model": body["model"]}
        if self._is_stream:  # it is counted, whether the client wants to see it or not
            body = body | {"stream_options": {"include_usage": True}}
        super().__init__(exchange, limits, body, known)
        if not self._is_stream:  # its first byte comes with the last
            self._first_seconds = limits.total_seconds

    @property
    def usage(self) -> Usage | None:
        """The tokens, as far as the upstream has counted them."""
        return self._progress.usage

    @property
    def answer_bytes(self) -> int:
        """The bytes of text, reasoning and calls of tools so far."""
        return self._progress.answer_bytes

    @property
    def is_aborted(self) -> bool:
        return self._line.aborted

    def _can_leave_out(self, refusal: Refusal) -> bool:
        # A program that asks for a format, a temperature or so many tokens has to know that it does not get them.
        return refusal.name in _SPELLINGS and not isinstance(refusal.value, int)

    def _new_progress(self) -> _Progress:
        return _Progress()

    def _take(self, data: str) -> Iterator[Payload]:
        payload = load(data)
        delta = answers.delta_of(data if payload is None else payload)
        self._note_told(payload)
        payload, delta = self._new_in(payload, delta)
        self._count(data, delta, payload)
        if self._is_stream:
            yield from self._hold(self._chunk(payload), delta)
        else:
            if _is_beginning(delta):
                self._begin()
            self._progress.whole = self._progress.whole or _Whole()
            self._progress.whole.add(payload)
        self._note_finish(delta)

    def _new_in(self, payload: Payload, delta: Delta) -> tuple[Payload, Delta]:
        """The event and its delta; of a message that repeats what came before it, only what is new."""
        progress, part = self._progress, _part(payload)
        if answers.is_whole(payload):
            text = progress.repeats.rest_of(delta.text, is_last=bool(delta.finish_reason))
            if text != delta.text:
                part = {name: value for name, value in part.items() if name not in progress.names} | {"content": text}
                payload = payload | {"choices": [_choice(payload) | {"message": part}]}
                delta = answers.delta_of(payload)
        progress.names.update(name for name in _NAMED if part.get(name))
        progress.repeats.note(delta.text)
        return payload, delta

    def _take_whole(self, payload: Any) -> Iterator[Payload]:
        delta = answers.delta_of(payload)
        self._note_usage(delta)
        self._begin()
        if self._is_stream:
            yield from self._passed(self._chunk(_as_event(payload)))
            if self._has_usage and payload.get("usage"):
                yield from self._passed(self._chunk({**payload, "choices": []}))
        else:
            yield from self._passed(self._completion(payload))
        self._note_finish(delta)

    def _conclude(self) -> Iterator[Payload]:
        self._raise_for_no_answer()
        progress = self._progress
        if not (progress.done or progress.finish_reason):
            raise UpstreamError("cut_off")
        if not progress.began:
            raise UpstreamError("empty")
        if progress.whole:
            yield from self._passed(self._completion(progress.whole.payload()))

    def _hold(self, chunk: Payload, delta: Delta) -> Iterator[Payload]:
        """Yield the chunk once the answer has begun; before that, keep it back."""
        progress = self._progress
        if not chunk["choices"] and not chunk.get("usage"):
            return  # programs take the first choice of each chunk
        progress.held.append(chunk)
        if progress.began or _is_beginning(delta) or len(progress.held) > HELD_EVENTS:
            held, progress.held = progress.held, []
            self._begin()
            for one in held:
                yield from self._passed(one)

    def _count(self, data: str, delta: Delta, payload: Any) -> None:
        """Raise UpstreamError for an answer that is too large, counted as the pages count it."""
        progress, most = self._progress, self._limits.max_answer_bytes
        self._note_usage(delta)
        calls = dump(_part(payload).get("tool_calls")) if delta.tool else b""
        progress.answer_bytes += len(delta.text.encode()) + len(delta.reasoning.encode()) + len(calls)
        progress.event_bytes += len(data)
        is_large = not self._is_stream and progress.event_bytes > EVENT_BYTES_PER_ANSWER_BYTE * most
        if progress.answer_bytes > most or is_large:
            raise UpstreamError("answer_too_large")

    def _chunk(self, payload: Payload) -> Payload:
        chunk = self._common | {"object": "chat.completion.chunk", "choices": []} | _known(payload)
        if not self._has_usage:
            chunk.pop("usage", None)
        if choice := _choice(payload):
            choice = {"finish_reason": None, **choice, "index": 0, "delta": _part(payload)}
            choice.pop("message", None)
            chunk["choices"] = [choice]
        return chunk

    def _completion(self, payload: Payload) -> Payload:
        message = {"message": _part(payload)}
        choices = [{"finish_reason": "stop", "logprobs": None, **_choice(payload), "index": 0} | message]
        return self._common | {"object": "chat.completion", "choices": choices} | _known(payload)


class _Whole:
    """Gathers the chunks of a stream to one completion. Its time and memory are those of the chunks."""

    def __init__(self) -> None:
        self._common: Payload = {}
        self._choice: Payload = {}
        self._message: Payload = {"role": "assistant", "content": None}
        self._texts: dict[str, list[str]] = defaultdict(list)
        self._lists: dict[str, list[Any]] = defaultdict(list)  # sources, pictures, details of reasoning
        self._calls: dict[Any, Payload] = {}
        self._arguments: dict[Any, list[str]] = defaultdict(list)
        self._logprobs: dict[str, list[Any]] = defaultdict(list)

    def add(self, payload: Payload) -> None:
        self._common |= {name: value for name, value in _known(payload).items() if value is not None}
        choice, logprobs = _choice(payload), _choice(payload).get("logprobs")
        if choice.get("finish_reason"):
            self._choice["finish_reason"] = choice["finish_reason"]
        part = _part(payload)
        if isinstance(part.get("content"), list):  # some of its parts may be reasoning
            text, reasoning = answers.content(part)
            part = part | {"content": text, "reasoning_content": reasoning or None}
        for name, value in part.items():
            if name in _TEXTS:
                if value is not None:
                    self._texts[name].append(answers.text_in(value))
            elif name == "tool_calls":
                self._add_calls(value)
            elif isinstance(value, list):
                self._lists[name] += value
            elif value is not None:
                self._message[name] = value
        for name, value in logprobs.items() if isinstance(logprobs, dict) else ():
            if isinstance(value, list):
                self._logprobs[name] += value

    def payload(self) -> Payload:
        message = self._message | self._lists | {name: "".join(texts) for name, texts in self._texts.items()}
        for index, call in self._calls.items():
            call["function"]["arguments"] = "".join(self._arguments[index])
        if self._calls:
            message["tool_calls"] = list(self._calls.values())
        logprobs = dict(self._logprobs) or None
        return self._common | {"choices": [self._choice | {"message": message, "logprobs": logprobs}]}

    def _add_calls(self, calls: Any) -> None:
        for call in calls if isinstance(calls, list) else []:
            if not isinstance(call, dict):
                continue
            index, function = str(call.get("index", len(self._calls))), call.get("function")
            whole = self._calls.setdefault(index, {"type": "function", "function": {}})
            whole |= {name: value for name, value in call.items() if name in ("id", "type") and value}
            if isinstance(function, dict):
                if function.get("name"):
                    whole["function"]["name"] = function["name"]
                self._arguments[index].append(str(function.get("arguments") or ""))


def _known(payload: Payload) -> Payload:
    return {name: payload[name] for name in _FIELDS if payload.get(name) is not None}


def _choice(payload: Payload) -> Payload:
    return answers.first_choice(payload.get("choices"))


def _part(payload: Payload) -> Payload:
    """The delta or the message."""
    choice = _choice(payload)
    part = choice.get("delta") or choice.get("message")
    text = {"content": choice["text"]} if choice.get("text") else {}  # of a plain completion
    return part if isinstance(part, dict) else text


def _as_event(payload: Payload) -> Payload:
    """A whole completion as the one event of a stream."""
    message = dict(_part(payload))
    if isinstance(calls := message.get("tool_calls"), list):
        message["tool_calls"] = [{"index": index} | call for index, call in enumerate(calls) if isinstance(call, dict)]
    choice = _choice(payload)
    return {**payload, "usage": None, "choices": [choice | {"message": None, "delta": message}]}


def _is_beginning(delta: Delta) -> bool:
    return bool(delta.text or delta.reasoning or delta.tool or delta.images or delta.finish_reason)
