"""LM Studio.

https://lmstudio.ai/docs/developer/openai-compat; errors: lmstudio-ai/lmstudio-bug-tracker issues 237 and 546 (context),
1057 (crash), dyad-sh/dyad issue 925, tinyhumansai/openhuman issue 4181 (no model). It answers unknown addresses with
200 and an error. The system role is refused in the words of the chat templates of Mistral 7B.
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error

TOO_LONG = (
    "Trying to keep the first 14538 tokens when context the overflows. However, the model is loaded with context "
    "length of only 2048 tokens, which is not enough. Try to load the model with a larger context length, or provide a "
    "shorter input"
)


def said(content: str) -> bytes:
    return chunk({"role": "assistant", "content": content})


LMSTUDIO = Dialect(
    name="lm studio",
    base="/v1",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "answer with usage",
            (
                said("Hello"),
                said(" there!"),
                chunk({}, "stop"),
                chunk(
                    None,
                    usage={
                        "prompt_tokens": 9,
                        "completion_tokens": 3,
                        "total_tokens": 12,
                        "completion_tokens_details": {"reasoning_tokens": 0},
                    },
                ),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(9, 3, 0),
        ),
        Answer(
            "tags, cut between deltas",
            (
                *map(said, ("<th", "ink>", "Let me ", "see.", "<", "/think", ">\n\n", "Yes", ".")),
                chunk({}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
        Answer(
            "reasoning, where the setting divides it",
            (
                chunk({"role": "assistant", "reasoning_content": "Let me see."}),
                said("Yes."),
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
            400,
            {
                "error": 'Error rendering prompt with jinja template: "Only user and assistant roles are supported!". '
                "This is usually an issue with the model's prompt template."
            },
        ),
        Refusal(
            "system",
            200,
            {"error": {"message": 'Error rendering prompt with jinja template: "System role not supported".'}},
        ),
    ),
    failures=(
        Failure("too long", 400, {"error": TOO_LONG}, "context_length", "Trying to keep the first 14538 tokens"),
        Failure(
            "too long, in an event of its own",
            None,
            b'event: error\ndata: {"error":{"message":"The number of tokens to keep from the initial prompt is greater '
            b'than the context length."},"message":"The number of tokens to keep from the initial prompt is greater '
            b'than the context length."}\n\n',
            "context_length",
            "is greater than the context length",
        ),
        Failure(
            "no model loaded",
            400,
            error(
                "No models loaded. Please load a model in the developer page or use the `lms load` command.",
                type="invalid_request_error",
                param="model",
            ),
            "model_not_found",
            "No models loaded.",
        ),
        Failure(
            "wrong address, with status 200",
            200,
            {"error": "Unexpected endpoint or method. (POST /chat/completions)"},
            "protocol",
            "Unexpected endpoint or method.",
        ),
        Failure(
            "crash",
            400,
            {"error": "The model has crashed without additional information. (Exit code: 1)"},
            "upstream",
            "The model has crashed",
        ),
    ),
)
