"""LiteLLM's proxy.

Reasoning: https://docs.litellm.ai/docs/reasoning_content. Errors, in BerriAI/litellm: issues 36729 and 14144 and pull
request 40002 (budgets), issue 8978 (Mistral behind it), litellm/llms/openai/chat/o_series_transformation.py (dropped
parameters), litellm/proxy/_types.py (ProxyErrorTypes), litellm/proxy/route_llm_request.py (unknown model).
"""

from tests.dialects import DONE, Answer, Counted, Dialect, Failure, Refusal, chunk, error
from tests.upstream import event

GROUP = "Received Model Group=m\nAvailable Model Group Fallbacks=None"
USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 20,
    "total_tokens": 50,
    "completion_tokens_details": {"reasoning_tokens": 12, "text_tokens": 8},
    "prompt_tokens_details": {"cached_tokens": 10},
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 10,
}

LITELLM = Dialect(
    name="litellm",
    base="",
    target="/v1/chat/completions",
    answers=(
        Answer(
            "answer with usage beside an empty choice",
            (
                chunk({"content": "Hello", "role": "assistant"}),
                chunk({"content": " there!"}),
                chunk({}, "stop"),
                chunk(None, choices=[{"index": 0, "delta": {}}], usage=USAGE),
                DONE,
            ),
            text="Hello there!",
            usage=Counted(30, 20, 12, 10),
        ),
        Answer(
            "reasoning and the same in blocks",
            (
                chunk(
                    {
                        "role": "assistant",
                        "content": "",
                        "reasoning_content": "Let me see.",
                        "thinking_blocks": [{"type": "thinking", "thinking": "Let me see.", "signature": None}],
                        "provider_specific_fields": {"thinking_blocks": [{"type": "thinking", "thinking": "..."}]},
                    }
                ),
                chunk({"content": "", "thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "Eq=="}]}),
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
            "temperature",
            400,
            error(
                "litellm.UnsupportedParamsError: O-series models don't support temperature=0.5. Only temperature=1 "
                f"is supported. To drop unsupported openai params from the call, set `litellm.drop_params = True`."
                f" {GROUP}",
                type=None,
                param=None,
                code="400",
            ),
        ),
        Refusal(
            "stream_options",
            400,
            error(
                "litellm.BadRequestError: MistralException - {'detail': [{'type': 'extra_forbidden', 'loc': ['body', "
                f"'stream_options', 'include_usage'], 'msg': 'Extra inputs are not permitted', 'input': True}}]}}. "
                f"{GROUP}",
                type=None,
                param=None,
                code="400",
            ),
        ),
    ),
    failures=(
        Failure(
            "used-up budget",
            429,
            error(
                "Budget has been exceeded! Current cost: 10.51, Max budget: 10.00",
                type="budget_exceeded",
                param=None,
                code="429",
            ),
            "quota",
            "Budget has been exceeded!",
        ),
        Failure(
            "used-up budget of old versions",
            400,
            error(
                "litellm.BadRequestError: OpenAIException - Budget has been exceeded! Current cost: 14.2, "
                f"Max budget: 10. {GROUP}",
                type=None,
                param=None,
                code="400",
            ),
            "quota",
            "Budget has been exceeded!",
        ),
        Failure(
            "crossed budget of a deployment",
            429,
            error(
                "No deployments available - crossed budget: Exceeded budget for deployment model_name: m, "
                "litellm_params.model: openai/m, model_id: 7: 0.363 >= 1d",
                type=None,
                param=None,
                code="429",
            ),
            "quota",
            "No deployments available",
        ),
        Failure(
            "too long, in a chain",
            400,
            error(
                "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: "
                "OpenAIException - This model's maximum context length is 128000 tokens. However, your messages "
                f"resulted in 204308 tokens. {GROUP}",
                type=None,
                param=None,
                code="400",
            ),
            "context_length",
            "This model's maximum context length is 128000 tokens.",
        ),
        Failure(
            "unknown model",
            400,
            error(
                "/chat/completions: Invalid model name passed in model=gpt-9. Call `/v1/models` to view available "
                "models for your key.",
                type="invalid_request_error",
                param=None,
                code="400",
            ),
            "model_not_found",
            "Invalid model name",
        ),
        Failure(
            "wrong key",
            401,
            error(
                "Authentication Error, Invalid proxy server token passed. Received API Key = sk-...wxyz, Key Hash "
                "(Token) =9b2f8a0c4d6e9b2f8a0c4d6e9b2f8a0c. Unable to find token in cache or "
                "`LiteLLM_VerificationTokenTable`",
                type="token_not_found_in_db",
                param="key",
                code="401",
            ),
            "auth",
            "Invalid proxy server token passed",
        ),
        Failure(
            "quoted JSON of another server",
            400,
            error(
                "litellm.BadRequestError: OpenAIException - Error code: 400 - {'error': {'message': 'Only one image "
                f"is allowed.', 'type': 'invalid_request_error', 'param': None, 'code': None}}}}. {GROUP}",
                type=None,
                param=None,
                code="400",
            ),
            "bad_request",
            "Only one image is allowed.",
        ),
        Failure(
            "error in the stream",
            None,
            event(
                error(
                    "litellm.APIConnectionError: APIConnectionError: OpenAIException - The server had an error.",
                    type=None,
                    param=None,
                    code="500",
                )
            ),
            "upstream",
            "The server had an error.",
        ),
    ),
)
