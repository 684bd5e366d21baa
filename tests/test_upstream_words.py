"""The words of upstreams are understood and quoted: which error it is, and what the page says of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects import DONE, chunk
from tests.dialects.openai import OPENAI
from tests.test_dialects import ask
from tests.upstream import Upstream, body, error, event
from webapp.errors import UpstreamError
from webapp.upstream.cleaning import clean
from webapp.upstream.failures import LONGEST_RETRY_AFTER_SECONDS, Refused, failure_of, seconds_of
from webapp.upstream.transport import Passing

# From the sources and documentation of llama.cpp, llama-cpp-python, vLLM, Ollama, LM Studio, Gemini, Anthropic,
# Bedrock, Mistral, Text Generation Inference, SGLang, Cohere, xAI, Moonshot, Zhipu, DashScope and GitHub Models.
TOO_LONG = [
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "Requested tokens (5000) exceed context window of 2048",
    "The prompt (total length 5000) is too long to fit into the model (context length 4096)",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "input length exceeds maximum context length",
    "Trying to keep the first 14538 tokens when context the overflows.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "prompt is too long: 208310 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
    "Input is too long for requested model.",
    "Prompt contains 300000 tokens and 0 draft tokens, too large for model with 131072 maximum context length",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
    "Requested token count exceeds the model's maximum context length of 8192 tokens.",
    "too many tokens: the prompt cannot exceed 4081",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Invalid request: Your request exceeded model token limit: 8192",
    "Prompt exceeds max length",
    "Range of input length should be [1, 30720]",
]


@pytest.mark.parametrize("words", TOO_LONG)
def test_a_conversation_that_is_too_long_is_told_in_everyones_words(words: str) -> None:
    assert failure_of(400, {"error": {"message": words}}).reason == "context_length"


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (403, {"error": {"message": "Your input was flagged", "metadata": {"reasons": ["violence"]}}}, "filtered"),
        (403, {"error": {"message": "Country, region, or territory not supported"}}, "forbidden"),
        (403, "<html>Just a moment</html>", "forbidden"),
        (403, {"error": {"message": "Invalid token"}}, "auth"),
        (403, {"error": {"message": "Project `p` does not have access to model `m`"}}, "model_not_found"),
        (404, {"error": {"message": "No endpoints found matching your data policy"}}, "bad_request"),
        (404, {"error": {"message": "No endpoints found for a/b."}}, "model_not_found"),
        (404, {"error": {"message": "This model is only supported in v1/responses and not in v1/chat"}}, "other_api"),
        (
            400,
            {"error": {"message": "The chatCompletion operation does not work with the specified model, x."}},
            "other_api",
        ),
        (400, {"error": {"message": "ExceededBudget: over budget", "type": "budget_exceeded"}}, "quota"),
        (429, {"error": {"message": "Your credit balance is too low to access the API."}}, "quota"),
        (429, {"error": {"message": "Rate limit reached: Limit 6000 tokens per minute"}}, "rate_limited"),
        (500, {"error": {"code": 500, "status": "INTERNAL"}}, "upstream"),
        (400, {"error": {"message": "a/b is not a valid model ID", "code": 400}}, "model_not_found"),
        (400, {"error": {"message": "The provided model identifier is invalid."}}, "model_not_found"),
        (400, {"error": {"message": "Not so.", "param": "model", "code": "model_not_supported"}}, "model_not_found"),
        (403, {"error": {"message": "user quota is not enough", "code": "insufficient_user_quota"}}, "quota"),
        (
            401,
            {"error": {"message": "该令牌额度已用尽 TokenStatusExhausted[sk-abc***xyz]", "type": "one_api_error"}},
            "quota",
        ),
        (403, {"error": {"message": "Your account is not active, organization o exceeded current quota"}}, "quota"),
        (403, {"code": "INSUFFICIENT_BALANCE", "message": "Insufficient account balance"}, "quota"),
        (
            400,
            {"error": {"message": "Access denied, make sure your account is in good standing", "code": "Arrearage"}},
            "quota",
        ),
        (403, {"error": {"message": "Access denied due to overdue account"}}, "quota"),
        (429, {"error": {"message": "余额不足或无可用资源包,请充值。", "code": "1113"}}, "quota"),
        (
            403,
            {"error": "Content violates usage guidelines. API key ID: 7. Failed check: SAFETY_CHECK_TYPE_BIO"},
            "filtered",
        ),
        (400, {"error": {"message": "Output blocked by content filtering policy"}}, "filtered"),
        (500, {"title": "Internal Server Error", "status": 500, "detail": "System role not supported"}, "bad_request"),
        (500, {"error": {"message": "Only user, assistant and tool roles are supported, got system."}}, "bad_request"),
        (400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}, "filtered"),
        (400, {"error": {"message": "Not so.", "code": "InputTextSensitiveContentDetected"}}, "filtered"),
        (400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}, "filtered"),
        (400, {"error": {"code": "1301", "message": "It may contain unsafe or sensitive content"}}, "filtered"),
        (200, {"choices": None, "base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}, "filtered"),
    ],
)
def test_an_error_is_what_its_words_say(status: int, said: Any, reason: str) -> None:
    assert failure_of(status, said).reason == reason


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"error": '{"error":{"message":"inner words"}}'}, "inner words"),
        (
            {"error_code": "ModelArts.81003", "error_msg": "Invalid authorization header."},
            "Invalid authorization header.",
        ),
        (
            {"error": {"message": 'litellm.PermissionDeniedError: BedrockException - {"Message":"User: u may not"}'}},
            "User: u may not",
        ),
        ({"Message": "User: u may not"}, "User: u may not"),
        (
            'litellm.BadRequestError: AnthropicException - {"error":{"message":"It\'s too much"}}. '
            "Received Model Group=a\nAvailable Model Group Fallbacks=None",
            "It's too much",
        ),
        ("Error code: 400 - {'error': {'message': \"Don't do that\", 'param': None}}", "Don't do that"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": "<html>502</html>"}}},
            "Provider returned error",
        ),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "Slow down"}}}, "Slow down"),
        ("It failed: {'a': {'b': 1}}", "It failed"),
        ("(): It failed .", "It failed."),
        ("- It failed (ValueError) :", "It failed"),
        ('{"object": "nothing"}', ""),
    ],
)
def test_a_sentence_is_quoted_without_what_surrounds_it(said: Any, sentence: str) -> None:
    assert clean(failure_of(400, said).detail) == sentence


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (body(b"Hello, I am an answer in plain text."), "without event framing"),
        (body(b'{"choices":[{"delta":{"content":"Hi"}}]}\n{"choices":[{"delta":{"content":"!"}}]}\n'), "event framing"),
        (
            body(chunk({"function_call": {"name": "search", "arguments": "{}"}}), chunk({}, "function_call"), DONE),
            "search",
        ),
        (body(chunk({"tool_calls": [], "function_call": {"name": "search"}}), chunk({}, "function_call")), "search"),
        (body(chunk({"reasoning": "Hm"}), chunk({}, "stop"), DONE), "gave no answer"),
        (
            body(
                chunk({"content": [{"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,PHN2Zz4="}}]}),
                DONE,
            ),
            "picture",
        ),
        (body(b"no gzip", content_encoding="gzip"), "not an answer"),
    ],
    ids=[
        "plain text",
        "lines of JSON",
        "a function",
        "a function beside no tools",
        "reasoning alone",
        "a picture of no kind that is shown",
        "broken encoding",
    ],
)
def test_what_is_no_answer_has_its_true_sentence(upstream: Upstream, script: list[Any], words: str) -> None:
    upstream.answer(*script)

    outcome = ask(upstream, OPENAI)

    assert outcome.failure is not None
    assert words in outcome.failure.sentence
    assert outcome.failure.code == "protocol"


@pytest.mark.parametrize("begins", ["", "Hello"])
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"error": {"message": "The GPU fell off the bus."}}, "upstream"),
        ({"object": "error", "message": "The GPU fell off the bus."}, "upstream"),
        ({"detail": "The GPU fell off the bus."}, "upstream"),
        ({"message": "The GPU fell off the bus.", "code": 500}, "upstream"),
        ({"success": False, "msg": "The GPU fell off the bus."}, "upstream"),
        ({"errors": [{"message": "The GPU fell off the bus."}]}, "upstream"),
        ({"type": "error", "message": "The GPU fell off the bus."}, "upstream"),
        ({"status": 429, "title": "Too Many Requests", "detail": "The GPU fell off the bus."}, "rate_limited"),
        ({"choices": [], "code": "1302", "msg": "The GPU fell off the bus."}, "upstream"),
    ],
    ids=str,
)
def test_an_event_without_choices_may_be_an_error(upstream: Upstream, begins: str, said: Any, code: str) -> None:
    status, text = event({"message": "Loading the model"}), chunk({"content": begins})
    upstream.answer(*body(status, text, event(said), DONE))

    outcome = ask(upstream, OPENAI)

    assert outcome.text == begins
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.detail) == (code, "The GPU fell off the bus.")


@pytest.mark.parametrize(
    "said",
    [
        {"type": "ping"},
        {"type": "status", "message": "Loading the model"},
        {"code": 200, "message": "OK"},
        {"code": 0, "msg": "success", "success": True, "errors": [], "detail": None},
        {"code": "0", "msg": "success"},
        {"code": "Success", "message": "ok", "choices": [], "usage": {"prompt_tokens": 3}},
        {"code": "cached", "message": "From the cache", "choices": [{"index": 0, "delta": {}}]},
    ],
    ids=str,
)
def test_an_event_without_text_may_be_no_error(upstream: Upstream, said: Any) -> None:
    upstream.answer(*body(event(said), chunk({"content": "Hello"}), event(said), chunk({}, "stop"), DONE))

    outcome = ask(upstream, OPENAI)

    assert (outcome.text, outcome.failure) == ("Hello", None)


@pytest.mark.parametrize("spoken", ["max_tokens", "model_length", "MAX_TOKENS"])
def test_the_end_of_a_length_has_many_names(upstream: Upstream, spoken: str) -> None:
    upstream.answer(*body(chunk({"content": "Hi"}, spoken), DONE))

    assert ask(upstream, OPENAI).finish == "length"


@pytest.mark.parametrize(
    ("messages", "text"),
    [(("Hel", "Hello", "Hello!"), "Hello!"), (("one ", "two"), "one two"), (("Whole",), "Whole")],
    ids=["all so far", "what is new", "once"],
)
def test_chunks_may_hold_messages(upstream: Upstream, messages: tuple[str, ...], text: str) -> None:
    events = [event({"choices": [{"index": 0, "message": {"content": message}}]}) for message in messages]
    upstream.answer(*body(*events, chunk({}, "stop"), DONE))

    assert ask(upstream, OPENAI).text == text


def test_a_picture_that_is_refused_is_no_json_on_the_page(upstream: Upstream) -> None:
    upstream.answer(*error(400, '{"error": {"message": "Bad image: {\\"type\\": \\"image_url\\"}"}}'))

    outcome = ask(upstream, OPENAI)

    assert outcome.failure is not None
    assert outcome.failure.detail == "Bad image"


# An error in every shape: (status, what came, what is read)

SHAPES = [
    # Where the sentence stands.
    (500, "It broke", "It broke"),
    (500, "litellm.BadRequestError: OpenAIException - It broke", "It broke"),
    (500, "It broke. Received Model Group=gpt-4\nAvailable Model Group Fallbacks=None", "It broke. "),
    (500, {"error": {"message": "A"}}, "A"),
    (500, {"error": "A"}, "A"),
    (500, {"errors": ["A"]}, "A"),
    (500, {"msg": "A"}, "A"),
    (500, {"detail": [{"msg": "A"}]}, "A"),
    (500, {"error": "", "message": "A"}, "A"),
    (500, {"error": True, "message": "A"}, "A"),
    (500, [{"error": {"message": "A"}}], "A"),
    (500, [], ""),
    (500, "<html>It broke</html>", ""),
    (500, '\n {"message": "A"}', "A"),
    (500, '{"errors": ["A"]}', "A"),
    (500, '\n ["A"]', "A"),
    # An error that quotes another one.
    (500, """Oh: {'message': 'A'}""", "A"),
    (500, """Oh: {"message": "A"}""", "A"),
    (500, r"Oh: {'message': 'It\'s\nbad,\tvery\r bad \X'}", "It's bad, very  bad X"),
    (500, "Oh: {'message': 'a\\\nb'}", "a\nb"),
    (500, {"message": "Provider returned error", "metadata": {"raw": '{"message": "A"}'}}, "A"),
    (500, {"message": "Provider returned error", "metadata": {"raw": {"message": "A"}}}, "A"),
    (500, {"message": "Provider returned error", "metadata": {"raw": ["A"]}}, "A"),
    (500, {"message": "Provider returned error", "metadata": {"raw": 5}}, "Provider returned error"),
    (500, {"message": "Provider returned error", "metadata": {"raw": "<html>A</html>"}}, "Provider returned error"),
    (500, {"metadata": {"raw": "<html>A</html>"}}, ""),
]


@pytest.mark.parametrize(("status", "said", "detail"), SHAPES)
def test_the_sentence_is_found_in_every_shape(status: int, said: Any, detail: str) -> None:
    failure = failure_of(status, said)

    assert (failure.reason, failure.detail) == ("upstream", detail)


@pytest.mark.parametrize("name", ["code", "type", "status", "http_status_code", "error_type", "param", "loc"])
@pytest.mark.parametrize("status", [None, 200])
def test_the_status_is_read_from_an_error_in_a_stream(status: int | None, name: str) -> None:
    value = ["503"] if name == "loc" else "503" if name == "param" else 503

    failure = failure_of(status, {"kind": "x", "param": "y", name: value, "message": "Oh"})

    assert (type(failure), failure.reason, failure.detail) == (Passing, "unavailable", "Oh")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"code": 7, "type": "t", "status": "s", "param": "p", "loc": ["a", 5, "b"], "message": "Oh"},
            "7 t s 'p' a b Oh",
        ),
        ({"param": 5, "message": "Oh"}, "5 Oh"),
        ({"code": "c" * 300, "param": "p" * 300, "message": "Oh"}, f"{'c' * 200} '{'p' * 200}' Oh"),
        ("a" * 3000 + "b" * 3000, f"{'a' * 2000} … {'b' * 2000}"),
        ("<html>context_length_exceeded</html>", ""),
        ("Oh: {'message': 'A'}", "Oh: {'message': 'A'} A"),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
def test_all_words_of_a_refusal_are_kept(status: int, said: Any, words: str) -> None:
    failure = failure_of(status, said)

    assert isinstance(failure, Refused)
    assert (failure.reason, failure.words) == ("bad_request", words)


@pytest.mark.parametrize(
    ("status", "said", "retry_after", "kind", "reason"),
    [
        # What may pass is tried again, unless the upstream asks for a long wait.
        (503, "Busy", 5, Passing, "unavailable"),
        (429, "Slow down", 10, Passing, "rate_limited"),
        (429, "Slow down", 11, UpstreamError, "rate_limited"),
        (500, "Busy", 5, UpstreamError, "upstream"),
        (503, "context_length_exceeded", 5, UpstreamError, "context_length"),
        (None, "The model: `gpt-4` does not exist", None, Passing, "model_not_found"),
        # What the model refuses may pass without a parameter.
        (400, "This is not a chat model", None, Refused, "other_api"),
        (404, "This is not a chat model", None, UpstreamError, "other_api"),
        (400, "context_length_exceeded", None, UpstreamError, "context_length"),
        (418, "I am a teapot", None, UpstreamError, "bad_request"),
        # The status says more than some words, and the other way round.
        (403, "content_filter", None, UpstreamError, "filtered"),
        (403, "context_length_exceeded", None, UpstreamError, "forbidden"),
        (403, "Invalid token", None, UpstreamError, "auth"),
        (401, "model_not_found", None, UpstreamError, "auth"),
        (402, "model_not_found", None, UpstreamError, "quota"),
        (429, "model_not_found", None, Passing, "rate_limited"),
        (404, "No MODEL of that kind", None, UpstreamError, "model_not_found"),
        (404, "Not Found", None, UpstreamError, "protocol"),
        (599, "Oh", None, UpstreamError, "upstream"),
        # In a stream only the words tell.
        (None, "Rate limit reached", None, UpstreamError, "rate_limited"),
        (None, "The server is overloaded", None, UpstreamError, "unavailable"),
        (None, "Unauthorized", None, UpstreamError, "auth"),
        (None, "Bad Request", None, UpstreamError, "bad_request"),
        (None, "Oh", None, UpstreamError, "upstream"),
    ],
)
def test_an_error_has_its_reason_and_its_wait(status, said, retry_after, kind, reason) -> None:
    failure = failure_of(status, said, retry_after)

    assert (type(failure), failure.reason, failure.detail) == (kind, reason, said)
    assert failure.retry_after == retry_after


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("5", 5),
        (" 12345678 ", 12345678),
        ("123456789", None),
        ("soon", None),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER_SECONDS),
    ],
)
def test_the_wait_is_a_number_or_a_date(said: str | None, seconds: int | None) -> None:
    assert seconds_of(said) == seconds
