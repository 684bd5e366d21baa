"""What each kind of upstream sends, in its own shape, and what the page must show of it.

One module a dialect; each names where its shapes come from. `tests/test_dialects.py` runs them all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.upstream import event

DONE = b"data: [DONE]\n\n"


class Counted(NamedTuple):
    """Tokens: of the question, of the answer, of the answer's reasoning, of the question from a cache."""

    prompt: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A stream as it comes, and what must be read from it. White space at both ends of a text is free."""

    name: str
    events: tuple[bytes, ...]
    text: str
    reasoning: str = ""
    finish: str = "stop"
    usage: Counted | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A parameter that is refused, in the upstream's words: one of those in `HAS` of tests/test_dialects.py."""

    parameter: str
    status: int
    said: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, the code of `UpstreamError` that it must become, and words of it that the page must quote.

    `status` is None for an error in the stream: then `said` is one raw event.
    """

    name: str
    status: int | None
    said: Any
    code: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """`base` is the path of the address that people give, `target` what is asked for then."""

    name: str
    base: str
    target: str
    answers: tuple[Answer, ...]
    refusals: tuple[Refusal, ...]
    failures: tuple[Failure, ...]


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **fields: Any) -> bytes:
    """One event with one choice, or with none; `fields` stand beside the choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764000000, "model": "m"}
    return event({**head, "choices": choices, **fields})


def error(message: Any, **fields: Any) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, **fields}}


def text(value: Any) -> str:
    """JSON inside a string, as gateways quote the error of another server."""
    return json.dumps(value, indent=2)
