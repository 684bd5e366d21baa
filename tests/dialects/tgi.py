"""Text Generation Inference.

In huggingface/text-generation-inference: router/src/chat.rs (chunks and usage), router/src/infer/mod.rs (errors, and
their shape in a stream), router/src/validation.rs (their words), router/src/server.rs (their statuses). It has no
parser of reasoning: the tags are in the text, and the template of DeepSeek's R1 has eaten the first.
"""

from typing import Any

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk
from tests.upstream import event


def part(content: str, finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    """An event whose `data:` has no space after it."""
    said = chunk({"role": "assistant", "content": content}, finish, system_fingerprint="3.3.4-native", usage=usage)
    return said.replace(b"data: ", b"data:", 1)


def refused(words: str, kind: str = "validation") -> dict[str, Any]:
    return {"error": words, "error_type": kind}


TGI = Dialect(
    name="tgi",
    base="",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "answer with usage",
            (
                part("Hello"),
                part(" there!"),
                part("", "stop"),
                chunk(None, usage={"prompt_tokens": 36, "completion_tokens": 3, "total_tokens": 39}),
                b"data:[DONE]\n\n",
            ),
            text="Hello there!",
            usage=Counted(36, 3),
        ),
        Answer(
            "reasoning whose first tag was eaten",
            (part("Let me see."), part("\n"), part("</think>"), part("\n\nYes."), part("", "stop"), DONE),
            reasoning="Let me see.",
            text="Yes.",
        ),
        Answer(
            "end of the budget", (part("Hello"), part(" there", "length"), DONE), text="Hello there", finish="length"
        ),
    ),
    refusals=(Refusal("temperature", 422, refused("Input validation error: `temperature` must be strictly positive")),),
    failures=(
        Failure(
            "too long",
            422,
            refused("Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"),
            "context_length",
            "must have less than 1024 tokens",
        ),
        Failure(
            "too long with its answer",
            422,
            refused(
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2000 `inputs` "
                "tokens and 100 `max_new_tokens`"
            ),
            "context_length",
            "must be <= 2048",
        ),
        Failure("overloaded", 429, refused("Model is overloaded", "overloaded"), "rate_limited", "Model is overloaded"),
        Failure(
            "failed generation",
            424,
            refused("Request failed during generation: CUDA out of memory", "generation"),
            "upstream",
            "Request failed during generation",
        ),
        Failure(
            "refused in the stream",
            None,
            event({"error": {"message": "Input validation error: grammar is not supported", "http_status_code": 422}}),
            "bad_request",
            "grammar is not supported",
        ),
    ),
)
