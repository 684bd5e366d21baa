"""Ollama's OpenAI door.

In ollama/ollama: openai/openai.go (chunks, usage, NewError), middleware/openai.go (usage on the last chunk),
server/routes.go (models), server/sched.go (queue), llm/llama_server.go (context, errors while running). It ignores
parameters that it does not know; a model without thinking refuses only `reasoning_effort`.
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error
from tests.upstream import event

OLLAMA = Dialect(
    name="ollama",
    base="/v1",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "answer with usage beside its end",
            (
                chunk({"role": "assistant", "content": "Hello"}, system_fingerprint="fp_ollama"),
                chunk({"content": " there!"}, system_fingerprint="fp_ollama"),
                chunk({}, "stop", usage={"prompt_tokens": 26, "completion_tokens": 4, "total_tokens": 30}),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(26, 4),
        ),
        Answer(
            "reasoning",
            (
                chunk({"role": "assistant", "content": "", "reasoning": "Let me "}),
                chunk({"content": "", "reasoning": "see."}),
                chunk({"content": "Yes."}),
                chunk({}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
    ),
    refusals=(
        Refusal(
            "reasoning_effort",
            400,
            error('"llama3.1:8b" does not support thinking', type="invalid_request_error", param=None, code=None),
        ),
    ),
    failures=(
        Failure(
            "unknown model",
            404,
            error("model 'llama9' not found", type="not_found_error", param=None, code=None),
            "model_not_found",
            "model 'llama9' not found",
        ),
        Failure(
            "too long",
            400,
            error(
                "the prompt is longer than the context length currently available to the model; shorten the prompt, "
                "adjust the context length in settings, or use a model with a longer context length",
                type="invalid_request_error",
                param=None,
                code=None,
            ),
            "context_length",
            "the prompt is longer than the context length",
        ),
        Failure(
            "too long for its cloud",
            400,
            error(
                "prompt too long; exceeded max context length by 100918 tokens",
                type="invalid_request_error",
                param=None,
                code=None,
            ),
            "context_length",
            "by 100918 tokens",
        ),
        Failure(
            "busy",
            503,
            error(
                "server busy, please try again.  maximum pending requests exceeded",
                type="api_error",
                param=None,
                code=None,
            ),
            "unavailable",
            "server busy, please try again.",
        ),
        Failure(
            "model without thinking",
            400,
            error('"llama3" does not support thinking', type="invalid_request_error", param=None, code=None),
            "bad_request",
            "does not support thinking",
        ),
        Failure(
            "error in the stream",
            None,
            event(error("an error was encountered while running the model: CUDA error", type="api_error")),
            "upstream",
            "an error was encountered while running the model",
        ),
    ),
)
