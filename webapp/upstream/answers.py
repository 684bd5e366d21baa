"""What the upstream says in one event, or as a whole answer: JSON to deltas."""

from __future__ import annotations

import re
from dataclasses import astuple
from typing import Any

from webapp import references
from webapp.chat import Delta, Reference, Usage
from webapp.upstream import pictures
from webapp.upstream.failures import failure_of

MAX_TOOL_CHARS = 64
REPEAT_CHARS = 64  # as many in common make a message the same as the answer before it

_WORD = re.compile(r"[\w.-]{1,64}")
_GOOD_CODES = ("0", "200", "ok", "success")

# The words of other APIs, which gateways let through.
_FINISH_REASONS = {
    "null": "",  # DashScope, in each chunk before the last one
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",  # Mistral
    "model_context_window_exceeded": "length",
    "safety": "content_filter",  # Gemini
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "sensitive": "content_filter",  # Zhipu
    "refusal": "content_filter",  # Claude behind one-api
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
}


def delta_of(payload: Any) -> Delta:
    """Return the delta of one event, given as a parsed value. It is empty if the event has no text.

    Raises UpstreamError for an event that reports an error or is not a JSON object.
    """
    if not isinstance(payload, dict):
        raise failure_of(None, payload, unknown="protocol")
    if _is_error(payload):
        raise failure_of(None, payload)
    choice = first_choice(payload.get("choices"))
    if choice.get("error"):
        raise failure_of(None, choice)
    part = choice.get("delta") or choice.get("message")
    if not isinstance(part, dict):
        part = choice
    text, reasoning = content(part)
    return Delta(
        text=text + pictures.links_in(part),
        reasoning=reasoning,
        finish_reason=_finish_reason(choice),
        usage=_usage_in(payload, choice),
        sources=_sources(payload, choice, part),
        tool=_tool(part),
        images=pictures.pictures_in(part),
    )


def _is_error(payload: dict[str, Any]) -> bool:
    """Whether an event reports an error, which many gateways send in words of their own where the choices should be."""
    if payload.get("error") or payload.get("object") == "error":
        return True
    if payload.get("choices"):
        return False
    is_bad = str(payload.get("code") or 0).lower() not in _GOOD_CODES
    has_code = is_bad and bool(payload.get("message") or payload.get("msg"))
    base_code = str(_dict(payload, "base_resp").get("status_code") or 0).lower()
    has_code |= bool(payload.get("error_message")) or base_code not in _GOOD_CODES
    is_failed = payload.get("type") == "error" or payload.get("success") is False
    return bool(payload.get("errors") or payload.get("detail") or has_code or is_failed)


def text_of(payload: Any) -> str | None:
    """The text of a chunk that is nothing but text, as most are; None for others, of which `delta_of` knows more."""
    if not isinstance(payload, dict) or not payload.keys() <= _CHUNK_NAMES or payload.get("usage"):
        return None
    choices = payload.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choice := choices[0], dict):
        return None
    is_usual = choice.keys() <= _CHOICE_NAMES and choice.get("index") == 0 and choice.get("finish_reason") is None
    part = choice.get("delta")
    if not is_usual or not isinstance(part, dict) or payload.get("object") == "error":
        return None
    if len(part) > 1 and any(value for name, value in part.items() if name not in ("content", "role")):
        return None
    text = part.get("content")
    return text if isinstance(text, str) and not pictures.has_pictures(text) else None


# What `delta_of` does not read, and what `text_of` looks at.
_CHUNK_NAMES = frozenset("id object created model choices usage system_fingerprint service_tier provider".split())  # noqa: SIM905
_CHOICE_NAMES = frozenset("index delta finish_reason native_finish_reason logprobs token_ids".split())  # noqa: SIM905


class Repeats:
    """Tells what is new in a message that holds an answer once more, in one chunk of a stream."""

    def __init__(self) -> None:
        self._head = ""
        self._chars = 0

    def note(self, text: str) -> None:
        """Take the text of each chunk."""
        if self._chars < REPEAT_CHARS:
            self._head += text[:REPEAT_CHARS]
        self._chars += len(text)

    def rest_of(self, message: str, *, is_last: bool) -> str:
        """The part of a message that has not come yet: it repeats all so far, or continues it."""
        if self._chars and message.startswith(self._head):
            return message[self._chars :]
        return "" if is_last and self._chars else message


def is_whole(payload: dict[str, Any]) -> bool:
    """Whether a chunk holds a whole message and no delta: the last one of some servers repeats all before it."""
    choice = first_choice(payload.get("choices"))
    return not choice.get("delta") and isinstance(choice.get("message"), dict)


def newer(old: Usage | None, new: Usage) -> Usage:
    """The newer counts; a count that only the older ones have is kept."""
    if old is None:
        return new
    return Usage(*(now if now is not None else before for now, before in zip(astuple(new), astuple(old), strict=True)))


def first_choice(choices: Any) -> dict[str, Any]:
    """The choice with the index 0. The others are other answers to the same question."""
    if not isinstance(choices, list):
        return {}
    return next((one for one in choices if isinstance(one, dict) and one.get("index") in (0, None)), {})


def content(part: dict[str, Any]) -> tuple[str, str]:
    """Text and reasoning of a message or delta."""
    said = part.get("content")
    text = text_in(said) or text_in(part.get("text")) or text_in(part.get("refusal"))
    reasoning = text_in(part.get("reasoning_content")) or text_in(part.get("reasoning"))
    if not reasoning and (details := part.get("reasoning_details") or part.get("reasoning_text")):
        reasoning = text_in(details)
    if isinstance(said, list):
        text = text_in([one for one in said if not _is_reasoning(one)])
        reasoning += "".join(map(_thinking, said))
    google = _dict(_dict(part, "extra_content"), "google")
    if google.get("thought") is True and not text.lstrip().startswith("</"):
        # Gemini marks its thoughts so, with or without tags in the text.
        return "", re.sub(r"\A\s*+<thought>", "", text) + reasoning
    return text, reasoning


def text_in(content: Any) -> str:
    """The text of a content, which may be made of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if isinstance(content, list):  # parts: {"type": "text", "text": ...}, or {"summary": ...} of reasoning
        return "".join(map(_text_of, content))
    return ""


def _text_of(part: Any) -> str:
    if not isinstance(part, dict):
        return part if isinstance(part, str) else ""
    said = part.get("text") or part.get("summary") or part.get("refusal") or part.get("content")
    return said if isinstance(said, str) else ""


def _thinking(part: Any) -> str:
    """The reasoning in a part of the content: Mistral's and Anthropic's `thinking`, Databricks' list of summaries."""
    if not isinstance(part, dict):
        return ""
    said = text_in(part.get("thinking")) or text_in(part.get("reasoning"))
    return said or (_text_of(part) or text_in(part.get("summary")) if _is_reasoning(part) else "")


def _is_reasoning(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning", "reasoning_text", "summary_text")


def _finish_reason(choice: dict[str, Any]) -> str | None:
    finish = choice.get("finish_reason")
    # Gemini adds which filter it was: "content_filter: PROHIBITED_CONTENT".
    finish = finish.partition(": ")[0] if isinstance(finish, str) else ""
    if not _WORD.fullmatch(finish):
        return None
    return _FINISH_REASONS.get(finish.lower(), finish) or None


def _usage_in(payload: dict[str, Any], choice: dict[str, Any]) -> Usage | None:
    """The tokens, wherever they are counted: beside the choices, in `x_groq`, in the choice (Moonshot)."""
    if not payload.get("usage") and not payload.get("x_groq") and not choice.get("usage"):
        return None
    counts = _dict(payload, "usage") or _dict(_dict(payload, "x_groq"), "usage") or _dict(choice, "usage")
    if not counts:
        return None
    prompt, completion = _dict(counts, "prompt_tokens_details"), _dict(counts, "completion_tokens_details")
    usage = Usage(
        _count(counts, "prompt_tokens", "input_tokens"),
        _count(counts, "completion_tokens", "output_tokens"),
        _count(completion | counts, "reasoning_tokens"),
        _count(counts | prompt, "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens"),
    )
    return usage if any(astuple(usage)) else None  # LocalAI sends zeros for what it does not count


def _dict(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _count(counts: dict[str, Any], *names: str) -> int | None:
    """The first of these that is a count of tokens; more than a database's integer holds is none."""
    for name in names:
        tokens = counts.get(name)
        if isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens < 2**31:
            return tokens
    return None


def _sources(payload: dict[str, Any], choice: dict[str, Any], part: dict[str, Any]) -> tuple[Reference, ...]:
    """The pages that an answer relies on: citations, whose order the answer's own numbers follow, before the rest."""
    places = (payload, choice, part)
    if all(map(_SOURCES.isdisjoint, places)):
        return ()
    named = (place.get(name) for name in _SOURCE_NAMES for place in places)
    return references.of(pair for found in named if isinstance(found, list) for pair in map(_page, found))


_SOURCE_NAMES = ("citations", "annotations", "search_results", "web_search")
_SOURCES = frozenset(_SOURCE_NAMES)


def _page(said: Any) -> tuple[Any, Any]:
    """The address and title of a source: a bare address, or an object, which may stand in another one."""
    if not isinstance(said, dict):
        return said, None
    page = said.get("url_citation")
    page = page if isinstance(page, dict) else said
    return page.get("url") or page.get("link"), page.get("title")


def _tool(part: dict[str, Any]) -> str:
    """The name of a tool that the model asks for; "?" in the pieces of its arguments, which do not name it."""
    calls, call = part.get("tool_calls"), part.get("function_call")
    if not calls and not call:
        return ""
    first = next((one for one in calls if isinstance(one, dict)), call) if isinstance(calls, list) else call
    if not isinstance(first, dict):
        return ""
    name = (_dict(first, "function") or first).get("name")
    return name[:MAX_TOOL_CHARS] if isinstance(name, str) and name else "?"
