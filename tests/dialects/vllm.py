"""vLLM.

Chunks, usage and errors, in vllm-project/vllm: vllm/entrypoints/openai/protocol.py (StreamOptions, UsageInfo,
ErrorResponse) and serving_chat.py; reasoning: docs/features/reasoning_outputs.md. Issue 4667 (an answer of less than
one token), ogx-ai/ogx issue 4534 (context), pull request 2964 (system role).
"""

from typing import Any

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error
from tests.upstream import event


def usage(prompt: int, completion: int, cached: int | None = None) -> dict[str, Any]:
    details = None if cached is None else {"cached_tokens": cached}
    counts = {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}
    return {**counts, "prompt_tokens_details": details}


VLLM = Dialect(
    name="vllm",
    base="",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "usage in every chunk",
            (
                chunk({"role": "assistant", "content": ""}, usage=usage(12, 0)),
                chunk({"content": "Hello"}, usage=usage(12, 1)),
                chunk({"content": " there!"}, usage=usage(12, 2)),
                chunk({"content": ""}, "stop", usage=usage(12, 3)),
                chunk(None, usage=usage(12, 3, cached=8)),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(12, 3, None, 8),
        ),
        Answer(
            "reasoning under its old and its new name",
            (
                chunk({"role": "assistant", "content": "", "reasoning_content": None}),
                chunk({"reasoning": "Let me ", "reasoning_content": "Let me "}),
                chunk({"reasoning": "see.", "reasoning_content": "see."}),
                chunk({"content": "Yes."}),
                chunk({"content": ""}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
        Answer(
            "tags without a parser, the first one eaten by the template",
            (
                chunk({"role": "assistant", "content": ""}),
                chunk({"content": "Okay, let me"}),
                chunk({"content": " see.\n</th"}),
                chunk({"content": "ink>\n\nYes."}),
                chunk({"content": ""}, "stop"),
                DONE,
            ),
            reasoning="Okay, let me see.",
            text="Yes.",
        ),
    ),
    refusals=(
        Refusal(
            "system",
            400,
            {
                "object": "error",
                "message": "System role not supported",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
        ),
    ),
    failures=(
        Failure(
            "too long",
            400,
            error(
                "This model's maximum context length is 6048 tokens. However, you requested 6616 tokens (568 in the "
                "messages, 6048 in the completion). Please reduce the length of the messages or completion.",
                type="BadRequestError",
                param=None,
                code=400,
            ),
            "context_length",
            "you requested 6616 tokens",
        ),
        Failure(
            "no room for an answer",
            400,
            {
                "object": "error",
                "message": "max_tokens must be at least 1, got -186.",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
            "context_length",
            "max_tokens must be at least 1",
        ),
        Failure(
            "unknown model",
            404,
            error("The model `x` does not exist.", type="NotFoundError", param=None, code=404),
            "model_not_found",
            "The model `x` does not exist.",
        ),
        Failure("wrong key", 401, {"error": "Unauthorized"}, "auth", "Unauthorized"),
        Failure(
            "error in the stream",
            None,
            event(
                error(
                    "EngineCore encountered an issue. See stack trace (above) for the root cause.",
                    type="InternalServerError",
                    param=None,
                    code=500,
                )
            ),
            "upstream",
            "EngineCore encountered an issue.",
        ),
    ),
)
