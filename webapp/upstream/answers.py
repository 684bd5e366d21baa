"""Reads the upstream's answers: JSON to deltas, everything else to errors in the upstream's own words."""

from __future__ import annotations

import json
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from webapp.chat import Delta, Usage
from webapp.errors import UpstreamError
from webapp.upstream.transport import Passing

MAX_JSON_VALUES = 200_000  # about; parsing blocks all else for 50 ms, and a long answer has a tenth of them
LONGEST_RETRY_AFTER_SECONDS = 10**8
MAX_RETRY_AFTER_SECONDS = 10  # a longer wait is the user's choice
_MAX_ODD_JSON_VALUES = 20_000  # of JSON that orjson refuses; the json module takes ten times as long
_MAX_READ_CHARS = 4000  # of an error's sentence: half from its beginning, half from its end
_MAX_CODE_CHARS = 200
_MAX_NESTED = 5  # {"error": {"errors": [{...}]}} is the deepest known

# The only error that the original retried.
MISSING_MODEL = re.compile(r"The model: `[^`]{1,200}` does not exist")

_WORD = re.compile(r"[\w.-]{1,64}")

_BY_STATUS = {
    400: "bad_request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "protocol",  # most likely a wrong base URL
    405: "protocol",
    408: "unavailable",
    413: "too_large",
    429: "rate_limited",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
    529: "unavailable",
}
_PASSING_STATUSES = frozenset({429, 502, 503, 504})

_QUOTA = re.compile(r"insufficient_quota|insufficient (?:balance|credits)|exceeded your current quota", re.I)
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|context (?:size|length|window)"
    r"|prompt is too long|too many tokens",
    re.I,
)
_MODEL = re.compile(
    r"model_not_found|(?:unknown|invalid|no such) model|model\b(?:(?!model\b).){0,200}?not (?:found|exist|available)",
    re.I | re.S,
)
_FILTER = re.compile(r"content_filter|content_policy|content management policy", re.I)
_IN_BAND = (
    ("auth", re.compile(r"invalid_api_key|incorrect api key|invalid api key|authentication|unauthorized", re.I)),
    ("rate_limited", re.compile(r"rate.?limit|too many requests", re.I)),
    ("unavailable", re.compile(r"overloaded|unavailable", re.I)),
    ("bad_request", re.compile(r"invalid_request_error|bad request", re.I)),
)


def delta_of(said: Any) -> Delta:
    """Return the delta of one event, given as JSON text or as a parsed value. It is empty if the event has no text.

    Raises UpstreamError for an event that reports an error or is not a JSON object.
    """
    payload = load(said) if isinstance(said, str) else said
    if not isinstance(payload, dict):
        raise failure_of(None, said, unknown="protocol")
    if payload.get("error") or payload.get("object") == "error":
        raise failure_of(None, payload)
    choice = _first(payload.get("choices"))
    if choice.get("error"):
        raise failure_of(None, choice)
    part = choice.get("delta") or choice.get("message")
    if not isinstance(part, dict):
        part = choice
    finish = choice.get("finish_reason")
    return Delta(
        text=_text(part.get("content")) or _text(part.get("text")) or _text(part.get("refusal")),
        reasoning=_text(part.get("reasoning_content")) or _text(part.get("reasoning")),
        finish_reason=finish if isinstance(finish, str) and _WORD.fullmatch(finish) else None,
        usage=_usage(payload.get("usage")),
    )


def load(data: str | bytes) -> Any:
    """Return the parsed JSON; None for invalid JSON, or for more than MAX_JSON_VALUES values."""
    values = _values_in(data) if len(data) > _MAX_ODD_JSON_VALUES else 0
    if values > MAX_JSON_VALUES:
        return None
    try:
        return orjson.loads(data)
    except ValueError:
        if values > _MAX_ODD_JSON_VALUES:
            return None
    # orjson refuses half a surrogate pair and NaN, which some upstreams send.
    try:
        return json.loads(_whole(json.dumps(json.loads(data), ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None


def _values_in(data: str | bytes) -> int:
    """Return about the number of values, or more: commas and brackets in strings count too."""
    if isinstance(data, str):
        return sum(map(data.count, (",", "[", "{")))
    return sum(map(data.count, (b",", b"[", b"{")))


def dump(value: Any) -> bytes:
    """Return the JSON of a value. Halves of surrogate pairs, which UTF-8 cannot encode, become U+FFFD."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return _whole(json.dumps(value, ensure_ascii=False)).encode()


def failure_of(
    status: int | None, said: Any, retry_after: int | None = None, unknown: str = "upstream"
) -> UpstreamError:
    """Return the error for the upstream's words: with an HTTP status, or inside a stream (`status` is None).

    `said` is a JSON value or raw text. `unknown` is the reason if neither gives one. `detail` is not cleaned yet.
    Reads only the beginning and the end of a long text.
    """
    message, code = _message(said)
    words = f"{code} {message}"
    if MISSING_MODEL.search(words):
        return Passing("model_not_found", message)
    if status is None and (number := re.search(r"\b[45]\d\d\b", code)):
        status = int(number[0])
    reason = _reason(status, words, unknown)
    may_pass = status in _PASSING_STATUSES and reason in ("rate_limited", "unavailable")
    if may_pass and (retry_after or 0) <= MAX_RETRY_AFTER_SECONDS:
        return Passing(reason, message, retry_after)
    return UpstreamError(reason, message, retry_after)


def seconds_of(retry_after: str | None) -> int | None:
    """Return the seconds of a Retry-After header, which is a number or a date; None for anything else."""
    if retry_after is None:
        return None
    if re.fullmatch(r"[0-9]{1,8}", retry_after.strip()):
        return int(retry_after)
    try:
        seconds = round(parsedate_to_datetime(retry_after).timestamp() - time.time())
        return min(max(seconds, 0), LONGEST_RETRY_AFTER_SECONDS)
    except (ValueError, OverflowError):
        return None


def model_ids(payload: Any) -> list[str]:
    """Return the ids in an answer of `/v1/models`. Raises UpstreamError."""
    if isinstance(payload, dict) and payload.get("error"):
        raise failure_of(None, payload)
    models = payload.get("data") if isinstance(payload, dict) else payload
    if not isinstance(models, list):
        raise UpstreamError("protocol")
    ids = [model.get("id") for model in models if isinstance(model, dict)]
    return [model_id for model_id in ids if isinstance(model_id, str) and model_id]


def _first(choices: Any) -> dict[str, Any]:
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts: {"type": "text", "text": ...}
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def _usage(counts: Any) -> Usage | None:
    if not isinstance(counts, dict):
        return None
    return Usage(_count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens")))


def _count(tokens: Any) -> int | None:
    # A number too large for a database's integer is no count of tokens.
    is_count = isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens < 2**31
    return tokens if is_count else None


def _whole(text: str) -> str:
    """Return the text with surrogate pairs joined and halves of pairs replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _message(said: Any) -> tuple[str, str]:
    """Return the sentence and the codes of an error in any usual shape. An HTML page has no sentence."""
    if isinstance(said, str) and (payload := load(said)) is not None:
        said = payload
    codes: list[str] = []
    for _ in range(_MAX_NESTED):
        if isinstance(said, dict):
            codes += [_code(said[name]) for name in ("code", "type", "status") if isinstance(said.get(name), str | int)]
            parts = (said.get(name) for name in ("error", "errors", "message", "msg", "detail"))
            said = next((part for part in parts if part and isinstance(part, str | list | dict)), "")
        elif isinstance(said, list):
            said = said[0] if said else ""
    is_sentence = isinstance(said, str) and not said.lstrip().startswith("<")
    return (_ends_of(said) if is_sentence else ""), " ".join(codes)


def _code(said: str | int) -> str:
    return str(said)[:_MAX_CODE_CHARS]


def _ends_of(text: str) -> str:
    """Return the text, or the beginning and the end of a long one."""
    half = _MAX_READ_CHARS // 2
    return text if len(text) <= _MAX_READ_CHARS else f"{text[:half]} … {text[-half:]}"


def _reason(status: int | None, words: str, unknown: str) -> str:
    if _QUOTA.search(words):
        return "quota"
    if status not in (401, 402, 403, 429):
        for reason, pattern in (("context_length", _CONTEXT), ("filtered", _FILTER), ("model_not_found", _MODEL)):
            if pattern.search(words):
                return reason
    if status is None:
        return next((reason for reason, pattern in _IN_BAND if pattern.search(words)), unknown)
    if status == 404 and "model" in words.lower():
        return "model_not_found"
    return _BY_STATUS.get(status) or ("bad_request" if status < 500 else "upstream")
