"""Groq.

https://console.groq.com/docs/openai, .../docs/reasoning (`reasoning` and, for gpt-oss, `channel`), .../docs/errors.
`x_groq.usage`: vercel/ai, packages/groq tests. Refusal: vercel/ai pull request 1578. Errors: OpenDevin issue 1902
(context), HunorLaczko/ha-groq-cloud-api issue 27 (413), continuedev/continue issue 10920 (429).
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error

USAGE = {
    "queue_time": 0.06,
    "prompt_tokens": 18,
    "prompt_time": 0.0002,
    "completion_tokens": 439,
    "completion_time": 0.79,
    "total_tokens": 457,
    "completion_tokens_details": {"reasoning_tokens": 400},
    "prompt_tokens_details": {"cached_tokens": 16},
}

GROQ = Dialect(
    name="groq",
    base="/openai/v1",
    target="/openai/v1/chat/completions",
    answers=(
        Answer(
            "usage in x_groq",
            (
                chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
                chunk({"content": "Hello"}),
                chunk({"content": " there!"}),
                chunk({}, "stop", x_groq={"id": "req_1", "usage": USAGE}),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(18, 439, 400, 16),
        ),
        Answer(
            "reasoning on a channel",
            (
                chunk({"role": "assistant", "content": ""}),
                chunk({"channel": "analysis", "reasoning": "Let me see."}),
                chunk({"content": "Yes."}),
                chunk({}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
        Answer(
            "tags, with reasoning_format raw",
            (
                chunk({"role": "assistant", "content": ""}),
                chunk({"content": "<think>\nLet me see.\n</think>\n\nYes."}),
                chunk({}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
    ),
    refusals=(
        Refusal(
            "stream_options",
            400,
            error("property 'stream_options' is unsupported, did you mean 'stream'?", type="invalid_request_error"),
        ),
    ),
    failures=(
        Failure(
            "too long",
            400,
            error(
                "Please reduce the length of the messages or completion.",
                type="invalid_request_error",
                param="messages",
                code="context_length_exceeded",
            ),
            "context_length",
            "Please reduce the length",
        ),
        Failure(
            "too much for a minute",
            413,
            error(
                "Request too large for model `m` in organization `org_1` service tier `on_demand` on tokens per minute "
                "(TPM): Limit 6000, Requested 12328, please reduce your message size and try again.",
                type="tokens",
                code="rate_limit_exceeded",
            ),
            "too_large",
            "Limit 6000, Requested 12328",
        ),
        Failure(
            "too much for a day",
            429,
            error(
                "Rate limit reached for model `m` in organization `org_1` service tier `on_demand` on tokens per day "
                "(TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s.",
                type="tokens",
                code="rate_limit_exceeded",
            ),
            "rate_limited",
            "Please try again in 9m38.016s.",
        ),
        Failure(
            "model of the past",
            400,
            error(
                "The model `m` has been decommissioned and is no longer supported.",
                type="invalid_request_error",
                code="model_decommissioned",
            ),
            "model_not_found",
            "has been decommissioned",
        ),
        Failure(
            "wrong key",
            401,
            error("Invalid API Key", type="invalid_request_error", code="invalid_api_key"),
            "auth",
            "Invalid API Key",
        ),
    ),
)
