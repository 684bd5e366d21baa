"""OpenAI.

Streams and usage: https://platform.openai.com/docs/api-reference/chat_streaming/streaming and openai/openai-python,
src/openai/types/completion_usage.py. Errors: https://platform.openai.com/docs/guides/error-codes. Refusals:
diffbot/code-gpt-docs issue 445 (temperature), animalnots/BetterChatGPT-PLUS issue 62 (stream),
RooCodeInc/Roo-Code issue 274 (o1). The reasoning itself is never sent here, only its count.
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error

USAGE = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 256, "audio_tokens": 0, "accepted_prediction_tokens": 0},
}

OPENAI = Dialect(
    name="openai",
    base="/v1",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "answer with usage",
            (
                chunk({"role": "assistant", "content": "", "refusal": None}, usage=None, obfuscation="x7"),
                chunk({"content": "Hello"}, usage=None, obfuscation="a"),
                chunk({"content": " there!"}, usage=None, obfuscation="Qm"),
                chunk({}, "stop", usage=None, obfuscation="zz"),
                chunk(None, usage=USAGE, obfuscation=""),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(2006, 300, 256, 1920),
        ),
        Answer(
            "refusal of the model",
            (chunk({"role": "assistant", "refusal": "I can't help with that."}), chunk({}, "stop"), DONE),
            text="I can't help with that.",
        ),
        Answer(
            "two choices",
            (
                chunk(
                    None,
                    choices=[
                        {"index": 1, "delta": {"content": "second"}, "finish_reason": None},
                        {"index": 0, "delta": {"content": "first"}, "finish_reason": None},
                    ],
                ),
                chunk(None, choices=[{"index": 1, "delta": {"content": " choice"}, "finish_reason": None}]),
                chunk(None, choices=[{"index": 1, "delta": {}, "finish_reason": "length"}]),
                chunk({}, "stop"),
                DONE,
            ),
            text="first",
        ),
    ),
    refusals=(
        Refusal(
            "temperature",
            400,
            error(
                "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is "
                "supported.",
                type="invalid_request_error",
                param="temperature",
                code="unsupported_value",
            ),
        ),
        Refusal(
            "temperature",
            400,
            error(
                "Unsupported parameter: 'temperature' is not supported with this model.",
                type="invalid_request_error",
                param="temperature",
                code=None,
            ),
        ),
        Refusal(
            "system",
            400,
            error(
                "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                type="invalid_request_error",
                param="messages[0].role",
                code="unsupported_value",
            ),
        ),
        Refusal(
            "stream",
            400,
            error(
                "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is "
                "supported.",
                type="invalid_request_error",
                param="stream",
                code="unsupported_value",
            ),
        ),
    ),
    failures=(
        Failure(
            "wrong key",
            401,
            error(
                "Incorrect API key provided: sk-abc***wxyz. You can find your API key at "
                "https://platform.openai.com/account/api-keys.",
                type="invalid_request_error",
                param=None,
                code="invalid_api_key",
            ),
            "auth",
            "Incorrect API key provided",
        ),
        Failure(
            "no credit",
            429,
            error(
                "You exceeded your current quota, please check your plan and billing details.",
                type="insufficient_quota",
                param=None,
                code="insufficient_quota",
            ),
            "quota",
            "check your plan and billing details",
        ),
        Failure(
            "unknown model",
            404,
            error(
                "The model `gpt-9` does not exist or you do not have access to it.",
                type="invalid_request_error",
                param=None,
                code="model_not_found",
            ),
            "model_not_found",
            "you do not have access to it",
        ),
        Failure(
            "model of another API",
            404,
            error(
                "This model is only supported in v1/responses and not in v1/chat/completions.",
                type="invalid_request_error",
                param="model",
                code=None,
            ),
            "bad_request",
            "This model is only supported in",
        ),
        Failure(
            "no chat model",
            404,
            error(
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to "
                "use v1/completions?",
                type="invalid_request_error",
                param="model",
                code=None,
            ),
            "bad_request",
            "This is not a chat model",
        ),
        Failure(
            "too long",
            400,
            error(
                "This model's maximum context length is 128000 tokens. However, your messages resulted in 204308 "
                "tokens. Please reduce the length of the messages.",
                type="invalid_request_error",
                param="messages",
                code="context_length_exceeded",
            ),
            "context_length",
            "204308 tokens",
        ),
    ),
)
