"""Which parameter an error names, and the request without it."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.upstream.refusals import MOST_MODELS, Refusal, Refusals, dropped, named, without

SYSTEM = {"role": "system", "content": "Be brief."}
QUESTION = {"role": "user", "content": "hi"}


def body(**parameters: Any) -> dict[str, Any]:
    return {"messages": [SYSTEM, QUESTION], "model": "m", "stream": True, **parameters}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
            "max_tokens",
        ),
        ("`top_p` is not supported by this model", "top_p"),
        ("Unrecognized request argument supplied: reasoning_effort", "reasoning_effort"),
        ("[{'loc': ['body', 'stream_options'], 'msg': 'Extra inputs are not permitted'}]", "stream_options"),
        ("extraneous key [include_usage] is not permitted", "stream_options"),
        ("Your organization must be verified to stream this model.", "stream"),
        ("The model is unsupported for streaming.", "stream"),
        ("property 'seed' is unsupported, did you mean 'top_p'?", None),
        ("Conversation roles must alternate user/assistant/user/assistant/...", "system"),
        ("Only user, assistant and tool roles are supported, got system.", "system"),
        ("Developer instruction is not enabled for models/gemma-3-27b-it", "system"),
        ("System messages are not supported; use the 'developer' role instead.", "developer"),
        ("The upstream broke in the middle of a stream", None),
        ("Invalid value for 'messages'", None),
        ("Model grok-4-latest does not support parameter reasoningEffort.", "reasoning_effort"),
        ("This model doesn't support the topP field. Remove topP and try again.", "top_p"),
        ('"llama3.1:8b" does not support thinking', "reasoning_effort"),
        ('think value "medium" is not supported for this model', "reasoning_effort"),
        ("The model thinks that images are not supported", None),
        ("该模型不支持参数top_p，请移除后重试", "top_p"),
    ],
)
def test_an_error_names_a_parameter(words: str, name: str | None) -> None:
    asked = body(max_tokens=5, top_p=0.5, reasoning_effort="low", stream_options={"include_usage": True})

    found = named(asked, words)

    assert (found.name if found else None) == name


def test_a_request_without_a_system_prompt_is_not_refused_for_one() -> None:
    words = "Conversation roles must alternate user/assistant/user/assistant/..."

    assert named({"messages": [QUESTION], "model": "m", "stream": True}, words) is None


def test_max_tokens_has_another_spelling_which_may_be_refused_too() -> None:
    asked = body(max_tokens=5)

    once = without(asked, [Refusal("max_tokens")])
    twice = without(asked, [Refusal("max_tokens"), Refusal("max_completion_tokens")])

    assert once == body(max_completion_tokens=5)
    assert twice == body()
    assert (dropped(asked, once), dropped(asked, twice)) == ((), ("max_tokens",))


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is too large: 64000. This model supports at most 16384 completion tokens.",
        "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku",
    ],
)
def test_a_value_that_is_too_large_is_so_in_every_spelling(words: str) -> None:
    """OpenAI and Claude call it `max_tokens` in both."""
    asked = body(max_tokens=64_000)

    refusal = named(asked, words)

    assert refusal == Refusal("max_tokens", 64_000)
    assert without(asked, [refusal]) == body()
    assert without(body(max_tokens=8000), [refusal]) == body(max_tokens=8000)


def test_a_refused_system_prompt_heads_the_first_question() -> None:
    sent = without(body(), [Refusal("system")])

    assert sent["messages"] == [{"role": "user", "content": "Be brief.\n\nhi"}]


def test_a_developers_prompt_heads_the_question_too() -> None:
    asked = body() | {"messages": [{"role": "developer", "content": "Be brief."}, QUESTION]}

    refusal = named(asked, "System messages are not supported; use the 'developer' role instead.")

    assert refusal == Refusal("system")
    assert without(asked, [refusal])["messages"] == [{"role": "user", "content": "Be brief.\n\nhi"}]


def test_a_refused_system_prompt_heads_the_parts_of_a_question() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    asked = body() | {
        "messages": [SYSTEM, {"role": "system", "content": "Be kind."}, {**QUESTION, "content": [picture]}]
    }

    sent = without(asked, [Refusal("system")])

    prompt = {"type": "text", "text": "Be brief.\n\nBe kind."}
    assert sent["messages"] == [{"role": "user", "content": [prompt, picture]}]


def test_a_refused_system_prompt_without_a_question_becomes_one() -> None:
    answer = {"role": "assistant", "content": "Hello"}
    asked = body() | {"messages": [SYSTEM, answer, {"role": "system", "content": "Be kind."}]}

    sent = without(asked, [Refusal("system")])

    assert sent["messages"] == [answer, {"role": "user", "content": "Be brief.\n\nBe kind."}]


def test_a_system_prompt_may_be_the_developers() -> None:
    sent = without(body(), [Refusal("developer")])

    assert sent["messages"] == [{"role": "developer", "content": "Be brief."}, QUESTION]
    assert named(sent, "Developer messages are not supported: 'system' role") == Refusal("system")


def test_a_value_out_of_range_is_not_every_value() -> None:
    refusal = named(body(temperature=1.5), "temperature must be between 0 and 1")

    assert refusal is not None
    assert "temperature" not in without(body(temperature=1.5), [refusal])
    assert without(body(temperature=0.5), [refusal]) == body(temperature=0.5)


@pytest.mark.parametrize(
    "words",
    [
        "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'low'.",
        "Invalid reasoning_effort: none. Valid values are: high, low, medium",
        "{'loc': ('body', 'reasoning_effort'), 'msg': \"Input should be 'low', 'medium' or 'high'\"}",
        'invalid reasoning value: \'none\' (must be "high", "medium" or "low")',
        "Validation error for `reasoning_effort`: expected one of 'low' | 'medium' | 'high', received 'none'.",
        "Reasoning is mandatory for this endpoint and cannot be disabled.",
        "Budget 0 is invalid. This model only works in thinking mode.",
    ],
    ids=["OpenAI", "Gemini", "SGLang", "Ollama", "Kimi", "OpenRouter", "Gemini Pro"],
)
def test_a_refused_effort_is_not_every_effort(words: str) -> None:
    refusal = named(body(reasoning_effort="none"), words)

    assert refusal == Refusal("reasoning_effort", "none")
    assert without(body(reasoning_effort="high"), [refusal])["reasoning_effort"] == "high"


def test_a_parameter_without_a_range_is_refused_with_every_value() -> None:
    refusal = named(body(temperature=1.5), "Unsupported parameter: 'temperature'")

    assert refusal is not None
    assert "temperature" not in without(body(temperature=0.5), [refusal])


def test_a_whole_answer_goes_without_the_options_of_a_stream() -> None:
    sent = without(body(stream_options={}), [Refusal("stream")])

    assert sent == body() | {"stream": False}


def test_what_two_answers_at_once_found_refused_adds_up() -> None:
    known = Refusals()

    known.remember("m", [Refusal("temperature")])
    known.remember("m", [Refusal("top_p"), Refusal("temperature")])

    assert known.of("m") == (Refusal("temperature"), Refusal("top_p"))


def test_the_memory_is_bounded() -> None:
    known = Refusals()

    for number in range(MOST_MODELS + 5):
        known.remember(str(number), [Refusal("temperature")])

    assert known.of("4") == ()
    assert known.of("5") == known.of(str(MOST_MODELS + 4)) == (Refusal("temperature"),)
