"""llama.cpp's server.

In ggml-org/llama.cpp: tools/server/server-task.cpp (the chunks of a stream, with `timings` on the last one),
tools/server/server-common.cpp (types of errors and their codes), tools/server/server-context.cpp (context size),
tools/server/README.md (--reasoning-format, --api-key). Harmony: openai/harmony docs/format.md, where no parser is on.
It ignores parameters that it does not know. A template that refuses a role is an error of the server: issues 19851 and
21879, janhq/jan issue 6254.
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error
from tests.upstream import event

TIMINGS = {"cache_n": 5, "prompt_n": 9, "prompt_ms": 40.1, "predicted_n": 3, "predicted_ms": 20.2}
TOO_LONG = error(
    "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it",
    code=400,
    type="exceed_context_size_error",
    n_prompt_tokens=9412,
    n_ctx=8192,
)

LLAMACPP = Dialect(
    name="llama.cpp",
    base="",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "answer with usage and timings",
            (
                chunk({"role": "assistant", "content": None}, system_fingerprint="b6000"),
                chunk({"content": "Hello"}),
                chunk({"content": " there!"}),
                chunk({}, "stop"),
                chunk(
                    None,
                    usage={"completion_tokens": 3, "prompt_tokens": 14, "total_tokens": 17},
                    timings=TIMINGS,
                ),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(14, 3),
        ),
        Answer(
            "reasoning",
            (
                chunk({"role": "assistant", "content": None}),
                chunk({"reasoning_content": "Let me "}),
                chunk({"reasoning_content": "see."}),
                chunk({"content": "Yes."}),
                chunk({}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
        Answer(
            "tags, with --reasoning-format none",
            (
                chunk({"role": "assistant", "content": None}),
                chunk({"content": "<think>"}),
                chunk({"content": "\nLet me see."}),
                chunk({"content": "\n</think>"}),
                chunk({"content": "\n\nYes."}),
                chunk({}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
        Answer(
            "harmony channels",
            (
                chunk({"content": "<|channel|>analysis<|mess"}),
                chunk({"content": "age|>Let me see.<|end|><|start|>assist"}),
                chunk({"content": "ant<|channel|>final<|message|>Yes"}),
                chunk({"content": "."}),
                chunk({}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
    ),
    refusals=(
        Refusal(
            "system",
            500,
            error(
                "\n------------\nWhile executing CallExpression at line 1, column 69 in source:\n"
                "...{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not suppo...\n"
                "                                           ^\nError: Jinja Exception: System role not supported",
                code=500,
                type="server_error",
            ),
        ),
    ),
    failures=(
        Failure("too long", 400, TOO_LONG, "context_length", "request (9412 tokens)"),
        Failure("too long, in the stream", None, event(TOO_LONG), "context_length", "request (9412 tokens)"),
        Failure(
            "too long, in a line of its own",
            None,
            b'error: {"code":400,"message":"the request exceeds the available context size. try increasing the context '
            b'size or enable context shift","type":"invalid_request_error"}\n\n',
            "context_length",
            "the request exceeds the available context size",
        ),
        Failure(
            "loading",
            503,
            error("Loading model", code=503, type="unavailable_error"),
            "unavailable",
            "Loading model",
        ),
        Failure(
            "wrong key",
            401,
            error("Invalid API Key", code=401, type="authentication_error"),
            "auth",
            "Invalid API Key",
        ),
        Failure(
            "refused role",
            500,
            error("System role not supported", code=500, type="server_error"),
            "bad_request",
            "System role not supported",
        ),
    ),
)
