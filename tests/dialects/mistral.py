"""Mistral.

Streams: https://docs.mistral.ai/api/#tag/chat; thinking: https://docs.mistral.ai/capabilities/reasoning (`content` as a
list of parts). Refusal: avante-corp/avante.nvim issue 2347, mistralai/platform-docs-public issue 7 (the same with the
detail as a string). Errors: https://docs.mistral.ai/resources/known-limitations, mistralai/client-python issue 74.
"""

from typing import Any

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, text

FORBIDDEN = {
    "detail": [
        {
            "type": "extra_forbidden",
            "loc": ["body", "stream_options", "include_usage"],
            "msg": "Extra inputs are not permitted",
            "input": True,
        }
    ]
}


def said(message: Any, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def thinking(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": words}], **fields}


MISTRAL = Dialect(
    name="mistral",
    base="/v1",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "answer with usage beside its end",
            (
                chunk({"role": "assistant", "content": ""}, p="abcd"),
                chunk({"content": "Bonjour"}, p="ab"),
                chunk({"content": " !"}, p="abcdef"),
                chunk({"content": ""}, "stop", usage={"prompt_tokens": 7, "total_tokens": 10, "completion_tokens": 3}),
                DONE,
            ),
            text="Bonjour !",
            usage=Counted(7, 3),
        ),
        Answer(
            "thinking in parts of the content",
            (
                chunk({"role": "assistant", "content": ""}),
                chunk({"content": [thinking("Let me ")]}),
                chunk({"content": [thinking("see.", closed=True)]}),
                chunk({"content": [{"type": "text", "text": "Bon"}]}),
                chunk({"content": "jour"}),
                chunk({"content": ""}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Bonjour",
        ),
    ),
    refusals=(
        Refusal("stream_options", 422, said(FORBIDDEN, "invalid_request_error")),
        Refusal("stream_options", 422, said(text(FORBIDDEN), "internal_error_proxy", "1000")),
    ),
    failures=(
        Failure(
            "too long",
            400,
            said(
                "Prompt contains 300000 tokens and 0 draft tokens, too large for model with 131072 maximum context "
                "length",
                "invalid_request_invalid_args",
                "3051",
            ),
            "context_length",
            "Prompt contains 300000 tokens",
        ),
        Failure(
            "unknown model", 400, said("Invalid model: x", "invalid_model", "1500"), "model_not_found", "Invalid model"
        ),
        Failure("wrong key", 401, {"detail": "Unauthorized"}, "auth", "Unauthorized"),
        Failure(
            "no capacity",
            429,
            said("Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"),
            "rate_limited",
            "Service tier capacity exceeded",
        ),
        Failure(
            "other parameter", 422, said(FORBIDDEN, "invalid_request_error"), "bad_request", "Extra inputs are not"
        ),
        Failure("finish reason of an error", None, chunk({"content": ""}, "error"), "upstream"),
    ),
)
