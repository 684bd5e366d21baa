"""DeepSeek.

Streams, usage and finish reasons: https://api-docs.deepseek.com/api/create-chat-completion; reasoning:
.../guides/thinking_mode; comments while one waits: .../quick_start/rate_limit; errors: .../quick_start/error_codes,
1Panel-dev/MaxKB issue 3797 (balance), continuedev/continue issue 11820 (key). It refuses `stream_options` without
`stream`, which `test_a_whole_answer_is_asked_for_without_stream_options` looks at.
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, chunk, error

COMMENT = b": keep-alive\n\n"

DEEPSEEK = Dialect(
    name="deepseek",
    base="",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "answer after comments, with usage beside its end",
            (
                COMMENT,
                COMMENT,
                chunk({"role": "assistant", "content": ""}),
                chunk({"content": "Hello"}),
                chunk({"content": " there!"}),
                chunk(
                    {"content": ""},
                    "stop",
                    usage={
                        "prompt_tokens": 70,
                        "completion_tokens": 30,
                        "total_tokens": 100,
                        "prompt_cache_hit_tokens": 64,
                        "prompt_cache_miss_tokens": 6,
                        "completion_tokens_details": {"reasoning_tokens": 25},
                    },
                ),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(70, 30, 25, 64),
        ),
        Answer(
            "reasoning",
            (
                chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
                chunk({"content": None, "reasoning_content": "Let me "}),
                chunk({"content": None, "reasoning_content": "see."}),
                chunk({"content": "Yes.", "reasoning_content": None}),
                chunk({"content": "", "reasoning_content": None}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
    ),
    refusals=(),
    failures=(
        Failure(
            "no balance",
            402,
            error("Insufficient Balance", type="unknown_error", param=None, code="invalid_request_error"),
            "quota",
            "Insufficient Balance",
        ),
        Failure(
            "wrong key",
            401,
            error(
                "Authentication Fails, Your api key: ****fcc2 is invalid",
                type="authentication_error",
                param=None,
                code="invalid_request_error",
            ),
            "auth",
            "Authentication Fails",
        ),
        Failure(
            "unknown model",
            400,
            error("Model Not Exist", type="invalid_request_error", param=None, code="invalid_request_error"),
            "model_not_found",
            "Model Not Exist",
        ),
        Failure(
            "too long",
            400,
            error(
                "This model's maximum context length is 131072 tokens. However, you requested 150000 tokens (142000 in "
                "the messages, 8000 in the completion). Please reduce the length of the messages or completion.",
                type="invalid_request_error",
                param=None,
                code="invalid_request_error",
            ),
            "context_length",
            "you requested 150000 tokens",
        ),
        Failure(
            "busy",
            503,
            error("Service is too busy. Please retry later.", type="service_unavailable_error", param=None, code=None),
            "unavailable",
            "Service is too busy.",
        ),
        Failure(
            "stopped for want of resources",
            None,
            chunk({"content": ""}, "insufficient_system_resource"),
            "unavailable",
        ),
    ),
)
