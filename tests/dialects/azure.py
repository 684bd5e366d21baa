"""Azure OpenAI.

Addresses: https://learn.microsoft.com/azure/ai-services/openai/reference. Filter results: .../concepts/content-filter
(a first chunk without choices holds `prompt_filter_results`). Errors: microsoft/azurechat issue 351 (filter),
OpenBMB/AgentVerse issue 140 (deployment), https://learn.microsoft.com/azure/ai-services/openai/quotas-limits.
Old versions of the API refuse `stream_options` in OpenAI's words of 2024.
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error

SAFE = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}
USAGE = {
    "prompt_tokens": 18,
    "completion_tokens": 90,
    "total_tokens": 108,
    "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64},
}


def filtered_chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "content_filter_results": SAFE, "logprobs": None}
    return chunk(None, choices=[choice], system_fingerprint="fp_1")


AZURE = Dialect(
    name="azure",
    base="/openai/deployments/gpt-4o?api-version=2024-10-21",
    target="/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
    answers=(
        Answer(
            "answer with filter results and usage",
            (
                chunk(
                    None,
                    id="",
                    object="",
                    created=0,
                    model="",
                    prompt_filter_results=[{"prompt_index": 0, "content_filter_results": SAFE}],
                ),
                filtered_chunk({"role": "assistant", "content": ""}),
                filtered_chunk({"content": "Hello"}),
                filtered_chunk({"content": " there!"}),
                filtered_chunk({}, "stop"),
                chunk(None, usage=USAGE),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(18, 90, 64, 0),
        ),
        Answer(
            "answer that the filter ends",
            (filtered_chunk({"content": "Well, first"}), filtered_chunk({}, "content_filter"), DONE),
            text="Well, first",
            finish="content_filter",
        ),
    ),
    refusals=(
        Refusal(
            "stream_options",
            400,
            error(
                "Unrecognized request argument supplied: stream_options",
                type="invalid_request_error",
                param=None,
                code=None,
            ),
        ),
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
    ),
    failures=(
        Failure(
            "filtered question",
            400,
            error(
                "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
                "Please modify your prompt and retry.",
                type=None,
                param="prompt",
                code="content_filter",
                status=400,
                innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": SAFE},
            ),
            "filtered",
            "Please modify your prompt",
        ),
        Failure(
            "unknown deployment",
            404,
            error(
                "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
                "minutes, please wait a moment and try again.",
                code="DeploymentNotFound",
            ),
            "model_not_found",
            "The API deployment for this resource does not exist",
        ),
        Failure(
            "wrong key",
            401,
            error(
                "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key "
                "for an active subscription and use a correct regional API endpoint for your resource.",
                code="401",
            ),
            "auth",
            "Access denied due to invalid subscription key",
        ),
        Failure(
            "too many tokens a minute",
            429,
            error(
                "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have "
                "exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds.",
                code="429",
            ),
            "rate_limited",
            "exceeded token rate limit",
        ),
        Failure("wrong address", 404, error("Resource not found", code="404"), "protocol", "Resource not found"),
    ),
)
