"""The upstream's answer in its own events, for a client that speaks the same protocol: each chunk and completion."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from tests.pictures import png, url_of
from tests.upstream import Upstream, Wait, body, event, token
from webapp.chat import Usage
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat
from webapp.upstream.relay import HELD_EVENTS, Relay

REQUEST = {"model": "gpt-4", "messages": [{"role": "user", "content": "hi"}]}
WITH_USAGE = {"stream_options": {"include_usage": True}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
NAMES = {"id": "up-1", "created": 5, "model": "gpt-4-0613", "system_fingerprint": "fp_1", "service_tier": "default"}
DONE = b"data: [DONE]\n\n"
CALL = {"id": "call_1", "type": "function", "function": {"name": "time", "arguments": "{}"}}
LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.1}], "refusal": None}
OVERLOADED = event({"error": {"code": 503, "message": "The model is overloaded"}})  # worth another try
PNG = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def client(upstream: Upstream) -> Iterator[Lockchat]:
    client = Lockchat(upstream.url, retries=0, max_answer_bytes=1000, first_token_seconds=5.0)
    yield client
    client.close()


def ask(client: Lockchat, stream: bool, **fields: Any) -> Relay:
    return client.relay({**REQUEST, "stream": stream, **fields})


def said(*choices: Any, **names: Any) -> dict[str, Any]:
    """One event of the upstream."""
    return {**NAMES, "object": "chat.completion.chunk", "choices": list(choices), **names}


def part(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One choice of an event, as `said` takes it."""
    return {"index": 0, "delta": delta, "finish_reason": finish}


def streamed(*events: dict[str, Any]) -> list[Any]:
    return body(*map(event, events), DONE)


def whole(*choices: Any, **names: Any) -> list[Any]:
    completion = {**NAMES, "object": "chat.completion", "choices": list(choices), **names}
    return body(json.dumps(completion).encode(), framing="length", content_type="application/json")


def call(index: int | None = None, **fields: Any) -> dict[str, Any]:
    """A piece of a call of a tool; without `index`, as some servers send it."""
    return fields if index is None else {"index": index, **fields}


# (what the upstream sends, the choices of the chunks that the client gets)
CHUNKS = {
    "text": ([part(role="assistant"), part(content="Hi"), part("stop")],) * 2,
    "no finish reason": ([{"index": 0, "delta": {"content": "Hi"}}, part("stop")], [part(content="Hi"), part("stop")]),
    "no index": ([{"delta": {"content": "Hi"}, "finish_reason": "stop"}], [part("stop", content="Hi")]),
    "a message": ([{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}], [part("stop", content="Hi")]),
    "a call": ([part(tool_calls=[{"index": 0, **CALL}]), part("tool_calls")],) * 2,
    "log probabilities": ([{**part("stop", content="Hi"), "logprobs": LOGPROBS}],) * 2,
    "text alone": ([{"index": 0, "text": "Hi"}, part("stop")], [part(content="Hi") | {"text": "Hi"}, part("stop")]),
    "no delta": ([{"index": 0, "delta": None, "finish_reason": "stop"}], [part("stop")]),
}


@pytest.mark.parametrize("case", CHUNKS)
def test_each_event_becomes_one_chunk(client: Lockchat, upstream: Upstream, case: str) -> None:
    sent, got = CHUNKS[case]
    upstream.answer(*streamed(*map(said, sent)))

    chunks = list(ask(client, stream=True))

    assert chunks == [said(choice) for choice in got]


def test_a_chunk_without_names_gets_those_of_the_request(client: Lockchat, upstream: Upstream) -> None:
    upstream.answer(*body(token("Hi"), token(finish="stop"), DONE))

    chunks = list(ask(client, stream=True))

    [names, _same] = [{name: chunk[name] for name in chunk if name != "choices"} for chunk in chunks]
    assert names == _same
    assert names.pop("id").startswith("chatcmpl-")
    assert time.time() - 60 < names.pop("created") <= time.time()
    assert names == {"model": "gpt-4", "object": "chat.completion.chunk"}


@pytest.mark.parametrize("fields", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}])
def test_usage_is_counted_and_stays_here_unless_the_client_asks(client: Lockchat, upstream: Upstream, fields) -> None:
    upstream.answer(*streamed(said(), said(part("stop", content="Hi"), usage=USAGE), said(usage=USAGE)))

    relay = ask(client, stream=True, **fields)

    assert list(relay) == [said(part("stop", content="Hi"))]
    assert relay.usage == Usage(7, 2)
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}


def test_usage_comes_if_the_client_asks(client: Lockchat, upstream: Upstream) -> None:
    upstream.answer(*streamed(said(), said(part("stop", content="Hi"), usage=None), said(usage=USAGE)))
    upstream.answer(*whole({"message": {"content": "Hi"}, "finish_reason": "stop"}, usage=USAGE))
    upstream.answer(*whole({"message": {"content": "Hi"}, "finish_reason": "stop"}))

    answers = [list(ask(client, stream=True, **WITH_USAGE)) for _script in range(3)]

    text, usage = said(part("stop", content="Hi")), said(usage=USAGE)
    assert answers == [[text, usage], [text, usage], [text]]


@pytest.mark.parametrize("stream", [True, False])
def test_a_picture_written_into_the_text_stays_there(client: Lockchat, upstream: Upstream, stream: bool) -> None:
    written = f"![image]({url_of(png(2, 1, 400))})"
    upstream.answer(
        *streamed(said(part(content=written)), said({"message": {"content": written}, "finish_reason": "stop"}))
    )

    pieces = list(ask(client, stream=stream))

    texts = [one["choices"][0]["delta" if stream else "message"].get("content") or "" for one in pieces]
    assert "".join(texts) == written


# (what the upstream sends, the message of the completion that the client gets, its finish reason)
COMPLETIONS = {
    "text": (
        [part(role="assistant"), part(content="Hel", tool_calls=None), part(content="lo"), part("stop")],
        {"role": "assistant", "content": "Hello"},
        "stop",
    ),
    "reasoning of Copilot": (
        [part(reasoning_text="H"), part(reasoning_text="m"), part("stop", content="Hi")],
        {"role": "assistant", "content": "Hi", "reasoning_text": "Hm"},
        "stop",
    ),
    "reasoning and a refusal": (
        [
            part(reasoning_content="H"),
            part(reasoning_content="m"),
            part(reasoning="a", refusal="N"),
            part("stop", refusal="o"),
        ],
        {"role": "assistant", "content": None, "reasoning_content": "Hm", "reasoning": "a", "refusal": "No"},
        "stop",
    ),
    "parts, and some of reasoning": (
        [
            part(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "H"}]}]),
            part(content=[{"type": "reasoning", "text": "m"}, {"type": "text", "text": "Hel"}]),
            part("stop", content="lo"),
        ],
        {"role": "assistant", "content": "Hello", "reasoning_content": "Hm"},
        "stop",
    ),
    "what else a message has": (
        [part(content="Hi", annotations=[1], audio=None), part("length", content=None)],
        {"role": "assistant", "content": "Hi", "annotations": [1]},
        "length",
    ),
    "calls in pieces": (
        [
            part(tool_calls=[call(0, id="call_1", type="function", function={"name": "time", "arguments": ""})]),
            part(tool_calls=[call(0, id="", type=None, function={"name": None, "arguments": '{"a":'})]),
            part(tool_calls=[call(0, function={"arguments": "1}"}), call(1, id="call_2", function={"name": "b"})]),
            part("tool_calls"),
        ],
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"type": "function", "id": "call_1", "function": {"name": "time", "arguments": '{"a":1}'}},
                {"type": "function", "id": "call_2", "function": {"name": "b", "arguments": ""}},
            ],
        },
        "tool_calls",
    ),
    "calls without an index": (
        [part(tool_calls=[None, call(**CALL), call(**CALL | {"id": "call_2", "type": "custom"})]), part("tool_calls")],
        {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "call_2", "type": "custom"}]},
        "tool_calls",
    ),
    "text alone": (
        [{"index": 0, "text": "Hel"}, {"index": 0, "text": "lo", "message": None, "finish_reason": "length"}],
        {"role": "assistant", "content": "Hello"},
        "length",
    ),
    "no finish reason": ([part(content="Hi")], {"role": "assistant", "content": "Hi"}, "stop"),
}


@pytest.mark.parametrize("case", COMPLETIONS)
def test_the_events_of_a_stream_become_one_completion(client: Lockchat, upstream: Upstream, case: str) -> None:
    sent, message, finish = COMPLETIONS[case]
    upstream.answer(*streamed(*map(said, sent), said(usage=USAGE, id=None)))

    [completion] = ask(client, stream=False)

    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    assert completion == {**NAMES, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    assert "stream_options" not in upstream.requests[0].json


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("message", "text"), [("Hello", "Hello"), ("Hello there", "Hello there"), ("Oh", "Hello")])
def test_a_last_event_with_the_message_adds_only_what_is_new(
    client: Lockchat, upstream: Upstream, message: str, text: str, stream: bool
) -> None:
    last = {"content": message, "reasoning_content": "Hm", "annotations": [1]}
    events = [part(reasoning_content="Hm"), part(content="Hel"), part(content="lo")]
    upstream.answer(*streamed(*map(said, events), said({"index": 0, "message": last, "finish_reason": "stop"})))

    got = [answer["choices"][0] for answer in ask(client, stream)]

    parts = [choice.get("delta") or choice["message"] for choice in got]
    assert "".join(one.get("content") or "" for one in parts) == text
    assert "".join(one.get("reasoning_content") or "" for one in parts) == "Hm"
    assert (parts[-1]["annotations"], got[-1]["finish_reason"]) == ([1], "stop")


def test_names_that_an_upstream_makes_up_are_not_remembered(client: Lockchat, upstream: Upstream) -> None:
    upstream.answer(*streamed(*(said(part(content="x", **{f"made_up_{number}": 1})) for number in range(3))))

    relay = ask(client, stream=True)

    assert len(list(relay)) == 3
    assert relay._progress.names == {"content"}


def test_log_probabilities_are_joined(client: Lockchat, upstream: Upstream) -> None:
    lists = [{"content": [1], "refusal": None}, {"content": [2], "refusal": [3]}, None]
    upstream.answer(*streamed(*(said({**part(content="x"), "logprobs": some}) for some in lists)))

    [completion] = ask(client, stream=False)

    assert completion["choices"][0]["logprobs"] == {"content": [1, 2], "refusal": [3]}


@pytest.mark.parametrize("said", [{"message": {"content": "Hi"}}, {"text": "Hi"}], ids=str)
def test_a_completion_gets_what_it_lacks(client: Lockchat, upstream: Upstream, said: Any) -> None:
    bare = {"choices": [said]}
    upstream.answer(*body(json.dumps(bare).encode(), framing="length", content_type="application/json"))

    [completion] = ask(client, stream=False)

    assert completion.pop("id").startswith("chatcmpl-")
    assert time.time() - 60 < completion.pop("created") <= time.time()
    choice = said | {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop", "logprobs": None}
    assert completion == {"object": "chat.completion", "model": "gpt-4", "choices": [choice]}


def test_a_whole_answer_becomes_one_chunk_with_numbered_calls(client: Lockchat, upstream: Upstream) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [CALL, None, {**CALL, "index": 7}]}
    upstream.answer(*whole({"index": 0, "message": message, "finish_reason": "tool_calls"}, usage=USAGE))

    relay = ask(client, stream=True)

    calls = [{"index": 0, **CALL}, {"index": 7, **CALL}]
    assert list(relay) == [said(part("tool_calls", role="assistant", content=None, tool_calls=calls))]
    assert relay.usage == Usage(7, 2)


# What is no answer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (b"data: Internal Server Error\n\n", "protocol", "Internal Server Error"),
        (b'data: "{}"\n\n', "protocol", ""),
        (event({"detail": "Internal Server Error"}), "upstream", "Internal Server Error"),
        (
            event({"choices": None, "base_resp": {"status_code": 1, "status_msg": "Internal Server Error"}}),
            "upstream",
            "Internal Server Error",
        ),
    ],
)
def test_an_event_that_is_no_answer_is_an_error_in_its_words(
    client: Lockchat, upstream: Upstream, said: bytes, reason: str, words: str, stream: bool
) -> None:
    upstream.answer(*body(said))

    with pytest.raises(UpstreamError) as raised:
        list(ask(client, stream))

    assert (raised.value.reason, raised.value.detail) == (reason, words)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_an_end_is_cut_off(client: Lockchat, upstream: Upstream, stream: bool) -> None:
    upstream.answer(*body(event(said(part(content="Hi")))))

    with pytest.raises(UpstreamError) as raised:
        list(ask(client, stream))

    assert raised.value.reason == "cut_off"


def test_the_first_byte_of_a_completion_comes_with_its_last(upstream: Upstream) -> None:
    client = Lockchat(upstream.url, retries=0, first_token_seconds=0.1)
    upstream.answer(Wait(0.2), *whole(part("stop", content="Hi")))
    upstream.answer(Wait(), *streamed(said(part("stop", content="Hi"))))

    [completion] = ask(client, stream=False)
    with pytest.raises(UpstreamError, match="first_token_timeout"):
        list(ask(client, stream=True))
    client.close()

    assert completion["choices"]


# Where an answer begins: from there on it passes at once, and there is no other try.

BEGINNINGS = [
    part(content="Hi"),
    part(reasoning_content="Hm"),
    part(tool_calls=[call(0, **CALL)]),
    part(images=[{"type": "image_url", "image_url": {"url": PNG}}]),
    part("stop"),
]


@pytest.mark.parametrize("beginning", BEGINNINGS, ids=str)
def test_the_chunks_pass_as_soon_as_the_answer_begins(client: Lockchat, upstream: Upstream, beginning) -> None:
    upstream.answer(*body(event(said(part(role="assistant"))), event(said(beginning)), Wait()))

    relay = ask(client, stream=True)

    assert [next(relay), next(relay)] == [said(part(role="assistant")), said(beginning)]
    relay.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("beginning", BEGINNINGS[:-1], ids=str)
def test_an_answer_that_has_begun_is_not_asked_for_again(upstream: Upstream, beginning, stream: bool) -> None:
    client = Lockchat(upstream.url, retries=1)
    upstream.always(*body(event(said(beginning)), OVERLOADED))

    with pytest.raises(UpstreamError, match="unavailable"):
        list(ask(client, stream))
    client.close()

    assert len(upstream.requests) == 1


@pytest.mark.parametrize(("number", "requests"), [(HELD_EVENTS, 2), (HELD_EVENTS + 1, 1)])
def test_an_error_after_a_few_empty_chunks_is_tried_again(upstream: Upstream, number: int, requests: int) -> None:
    client = Lockchat(upstream.url, retries=1)
    upstream.answer(*body(*[event(said(part(role="assistant")))] * number, OVERLOADED))
    relay = ask(client, stream=True)

    outcome = "done"
    try:
        list(relay)
    except UpstreamError as error:
        outcome = error.reason
    client.close()

    assert (outcome, len(upstream.requests)) == ("done" if requests == 2 else "unavailable", requests)


# How much of an answer is taken


def test_the_bytes_of_text_reasoning_and_calls_are_counted(client: Lockchat, upstream: Upstream) -> None:
    events = [part(content="é"), part(reasoning_content="éa"), part(tool_calls=[{"index": 0}]), part("stop")]
    upstream.answer(*streamed(*map(said, events)))

    relay = ask(client, stream=True)
    list(relay)

    assert relay.answer_bytes == 2 + 3 + len('[{"index":0}]')


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_the_most_bytes_passes_and_a_longer_one_fails(
    client: Lockchat, upstream: Upstream, stream
) -> None:
    upstream.answer(*streamed(said(part(content="x" * 999)), said(part("stop", content="x"))))
    upstream.answer(*streamed(said(part(content="x" * 999)), said(part("stop", content="xx"))))

    assert list(ask(client, stream))
    with pytest.raises(UpstreamError, match="answer_too_large"):
        list(ask(client, stream))


@pytest.mark.parametrize("stream", [False, True])
def test_what_else_the_events_hold_is_bounded_where_they_are_gathered(
    client: Lockchat, upstream: Upstream, stream
) -> None:
    events = [said({**part(content="x"), "logprobs": {"content": ["y" * 400]}}) for _event in range(50)]
    upstream.answer(*streamed(*events[:20]))
    upstream.answer(*streamed(*events))

    list(ask(client, stream))
    outcome = "done"
    try:
        list(ask(client, stream))
    except UpstreamError as error:
        outcome = error.reason

    assert outcome == ("done" if stream else "answer_too_large")


@pytest.mark.parametrize(("more", "is_whole"), [(0, True), (1, False)])
def test_the_events_of_one_completion_have_room_to_the_last_byte(
    client: Lockchat, upstream: Upstream, more: int, is_whole: bool
) -> None:
    last = said(part("stop", content="x"), padding="")
    last["padding"] = "x" * (16 * 1000 - len(json.dumps(last)) + more)
    upstream.answer(*streamed(last))

    with nullcontext() if is_whole else pytest.raises(UpstreamError, match="answer_too_large"):
        list(ask(client, stream=False))
