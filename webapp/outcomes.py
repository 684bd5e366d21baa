"""An outcome as the flat values that the table `messages` and our files hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webapp import references
from webapp.chat import Failure, Outcome, Reference, Usage

FIELDS: Mapping[str, type] = {
    "status": str,
    "finish_reason": str,
    "failure_reason": str,
    "failure_detail": str,
    "failure_retry_after": int,
    "prompt_tokens": int,
    "completion_tokens": int,
    "reasoning_tokens": int,
    "cached_tokens": int,
    "first_token_seconds": float,
    "seconds": float,
    "sources": list,  # of [url, title]
    "tool": str,
    "dropped": str,  # names of settings, separated by spaces
}
"""The name and type of each value; every value but the status may be None."""

_COUNTS = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")
_NO_COUNTS = [None] * len(_COUNTS)


def flat(outcome: Outcome) -> dict[str, Any]:
    """The outcome as a value for each of FIELDS."""
    failure, usage = outcome.failure or Failure(""), outcome.usage or Usage()
    return {
        "status": outcome.status,
        "finish_reason": outcome.finish_reason,
        "failure_reason": failure.reason or None,
        "failure_detail": failure.detail or None,
        "failure_retry_after": failure.retry_after,
        **{name: getattr(usage, name) for name in _COUNTS},
        "first_token_seconds": outcome.first_token_seconds,
        "seconds": outcome.seconds,
        "sources": [[source.url, source.title] for source in outcome.sources] or None,
        "tool": outcome.tool or None,
        "dropped": " ".join(outcome.dropped) or None,
    }


def from_flat(values: Mapping[str, Any]) -> Outcome:
    """The outcome that `flat` made these values of; ignores other values, and sources that are no web pages."""
    reason, counts = values["failure_reason"], [values[name] for name in _COUNTS]
    return Outcome(
        status=values["status"],
        finish_reason=values["finish_reason"],
        failure=Failure(reason, values["failure_detail"] or "", values["failure_retry_after"]) if reason else None,
        usage=None if counts == _NO_COUNTS else Usage(*counts),
        first_token_seconds=values["first_token_seconds"],
        seconds=values["seconds"],
        sources=_sources(values["sources"]) if values["sources"] else (),
        tool=values["tool"] or "",
        dropped=tuple((values["dropped"] or "").split()),
    )


def _sources(pairs: Iterable[object]) -> tuple[Reference, ...]:
    return references.of((pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2)
