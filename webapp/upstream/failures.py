"""What went wrong at the upstream: its words in any of the usual shapes, to an UpstreamError with its own sentence."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from webapp.errors import UpstreamError
from webapp.text import ends_of
from webapp.upstream.payloads import load
from webapp.upstream.transport import Passing

LONGEST_RETRY_AFTER_SECONDS = 10**8
MAX_RETRY_AFTER_SECONDS = 10  # a longer wait is the user's choice
_MAX_READ_CHARS = 4000  # of an error's sentence: what it says is at its beginning or at its end
_MAX_CODE_CHARS = 200
_MAX_NESTED = 8  # gateways quote the error of another gateway

# The one error for which the original asked again.
MISSING_MODEL = re.compile(r"The model: `[^`]{1,200}` does not exist")

_BY_STATUS = {
    400: "bad_request",
    401: "auth",
    402: "quota",
    403: "forbidden",
    404: "protocol",  # most likely a wrong base URL
    405: "protocol",
    408: "unavailable",
    413: "too_large",
    424: "upstream",  # Text Generation Inference: a failed generation
    429: "rate_limited",
    451: "filtered",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
    529: "unavailable",
}
_PASSING_STATUSES = frozenset({429, 502, 503, 504})
_REFUSING_STATUSES = frozenset({400, 422})

_QUOTA = re.compile(
    r"insufficient[_ ](?:\w{1,20}[_ ])?(?:balance|credits?|funds|quota)|余额不足|额度(?:不足|已用尽)"
    r"|(?:balance|quota) is (?:insufficient|not enough)|exceeded (?:your )?current (?:token )?quota|billing_hard_limit"
    r"|overdue (?:account|balance)|arrearage"
    r"|budget_exceeded|budget has been exceeded|crossed budget|(?:exceeded|over) (?:your |the )?(?:\w+ )?budget"
    r"|credit balance is too low|out of credits|spend(?:ing)? limit",
    re.I,
)
# The words of OpenAI and vLLM, llama.cpp, Ollama, LM Studio, Gemini, Anthropic and Bedrock, Mistral, Text Generation
# Inference, SGLang, Cohere, xAI, Moonshot, Zhipu, DashScope, GitHub.
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|(?:context|model|max(?:imum)?) (?:size|length|window|limit)\b"
    r"|context the overflows|maximum (?:prompt|input) length|max_(?:new_)?tokens must be at least 1"
    r"|(?:prompt|input|conversation)(?: is)? too long|too many (?:input )?tokens|token count \(?\d+\)? exceeds"
    r"|maximum number of (?:input )?tokens|must have less than \d+ tokens|`max_new_tokens` must be <="
    r"|too large for model with|exceeded model token limit|tokens_limit_reached|range of input length"
    r"|reduce the length of the|input length .{0,40}exceed",
    re.I,
)
_MODEL = re.compile(
    r"model_not_found|(?:unknown|invalid|no such) model|DeploymentNotFound|model_decommissioned|no models? loaded"
    r"|not a valid model|model identifier is invalid|model_not_supported"
    r"|model\b(?:(?!model\b).){0,200}?not (?:found|exist|available)|no (?:allowed )?endpoints found"
    r"|not have access to (?:the )?model",
    re.I | re.S,
)
_OTHER_API = re.compile(
    r"(?:is not|isn't) a chat model|only supported in\b|not supported in the v1/chat|does not support chat\b"
    r"|use (?:the )?\S{0,20}v1/(?:responses|completions)|does not work with the specified model",
    re.I,
)
_UNSUITED = re.compile(r"no endpoints found (?:matching|that)", re.I)  # OpenRouter: of this model, for this request
_FILTER = re.compile(
    r"content[_ ]filter|content.policy|content management policy|moderation|\bflagged\b|data_inspection_failed"
    r"|inappropriate content|responsible ?ai|safety (?:system|settings|polic|filter)|usage (?:polic|guideline)"
    r"|prohibited_content|content exists risk|sensitive ?content|敏感内容|new_sensitive",
    re.I,
)
# llama.cpp and NVIDIA call it an error of the server, LM Studio says it in a stream.
_TEMPLATE = re.compile(
    r"\bjinja\b|raise_exception|roles must alternate|system role not supported|roles are supported", re.I
)
_KEY = re.compile(r"api.?key (?:is )?(?:not valid|invalid)|invalid.api.key|incorrect api key|api_key_invalid", re.I)
_IN_BAND = (
    ("auth", re.compile(r"authentication|unauthorized", re.I)),
    ("rate_limited", re.compile(r"rate.?limit|too many requests", re.I)),
    ("unavailable", re.compile(r"overloaded|unavailable", re.I)),
    ("bad_request", re.compile(r"invalid_request_error|bad request", re.I)),
)
_BY_WORDS = (
    ("protocol", re.compile(r"unexpected endpoint", re.I)),  # a wrong base URL
    ("upstream", re.compile(r"model has crashed", re.I)),
    ("auth", _KEY),
    ("other_api", _OTHER_API),
    ("bad_request", _UNSUITED),
    ("context_length", _CONTEXT),
    ("filtered", _FILTER),
    ("model_not_found", _MODEL),
    ("bad_request", _TEMPLATE),
)
_FORBIDDEN_WORDS = (("filtered", _FILTER), ("model_not_found", _MODEL))
_CREDENTIAL = re.compile(r"key\b|token|credential|authenti|unauthori|\bauth\b|login|^\W*(?:403\W*)?forbidden\W*$", re.I)

# A sentence inside quoted JSON, or inside a dictionary as Python writes it.
_QUOTED = re.compile(
    r"""['"](?:[Mm]essage|msg|error_msg|detail|error|raw)['"]\s{0,9}:\s{0,9}(?:'((?:[^'\\]|\\.)*+)'|"((?:[^"\\]|\\.)*+)")""",
    re.S,
)
_HTML = re.compile(r"\s*+<[!?/a-z]", re.I)
_CHAIN = re.compile(r"(?:(?:litellm\.)?\w{1,60}(?:Error|Exception)(?:: | - |:$))+")
_CHAIN_END = re.compile(
    r"(?:Received Model Group=|Available Model Group Fallbacks=|No fallback model group found).*", re.S
)


# `Message` is Amazon's, `error_msg` Huawei's, `error_message` DeepInfra's; the last two are MiniMax's.
_PARTS = (
    *("error", "errors", "message", "Message", "msg", "error_msg", "error_message", "detail"),
    *("base_resp", "status_msg"),
)


class Refused(UpstreamError):
    """A request that the upstream does not take as it is. `words` hold what it said, names of parameters too."""

    def __init__(self, reason: str, detail: str, words: str) -> None:
        super().__init__(reason, detail)
        self.words = words


def failure_of(
    status: int | None, said: Any, retry_after: int | None = None, unknown: str = "upstream"
) -> UpstreamError:
    """Return the error for the upstream's words: with an HTTP status, or inside a stream (`status` is None).

    `said` is a JSON value or raw text. `unknown` is the reason if neither gives one. `detail` is not cleaned yet.
    Reads only the beginning and the end of a long text.
    """
    message, codes, words = _read(said)
    if MISSING_MODEL.search(words):
        return Passing("model_not_found", message)
    if status in (None, 200) and (number := re.search(r"\b[45]\d\d\b", codes)):
        status = int(number[0])
    reason = _reason(status, words, unknown)
    may_pass = status in _PASSING_STATUSES and reason in ("rate_limited", "unavailable")
    if may_pass and (retry_after or 0) <= MAX_RETRY_AFTER_SECONDS:
        return Passing(reason, message, retry_after)
    may_be_refused = status in _REFUSING_STATUSES or _TEMPLATE.search(words)
    if may_be_refused and reason in ("bad_request", "other_api"):
        return Refused(reason, message, words)
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


def _read(said: Any) -> tuple[str, str, str]:
    """The sentence, the codes and all words in an error of any of the usual shapes; no sentence in an HTML page."""
    codes: list[str] = []
    texts: list[str] = []
    sentence = ""
    for _ in range(_MAX_NESTED):
        if isinstance(said, str):
            text = "" if _HTML.match(said) else ends_of(said, _MAX_READ_CHARS)
            texts.append(text)
            said = _inside(text)
            if isinstance(said, str) or said is None:
                # Without class names and a gateway's own remarks.
                sentence = _CHAIN.sub("", _CHAIN_END.sub("", text)) or sentence
        elif isinstance(said, dict):
            codes += _codes(said)
            said = part_of(said)
        elif isinstance(said, list):
            said = said[0] if said else ""
        else:
            break
    return sentence, " ".join(codes), " ".join([*codes, *texts])


def _inside(text: str) -> Any:
    """What a text quotes of another error: a JSON value, or the sentence in one; None if it quotes none."""
    if text.lstrip().startswith(("{", "[")) and isinstance(value := load(text), dict | list):
        return value
    quoted = _QUOTED.search(text)
    if not quoted:
        return None
    words = quoted[1] if quoted[1] is not None else quoted[2]
    return re.sub(r"\\(.)", lambda escape: " " if escape[1] in "nrt" else escape[1], words, flags=re.S)


def _codes(said: dict[str, Any]) -> Iterator[str]:
    for name in ("code", "type", "status", "http_status_code", "error_type", "param", "loc"):
        value = said.get(name)
        if isinstance(value, list):
            value = " ".join(part for part in value if isinstance(part, str))
        if isinstance(value, str | int):
            # Parameters are named in quotes, as in sentences.
            code = str(value)[:_MAX_CODE_CHARS]
            yield f"'{code}'" if name == "param" and isinstance(value, str) else code


def part_of(said: dict[str, Any]) -> Any:
    """The part of an error that says the most: the words of the provider behind a gateway first."""
    metadata = said.get("metadata")
    if isinstance(metadata, dict) and (raw := metadata.get("raw")) and isinstance(raw, str | list | dict):
        # A page of HTML has no words.
        return said.get("message") or "" if isinstance(raw, str) and _HTML.match(raw) else raw
    parts = (said.get(name) for name in _PARTS)
    return next((part for part in parts if part and isinstance(part, str | list | dict)), "")


def _reason(status: int | None, words: str, unknown: str) -> str:
    if _QUOTA.search(words):
        return "quota"
    by_words = _FORBIDDEN_WORDS if status == 403 else () if status in (401, 402, 429) else _BY_WORDS
    for reason, pattern in by_words:
        if pattern.search(words):
            return reason
    if status is None:
        return next((reason for reason, pattern in _IN_BAND if pattern.search(words)), unknown)
    if status == 403 and _CREDENTIAL.search(words):
        return "auth"
    if status == 404 and "model" in words.lower():
        return "model_not_found"
    return _BY_STATUS.get(status) or ("bad_request" if status < 500 else "upstream")
