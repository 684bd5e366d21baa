"""Parameters that models refuse: which one an error names, the request without it, and the memory of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from webapp.recent import Recent

MOST_MODELS = 1000  # that one worker remembers refusals of

Body = dict[str, Any]

_OTHER_SPELLING = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_SETTINGS = ("temperature", "top_p", "seed", "reasoning_effort", "max_tokens", "max_completion_tokens")
_STREAM = re.compile(
    r"""['"`]stream['"`]|\bstream\s?[=:]|\bstream(?:ing)? (?:is |are )?not (?:supported|allowed)"""
    r"|(?:not|n't) support stream(?:ing)?\b|verified to stream|unsupported for streaming",
    re.I,
)
_SYSTEM = re.compile(
    r"""\bsystem\W{0,3}(?:role|message|prompt|instruction)|role\W{1,5}system|['"`]system['"`]"""
    r"|developer instruction|user and assistant roles|user/assistant|got system\b",
    re.I,
)
_DEVELOPER = re.compile(
    r"(?:use|supported|expected|instead)\b.{0,60}['\"`]?developer\b|developer\b.{0,20}instead", re.I
)
_WITHOUT_THE_NAME = {
    # Ollama, Gemini and OpenRouter.
    "reasoning_effort": re.compile(
        r"\bthink(?:ing)?\b.{0,40}(?:not|n't) supported|(?:not|n't) support thinking"
        r"|invalid reasoning value|only works in thinking mode|reasoning is mandatory",
        re.I,
    ),
    "stream_options": re.compile(r"\binclude_usage\b"),  # Bedrock
}
_NAME = re.compile(r"\w+", re.A)  # Chinese has no spaces around a name
_HINT = re.compile(r"did you mean \W?\w+", re.I)
_RANGE = re.compile(
    r"must be|should be|(?:less|greater) than|at (?:most|least)|between|\brange\b|[<>]"
    r"|(?:valid|supported) values|\bone of\b|is mandatory|only works in",
    re.I,
)


class Refusal(NamedTuple):
    """A refused parameter, and the refused value where another one may be taken."""

    name: str
    value: Any = None


class Refusals:
    """What the models of one upstream have refused, for the life of the worker."""

    def __init__(self) -> None:
        self._of = Recent[tuple[Refusal, ...]](MOST_MODELS)

    def of(self, model: str) -> tuple[Refusal, ...]:
        return self._of.get(model) or ()

    def remember(self, model: str, refused: Sequence[Refusal]) -> None:
        known = self.of(model)
        self._of.put(model, (*known, *(refusal for refusal in refused if refusal not in known)))


def named(body: Body, words: str) -> Refusal | None:
    """The parameter of this request that the words of an error name; None if they name none."""
    words = _HINT.sub("", words)
    named_words = set(map(_plain, _NAME.findall(words)))
    for name in [name for name in body if name not in ("messages", "model", "stream")]:
        other_words = _WITHOUT_THE_NAME.get(name)
        if _plain(name) in named_words or (other_words and other_words.search(words)):
            return Refusal(name, body[name] if _RANGE.search(words) else None)
    roles = {message["role"] for message in body["messages"]}
    if roles & {"system", "developer"} and _SYSTEM.search(words):
        return Refusal("system" if "developer" in roles or not _DEVELOPER.search(words) else "developer")
    return Refusal("stream") if body["stream"] and _STREAM.search(words) else None


def _plain(name: str) -> str:
    """A name without what spellings differ in: xAI and Bedrock write reasoningEffort and topP."""
    return name.replace("_", "").lower()


def without(body: Body, refused: Sequence[Refusal]) -> Body:
    """The request without what was refused, or with it in its other spelling; the system prompt is never lost."""
    respelled: set[str] = set()
    for name, value in refused:
        if name == "system":
            body = body | {"messages": list(_merged(body["messages"]))}
        elif name == "developer":
            body = body | {"messages": [_as_developer(message) for message in body["messages"]]}
        elif name == "stream":
            body = {key: body[key] for key in body if key != "stream_options"} | {"stream": False}
        elif name in body and value in (None, body[name]):
            other = _OTHER_SPELLING.get(name) if value is None else None
            rest = {key: body[key] for key in body if key != name}
            body = rest | {other: body[name]} if other and other not in respelled else rest
            respelled.add(name)
    return body


def dropped(asked: Body, sent: Body) -> tuple[str, ...]:
    """The user's own settings that the request had to do without."""
    return tuple(
        name for name in _SETTINGS if name in asked and name not in sent and _OTHER_SPELLING.get(name) not in sent
    )


def _merged(messages: Sequence[Body]) -> Iterator[Body]:
    """The messages, with the system prompt at the head of the first question."""
    prompts = [message["content"] for message in messages if message["role"] in ("system", "developer")]
    for message in messages:
        if message["role"] in ("system", "developer"):
            continue
        if prompts and message["role"] == "user":
            message = message | {"content": _joined(prompts, message["content"])}
            prompts = []
        yield message
    if prompts:
        yield {"role": "user", "content": "\n\n".join(prompts)}


def _joined(prompts: Sequence[str], content: Any) -> Any:
    if isinstance(content, list):  # parts: text, images
        return [{"type": "text", "text": "\n\n".join(prompts)}, *content]
    return "\n\n".join([*prompts, content])


def _as_developer(message: Body) -> Body:
    return message | {"role": "developer"} if message["role"] == "system" else message
