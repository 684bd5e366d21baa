"""An outcome as the flat values that the table `messages` and our files hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.chat import Failure, Outcome, Usage

FIELDS: Mapping[str, type] = {
    "status": str,
    "finish_reason": str,
    "failure_reason": str,
    "failure_detail": str,
    "failure_retry_after": int,
    "prompt_tokens": int,
    "completion_tokens": int,
    "first_token_seconds": float,
    "seconds": float,
}
"""The name and type of each value; every value but the status may be None."""


def flat(outcome: Outcome) -> dict[str, Any]:
    """The outcome as a value for each of FIELDS."""
    failure, usage = outcome.failure or Failure(""), outcome.usage or Usage()
    return {
        "status": outcome.status,
        "finish_reason": outcome.finish_reason,
        "failure_reason": failure.reason or None,
        "failure_detail": failure.detail or None,
        "failure_retry_after": failure.retry_after,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "first_token_seconds": outcome.first_token_seconds,
        "seconds": outcome.seconds,
    }


def from_flat(values: Mapping[str, Any]) -> Outcome:
    """The outcome that `flat` made these values of; ignores other values."""
    reason, usage = values["failure_reason"], Usage(values["prompt_tokens"], values["completion_tokens"])
    return Outcome(
        status=values["status"],
        finish_reason=values["finish_reason"],
        failure=Failure(reason, values["failure_detail"] or "", values["failure_retry_after"]) if reason else None,
        usage=usage if usage != Usage() else None,
        first_token_seconds=values["first_token_seconds"],
        seconds=values["seconds"],
    )
