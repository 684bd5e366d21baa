"""OpenRouter.

Comments, usage and errors in the stream: https://openrouter.ai/docs/api/reference/streaming and
.../errors-and-debugging; reasoning: https://openrouter.ai/docs/use-cases/reasoning-tokens. `metadata.raw`:
open-webui/computer issue 293, diegosouzapw/OmniRoute issue 3044, reVrost/go-openrouter pull request 21. No endpoints:
chatboxai/chatbox issue 2743.
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error, text

COMMENT = b": OPENROUTER PROCESSING\n\n"
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 130,
    "total_tokens": 170,
    "cost": 0.0012,
    "prompt_tokens_details": {"cached_tokens": 32},
    "completion_tokens_details": {"reasoning_tokens": 100},
}


def thought(words: str, **fields: object) -> dict[str, object]:
    return {"type": "reasoning.text", "text": words, "format": "unknown", "index": 0, **fields}


OPENROUTER = Dialect(
    name="openrouter",
    base="/api/v1",
    target="/api/v1/chat/completions",
    answers=(
        Answer(
            "answer after comments",
            (
                COMMENT,
                COMMENT,
                chunk({"role": "assistant", "content": "Hello"}, provider="DeepInfra"),
                COMMENT,
                chunk({"role": "assistant", "content": " there!"}, provider="DeepInfra"),
                chunk({"role": "assistant", "content": ""}, "stop", provider="DeepInfra"),
                chunk({"role": "assistant", "content": ""}, provider="DeepInfra", usage=USAGE),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(40, 130, 100, 32),
        ),
        Answer(
            "reasoning said twice in one delta",
            (
                chunk({"content": "", "reasoning": "Let me ", "reasoning_details": [thought("Let me ")]}),
                chunk({"content": "", "reasoning": "see.", "reasoning_details": [thought("see.")]}),
                chunk({"content": "Yes."}),
                chunk({"content": ""}, "stop"),
                DONE,
            ),
            reasoning="Let me see.",
            text="Yes.",
        ),
        Answer(
            "reasoning in its details only",
            (
                chunk({"content": "", "reasoning_details": [thought("Text. ")]}),
                chunk({"content": "", "reasoning_details": [{"type": "reasoning.summary", "summary": "Summary."}]}),
                chunk({"content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAAAABo"}]}),
                chunk({"content": "Yes."}),
                chunk({}, "stop"),
                DONE,
            ),
            reasoning="Text. Summary.",
            text="Yes.",
        ),
    ),
    refusals=(
        Refusal(
            "temperature",
            400,
            error(
                "Provider returned error",
                code=400,
                metadata={
                    "raw": text(
                        error(
                            "Unsupported parameter: 'temperature' is not supported with this model.",
                            type="invalid_request_error",
                            param="temperature",
                            code=None,
                        )
                    ),
                    "provider_name": "OpenAI",
                },
            ),
        ),
    ),
    failures=(
        Failure(
            "no credit",
            402,
            error("Insufficient credits. Add more using https://openrouter.ai/settings/credits", code=402),
            "quota",
            "Insufficient credits",
        ),
        Failure(
            "moderation",
            403,
            error(
                'openai/gpt-4o requires moderation on OpenAI. Your input was flagged for "violence". No credits were '
                "charged.",
                code=403,
                metadata={"reasons": ["violence"], "flagged_input": "How do I", "provider_name": "OpenAI"},
            ),
            "filtered",
            "Your input was flagged",
        ),
        Failure(
            "busy provider",
            429,
            error(
                "Provider returned error",
                code=429,
                metadata={
                    "raw": "z-ai/glm-5.3-flash is temporarily rate-limited upstream. Please retry shortly.",
                    "provider_name": "BaseTen",
                },
            ),
            "rate_limited",
            "is temporarily rate-limited upstream",
        ),
        Failure(
            "provider's own error",
            400,
            error(
                "Provider returned error",
                code=400,
                metadata={
                    "raw": text(
                        error("Model supports at most 1 image per prompt.", type="invalid_request_error", code="x")
                    ),
                    "provider_name": "Crucible",
                },
            ),
            "bad_request",
            "Model supports at most 1 image per prompt.",
        ),
        Failure("unknown model", 404, error("No endpoints found for a/b.", code=404), "model_not_found"),
        Failure(
            "provider lost in the stream",
            None,
            chunk(
                {"content": ""},
                "error",
                provider="OpenAI",
                error={"code": "server_error", "message": "Provider disconnected unexpectedly"},
            ),
            "upstream",
            "Provider disconnected unexpectedly",
        ),
    ),
)
