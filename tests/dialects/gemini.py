"""Gemini's OpenAI door.

https://ai.google.dev/gemini-api/docs/openai (address, thoughts), .../docs/troubleshooting (codes). Errors are arrays:
continuedev/continue issue 10748 (key). Thoughts are text between tags, marked by `extra_content`; usage is in every
chunk. A parameter is refused as any unknown field of a Google API: google.rpc.BadRequest. Finish reasons name the
filter: "content_filter: PROHIBITED_CONTENT", "function_call_filter: MALFORMED_FUNCTION_CALL".
"""

from typing import Any

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk

THOUGHT = {"extra_content": {"google": {"thought": True}}}


def said(code: int, message: str, status: str, *details: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"error": {"code": code, "message": message, "status": status, "details": list(details)}}]


def part(content: str, completion: int, finish: str | None = None, **fields: Any) -> bytes:
    """A chunk that names a finish reason only at the end."""
    choice: dict[str, Any] = {"delta": {"content": content, "role": "assistant", **fields}, "index": 0}
    if finish:
        choice["finish_reason"] = finish
    usage = {"completion_tokens": completion, "prompt_tokens": 8, "total_tokens": 8 + completion}
    return chunk(None, choices=[choice], usage=usage)


GEMINI = Dialect(
    name="gemini",
    base="/v1beta/openai/",
    target="/v1beta/openai/chat/completions",
    answers=(
        Answer(
            "usage in every chunk",
            (part("Hello", 0), part(" there!", 4), part("", 5, "stop"), DONE),
            text="Hello there!",
            usage=Counted(8, 5),
        ),
        Answer(
            "thoughts between tags of its own",
            (
                part("<thought>**Weighing**\n\nLet me ", 0, **THOUGHT),
                part("see.", 0, **THOUGHT),
                part("</thought>Yes", 2),
                part(".", 3, "stop"),
                DONE,
            ),
            reasoning="**Weighing**\n\nLet me see.",
            text="Yes.",
            usage=Counted(8, 3),
        ),
        Answer(
            "answer that a filter ends, which is named",
            (part("Well, first", 0), part("", 3, "content_filter: PROHIBITED_CONTENT"), DONE),
            text="Well, first",
            finish="content_filter",
            usage=Counted(8, 3),
        ),
        Answer(
            "thoughts that are only marked",
            (part("Let me see.", 0, **THOUGHT), part("Yes.", 3, "stop"), DONE),
            reasoning="Let me see.",
            text="Yes.",
        ),
    ),
    refusals=(
        Refusal(
            "reasoning_effort", 400, said(400, "Thinking level is not supported for this model.", "INVALID_ARGUMENT")
        ),
        Refusal(
            "stream_options",
            400,
            said(
                400,
                'Invalid JSON payload received. Unknown name "stream_options": Cannot find field.',
                "INVALID_ARGUMENT",
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [
                        {
                            "description": 'Invalid JSON payload received. Unknown name "stream_options": Cannot find '
                            "field."
                        }
                    ],
                },
            ),
        ),
    ),
    failures=(
        Failure(
            "too long",
            400,
            said(
                400,
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                "INVALID_ARGUMENT",
            ),
            "context_length",
            "The input token count (1200000)",
        ),
        Failure(
            "wrong key",
            400,
            said(
                400,
                "API key not valid. Please pass a valid API key.",
                "INVALID_ARGUMENT",
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
            ),
            "auth",
            "API key not valid.",
        ),
        Failure(
            "unknown model",
            404,
            said(404, "models/gemini-9 is not found for API version v1main.", "NOT_FOUND"),
            "model_not_found",
            "is not found for API version",
        ),
        Failure(
            "used-up quota",
            429,
            said(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
                "RESOURCE_EXHAUSTED",
            ),
            "quota",
            "You exceeded your current quota",
        ),
        Failure(
            "overloaded",
            503,
            said(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"),
            "unavailable",
            "The model is overloaded.",
        ),
    ),
)
