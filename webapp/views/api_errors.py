"""Errors of the API, in the shape that clients of OpenAI's API read.

https://platform.openai.com/docs/guides/error-codes. The official client chooses the class of its exception by the
status, tries 429 and 5xx again, and raises for `error` in an event.
"""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue

from webapp.errors import AppError, Busy, SignedOut, UpstreamError
from webapp.views.parts import parts

PREFIX = "/v1/"

# By the code of the upstream's error: it is not this program's key that the upstream refuses.
_STATUSES = {
    "quota": 429,
    "rate_limited": 429,
    "bad_request": 400,
    "context_length": 400,
    "filtered": 400,
    "model_not_found": 404,
    "timeout": 504,
    "unavailable": 503,
}
_CODES = {
    "signed_out": "invalid_api_key",
    "busy": "rate_limit_exceeded",
    "limited": "rate_limit_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "quota": "insufficient_quota",
    "context_length": "context_length_exceeded",
    "filtered": "content_filter",
    "auth": "upstream_auth",
}


def is_api() -> bool:
    """Whether the request is for the API: it needs a key, and its errors are JSON."""
    return parts().config.api and request.path.startswith(PREFIX)


def answer(error: AppError, status: int) -> ResponseReturnValue:
    """The answer to a request that failed. `status` is what a page would have."""
    if isinstance(error, UpstreamError):
        status = _STATUSES.get(error.code, 413 if error.reason == "too_large" else 502)
    elif isinstance(error, Busy):
        status = 429
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if isinstance(error, SignedOut):
        headers["WWW-Authenticate"] = 'Bearer realm="Lockchat"'
    return jsonify(said(error, status)), status, headers


def answer_of(status: int, sentence: str) -> Response:
    """The answer to a request that no view could take."""
    return jsonify(_shaped(sentence, status, None))


def said(error: AppError, status: int = 500) -> dict[str, Any]:
    """The error as JSON; in the middle of an answer there is no status."""
    return _shaped(error.sentence, status, _CODES.get(error.code, error.code), getattr(error, "param", None))


def _shaped(sentence: str, status: int, code: str | None, param: str | None = None) -> dict[str, Any]:
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    if code == "insufficient_quota":
        kind = code
    return {"error": {"message": sentence, "type": kind, "param": param, "code": code}}
