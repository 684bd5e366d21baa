"""What of a request to the API is passed on to the upstream: an allow-list of fields, roles and kinds of content.

Fields that it does not name are left out, a conversation's id among them. What would change the meaning if it were left
out is refused: pictures by address, tools that are no functions, several answers.
https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from webapp.errors import Invalid
from webapp.language import gettext as _
from webapp.loop import give_way
from webapp.upstream.payloads import load

Payload = dict[str, Any]

MOST_DEPTH = 64  # of nested values; the schemas of OpenAI's own API may have 10 levels
MOST_STOPS = 16
MOST_NAME_CHARS = 300
ROLES = ("system", "developer", "user", "assistant", "tool")
FORMATS = ("text", "json_object", "json_schema")
TOOLS = ("function", "custom")  # other kinds search the web, or call servers
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")  # of JSON schemas: some servers fetch what they name

Check = Callable[[Any], bool]


class WrongField(Invalid):
    """A field whose value cannot be used. `param` is its name, as errors of the protocol give it."""

    def __init__(self, param: str, sentence: str = "") -> None:
        super().__init__(sentence or _("The field %(name)s has a value that cannot be used.") % {"name": param})
        self.param = param


def read(data: bytes) -> Payload:
    """Return the request to send for the body of one. Always has `model`, `messages` and `stream`. Raises Invalid."""
    said = load(data)
    if not isinstance(said, dict):
        raise Invalid(_("The request is not a JSON object, or has too many values in it."))
    _check_depth(said)
    if said.get("n") not in (None, 1):
        raise WrongField("n", _("This server gives one answer to a request: n can only be 1."))
    if not isinstance(model := said.get("model"), str) or not 0 < len(model) <= MOST_NAME_CHARS:
        raise WrongField("model")
    if not isinstance(said.get("messages"), list) or not said["messages"]:
        raise WrongField("messages")
    body: Payload = {"model": model, "messages": list(map(_message, said["messages"]))}
    for name, is_right in _FIELDS.items():
        if (value := said.get(name)) is not None:
            if not is_right(value):
                raise WrongField(name)
            body[name] = value
    if "tools" in body:
        body["tools"] = [{"type": one["type"], one["type"]: one.get(one["type"])} for one in body["tools"]]
    if "response_format" in body:
        body["response_format"] = _only(body["response_format"], ("type", "json_schema"))
    body.setdefault("stream", False)
    options = body.pop("stream_options", None)
    if options and body["stream"]:
        body["stream_options"] = {"include_usage": options.get("include_usage") is True}
    return body


def _message(said: Any) -> Payload:
    give_way()
    if not isinstance(said, dict) or said.get("role") not in ROLES:
        raise WrongField("messages")
    message = {name: said[name] for name in _WORDS_OF_MESSAGE if isinstance(said.get(name), str)}
    content, calls = said.get("content"), said.get("tool_calls")
    if isinstance(content, list):
        content = list(map(_part, content))
    elif not isinstance(content, str) and not (content is None and said["role"] == "assistant"):
        raise WrongField("messages")
    if calls is not None:
        if not isinstance(calls, list):
            raise WrongField("messages")
        message["tool_calls"] = list(map(_call, calls))
    return message | {"content": content}


def _part(said: Any) -> Payload:
    """A part of a message: text, or a picture or a sound with its data."""
    kind: Any = said.get("type") if isinstance(said, dict) else None
    names = _PARTS.get(kind) if isinstance(kind, str) else None
    if names is None:
        raise WrongField("messages")
    value = said.get(kind)
    if not names:
        if not isinstance(value, str):
            raise WrongField("messages")
        return {"type": kind, kind: value}
    if not isinstance(value, dict) or not all(isinstance(value.get(name, ""), str) for name in names):
        raise WrongField("messages")
    if kind == "image_url" and not value.get("url", "").lower().startswith("data:"):
        raise WrongField(
            "messages", _("This server fetches no pictures from addresses: send the picture itself, as a data: URL.")
        )
    return {"type": kind, kind: _only(value, names)}


def _call(said: Any) -> Payload:
    """A call of a tool that the model made before."""
    kind: Any = said.get("type", "function") if isinstance(said, dict) else None
    call = said.get(kind) if kind in TOOLS else None
    if not isinstance(call, dict) or not isinstance(said.get("id"), str):
        raise WrongField("messages")
    words = {name: call[name] for name in ("name", "arguments", "input") if isinstance(call.get(name), str)}
    return {"id": said["id"], "type": kind, kind: words}


def _only(value: Payload, names: tuple[str, ...]) -> Payload:
    return {name: value[name] for name in names if name in value}


def _check_depth(value: Any) -> None:
    """Raise Invalid for values nested too deeply, and for schemas that refer to another address."""
    level = [value]
    for _depth in range(MOST_DEPTH):
        inner: list[Any] = []
        for one in level:
            values = one.values() if isinstance(one, dict) else one
            inner += [child for child in values if isinstance(child, dict | list)]
            references = [one.get(name) for name in REFERENCES] if isinstance(one, dict) else []
            if any(isinstance(target, str) and not target.startswith("#") for target in references):
                raise Invalid(_("References in schemas can only lead to their own parts: they begin with #."))
        if not inner:
            return
        level = inner
        give_way()
    raise Invalid(_("The values of the request are nested too deeply."))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MOST_NAME_CHARS


def _is_stop(value: Any) -> bool:
    words = value if isinstance(value, list) else [value]
    return len(words) <= MOST_STOPS and all(map(_is_word, words))


def _is_bias(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_format(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in FORMATS


def _are_tools(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and one.get("type") in TOOLS for one in value)


def _is_choice(value: Any) -> bool:
    return _is_word(value) or (isinstance(value, dict) and value.get("type") in (*TOOLS, "allowed_tools"))


_WORDS_OF_MESSAGE = ("role", "name", "tool_call_id", "refusal", "reasoning_content")
# The fields of a part's value; none where it is a text. Others are left out or, like `file_id`, not known here.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "text": (),
    "refusal": (),
    "image_url": ("url", "detail"),
    "input_audio": ("data", "format"),
}
_FIELDS: Mapping[str, Check] = {
    **dict.fromkeys(("stream", "logprobs", "parallel_tool_calls"), _is_flag),
    **dict.fromkeys(("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty"), _is_number),
    **dict.fromkeys(("top_k", "max_tokens", "max_completion_tokens", "seed", "top_logprobs"), _is_whole),
    **dict.fromkeys(("reasoning_effort", "verbosity"), _is_word),
    "stream_options": lambda value: isinstance(value, dict),
    "stop": _is_stop,
    "logit_bias": _is_bias,
    "response_format": _is_format,
    "tools": _are_tools,
    "tool_choice": _is_choice,
}
