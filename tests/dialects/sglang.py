"""SGLang.

In sgl-project/sglang: python/sglang/srt/entrypoints/openai/protocol.py (UsageInfo, ErrorResponse) and serving_chat.py,
managers/tokenizer_manager.py (context), docs/advanced_features/separate_reasoning.ipynb. Pull request 15562 (reasoning
tokens beside the others), issue 1342 (system role).
"""

from typing import Any

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk
from tests.upstream import event


def said(message: str, code: int = 400, kind: str = "BadRequestError") -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def delta(**fields: str) -> dict[str, str | None]:
    return {"role": None, "content": None, "reasoning_content": None, "tool_calls": None, **fields}


SGLANG = Dialect(
    name="sglang",
    base="",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "usage with reasoning tokens beside the others",
            (
                chunk(delta(role="assistant", content=""), usage=None),
                chunk(delta(content="Hello"), usage=None),
                chunk(delta(content=" there!"), usage=None),
                chunk(delta(), "stop", usage=None),
                chunk(
                    None,
                    usage={
                        "prompt_tokens": 20,
                        "total_tokens": 60,
                        "completion_tokens": 40,
                        "prompt_tokens_details": {"cached_tokens": 16},
                        "reasoning_tokens": 30,
                    },
                ),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(20, 40, 30, 16),
        ),
        Answer(
            "reasoning",
            (
                chunk(delta(role="assistant", content="")),
                chunk(delta(reasoning_content="Let me ")),
                chunk(delta(reasoning_content="see.")),
                chunk(delta(content="Yes.")),
                chunk(delta(), "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
    ),
    refusals=(Refusal("system", 400, said("System role not supported")),),
    failures=(
        Failure(
            "too long",
            400,
            said("The input (204281 tokens) is longer than the model's context length (202752 tokens)."),
            "context_length",
            "The input (204281 tokens)",
        ),
        Failure(
            "too long, in the stream",
            None,
            event({"error": said("Requested token count exceeds the model's maximum context length of 8192 tokens.")}),
            "context_length",
            "Requested token count exceeds",
        ),
        Failure(
            "full queue",
            503,
            said("The request queue is full.", 503, "SERVICE_UNAVAILABLE"),
            "unavailable",
            "The request queue is full.",
        ),
        Failure(
            "full queue, in the stream",
            None,
            event({"error": said("Streaming response failed: [503] The request queue is full.", 503, "server_error")}),
            "unavailable",
            "The request queue is full.",
        ),
        Failure("wrong key", 401, {"error": "Unauthorized"}, "auth", "Unauthorized"),
    ),
)
