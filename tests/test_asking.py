"""One request for an answer: what a model refused is remembered, and what comes around an answer is no part of it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.upstream import Close, Request, Script, Upstream, Wait, body, error, event, head, token, tokens
from webapp.chat import Usage, merge
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat
from webapp.upstream import answers, asking, transport
from webapp.upstream.exchange import bounded
from webapp.upstream.payloads import load
from webapp.upstream.stream import MODEL_CHARS, PART_CHARS

QUESTION = [{"role": "user", "content": "hi"}]
DONE = b"data: [DONE]\n\n"
REFUSED = error(400, {"error": {"message": "Unsupported parameter: 'temperature'", "param": "temperature"}})


@pytest.fixture
def make_client(upstream: Upstream) -> Iterator[Callable[..., Lockchat]]:
    clients = []

    def make(**settings: Any) -> Lockchat:
        clients.append(Lockchat(upstream.url, **{"retries": 0, "first_token_seconds": 5.0, **settings}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., Lockchat]) -> Lockchat:
    return make_client()


def answer_of(client: Lockchat, **options: Any) -> tuple[str, str | None, str]:
    """The text, the finish reason and the failure of an answer."""
    deltas, failure = [], ""
    try:
        for delta in client.stream(QUESTION, "gpt-4", **options):
            deltas.append(delta)  # noqa: PERF402 (what came before a failure counts)
    except UpstreamError as error:
        failure = error.reason
    return "".join(delta.text for delta in deltas), deltas[-1].finish_reason if deltas else None, failure


# What a model refused


def refuse_temperature(request: Request) -> Script:
    return REFUSED if "temperature" in request.json and request.json["model"] == "o1" else tokens("Hi")


def test_what_one_model_refused_is_left_out_for_this_model_alone(client: Lockchat, upstream: Upstream) -> None:
    upstream.always(refuse_temperature)

    for model in ("o1", "o1", "gpt-4", "o1"):
        list(client.stream(QUESTION, model, 0.5))

    sent = [(request.json["model"], "temperature" in request.json) for request in upstream.requests]
    assert sent == [("o1", True), ("o1", False), ("o1", False), ("gpt-4", True), ("o1", False)]


def test_a_program_is_told_of_a_refusal_that_a_chat_has_left_out(client: Lockchat, upstream: Upstream) -> None:
    upstream.always(refuse_temperature)
    list(client.stream(QUESTION, "o1", 0.5))

    with pytest.raises(UpstreamError, match="bad_request"):
        list(client.relay({"model": "o1", "messages": QUESTION, "temperature": 0.5, "stream": False}))

    assert ["temperature" in request.json for request in upstream.requests] == [True, False, True]


def test_only_a_chat_leaves_out_a_limit_of_tokens_that_is_too_high(client: Lockchat, upstream: Upstream) -> None:
    said = error(400, {"error": {"message": "max_tokens is too large: 64000. This model supports at most 16384."}})
    names = ("max_tokens", "max_completion_tokens")
    upstream.always(lambda request: said if any(name in request.json for name in names) else tokens("Hi"))

    (*_, last) = client.stream(QUESTION, "gpt-4", options={"max_tokens": 64_000})
    with pytest.raises(UpstreamError, match="bad_request"):
        list(client.relay({"model": "gpt-4", "messages": QUESTION, "max_tokens": 64_000, "stream": False}))

    assert last.dropped == ("max_tokens",)
    assert [[name for name in names if name in request.json] for request in upstream.requests] == [
        ["max_tokens"],
        [],
        ["max_tokens"],
    ]


def test_what_a_model_refused_adds_up(client: Lockchat, upstream: Upstream) -> None:
    def refuse_one(request: Request) -> Script:
        name = next((name for name in ("temperature", "top_p") if name in request.json), None)
        return error(400, {"error": {"message": f"Unsupported parameter: '{name}'"}}) if name else tokens("Hi")

    upstream.always(refuse_one)

    list(client.stream(QUESTION, "o1", 0.5))
    list(client.stream(QUESTION, "o1", 0.5, options={"top_p": 0.5}))
    list(client.stream(QUESTION, "o1", 0.5, options={"top_p": 0.5}))

    sent = [[name for name in ("temperature", "top_p") if name in request.json] for request in upstream.requests]
    assert sent == [["temperature"], [], ["top_p"], [], []]


def test_a_parameter_that_is_refused_twice_is_left_out_once(client: Lockchat, upstream: Upstream) -> None:
    upstream.always(*REFUSED)

    assert answer_of(client, temperature=0.5) == ("", None, "bad_request")
    assert ["temperature" in request.json for request in upstream.requests] == [True, False]


# What is known of an answer before it comes, and of its counts


def test_before_the_first_delta_nothing_is_known(client: Lockchat) -> None:
    stream = client.stream(QUESTION, "gpt-4")
    relay = client.relay({"model": "gpt-4", "messages": QUESTION, "stream": True})

    assert (stream.model, stream.connect_seconds) == ("", None)
    assert (relay.usage, relay.answer_bytes, relay.is_aborted) == (None, 0, False)


def test_later_counts_add_to_earlier_ones(client: Lockchat, upstream: Upstream) -> None:
    counts = [{"prompt_tokens": 7}, {"completion_tokens": 2}]
    upstream.answer(*body(token("Hi"), *(event({"choices": [], "usage": one}) for one in counts), token(finish="stop")))

    *_deltas, last = client.stream(QUESTION, "gpt-4")

    assert last.usage == Usage(7, 2)


# Where an answer ends, and what comes around it

HI = token("Hi")
STOP = token(finish="stop")
ENDS = {
    "the last event has no blank line": (body(HI, STOP.rstrip()), ("Hi", "stop", "")),
    "the last event broke off": (body(HI, STOP, b'data: {"choi'), ("Hi", "stop", "")),
    "the connection broke after the finish reason": ([*body(HI, STOP)[:-1], Close()], ("Hi", "stop", "")),
    "a long line in the head": (
        body(gzip.compress(HI + STOP), x_trace="x" * 3_000, content_encoding="gzip"),
        ("Hi", "stop", ""),
    ),
    "an event without data": (body(b"data:\n\n", HI, b"data: \n\n", STOP, DONE), ("Hi", "stop", "")),
    "an event that is no JSON": (body(HI, b"data: Oh\n\n", STOP, DONE), ("Hi", None, "protocol")),
    "a line of text before the answer": (body(b"Hello, this is a gateway\n\n", HI, STOP, DONE), ("Hi", "stop", "")),
    "a line of text and no answer": (body(b"Hello, this is a gateway\n\n", DONE), ("", None, "empty")),
    "white space after the end": (body(HI, STOP, DONE, b"\n", b"\n"), ("Hi", "stop", "")),
    "much white space after the end": (body(HI, STOP, DONE + b"\n" * 2 * transport.READ_BYTES), ("Hi", "stop", "")),
    "no finish reason": (body(HI, DONE), ("Hi", None, "")),
    "no finish reason, and the connection stays": ([*body(HI, DONE)[:-1], Wait()], ("Hi", None, "")),
    "a byte that is no UTF-8": (body(HI.replace(b"Hi", b"H\xff"), STOP), ("H\ufffd", "stop", "")),
    "a later byte that is no UTF-8": (body(HI, HI.replace(b"Hi", b"H\xff"), STOP), ("HiH\ufffd", "stop", "")),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_comes_around_an_answer_is_no_part_of_it(
    client: Lockchat, upstream: Upstream, monkeypatch, case: str
) -> None:
    monkeypatch.setattr(asking, "BREAK_SECONDS", 0.05)
    script, answer = ENDS[case]
    upstream.answer(*script)

    assert answer_of(client) == answer


def test_a_failure_within_an_answer_has_its_status(client: Lockchat, upstream: Upstream) -> None:
    upstream.answer(*body(HI, event({"error": {"message": "Oh"}})))

    with pytest.raises(UpstreamError) as raised:
        list(client.stream(QUESTION, "gpt-4"))

    assert (raised.value.reason, raised.value.status) == ("upstream", 200)


def test_a_completion_in_pieces_may_be_longer_than_the_answer_in_it(make_client, upstream: Upstream) -> None:
    choice = {"message": {"content": "Hi"}, "finish_reason": "stop"}
    completion = {"padding": "x" * 2 * transport.READ_BYTES, "choices": [choice]}
    upstream.answer(*body(json.dumps(completion).encode(), framing="length", content_type="application/json"))

    assert answer_of(make_client(max_answer_bytes=10), stream=False) == ("Hi", "stop", "")


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([("Answer", "Thinks")], "Answ"),
        ([("Answer", ""), ("", "Thinks")], "Answer"),
        ([("A", "Thi"), ("n", "nks"), ("swer", "")], "Answ"),
    ],
)
def test_text_and_reasoning_share_the_room_of_an_answer(make_client, upstream: Upstream, pieces, text) -> None:
    upstream.answer(*body(*(token(said, reasoning_content=reasoning) for said, reasoning in pieces), STOP))

    assert answer_of(make_client(max_answer_bytes=10)) == (text, None, "answer_too_large")


# A large text in one event


@pytest.mark.parametrize("shift", [0, 1, 4, 8, 9])
def test_a_large_text_comes_in_parts_and_whole(client: Lockchat, upstream: Upstream, shift: int) -> None:
    # The closing tag is cut anywhere by the end of the first part.
    thought = "x" * (PART_CHARS - shift)
    answer = "Answer\n" * PART_CHARS
    upstream.answer(*body(token(f"{thought}</think>\n{answer}"), STOP, DONE))

    deltas = list(client.stream(QUESTION, "gpt-4"))
    whole = merge(deltas)

    assert (whole.reasoning, whole.text) == (thought, answer)
    assert max(len(delta.text) for delta in deltas) <= PART_CHARS + len("</think>\n")


def test_reasoning_beside_a_large_text_comes_once(client: Lockchat, upstream: Upstream) -> None:
    upstream.answer(*body(token("x" * 2 * PART_CHARS, reasoning_content="Thinks"), STOP, DONE))

    whole = merge(list(client.stream(QUESTION, "gpt-4")))

    assert (whole.reasoning, whole.text) == ("Thinks", "x" * 2 * PART_CHARS)


# Activities: what is told while no text comes


def test_an_activity_is_told_once_until_text_comes(client: Lockchat, upstream: Upstream) -> None:
    call = token(tool_calls=[{"index": 0, "function": {"name": "look"}}])
    upstream.answer(*body(b": hi\n\n", b": hi\n\n", call, call, HI, b": hi\n\n", call, STOP, DONE))
    stream, told = client.stream(QUESTION, "gpt-4"), []
    stream.listen(told.append, lambda: None)

    list(stream)

    assert told == ["working", "calling", "calling"]


def test_the_tool_that_was_asked_for_is_named_on_the_last_delta(client: Lockchat, upstream: Upstream) -> None:
    calls = [{"index": 0, "function": {"name": "XX"}}], [{"index": 0, "function": {"arguments": "{}"}}]
    upstream.answer(*body(HI, *(token(tool_calls=call) for call in calls), STOP, DONE))

    *_deltas, last = client.stream(QUESTION, "gpt-4")

    assert (last.tool, last.finish_reason) == ("XX", "stop")
    upstream.answer(*body(token(tool_calls=calls[0]), STOP))
    with pytest.raises(UpstreamError, match="tool") as raised:
        list(client.stream(QUESTION, "gpt-4"))
    assert raised.value.detail == "XX"


def test_tokens_that_come_together_are_one_delta_for_a_listener(client: Lockchat, upstream: Upstream) -> None:
    begun = threading.Event()
    tool = token(tool_calls=[{"index": 0, "function": {"name": "look"}}])
    upstream.answer(*body(HI, Wait(begun), token("a") + token("b") + tool + token("c", finish="stop") + token("d")))
    stream = client.stream(QUESTION, "gpt-4")
    stream.listen(lambda activity: None, lambda: None)

    texts = [next(stream).text]
    begun.set()
    *deltas, last = stream

    assert [*texts, *(delta.text for delta in deltas)] == ["Hi", "ab", "c", "d"]
    assert (last.finish_reason, last.tool) == ("stop", "look")


def test_a_byte_that_is_no_utf_8_is_replaced_for_a_listener_too(client: Lockchat, upstream: Upstream) -> None:
    begun = threading.Event()
    upstream.answer(*body(HI, Wait(begun), HI.replace(b"Hi", b"H\xff"), STOP))
    stream = client.stream(QUESTION, "gpt-4")
    stream.listen(lambda activity: None, lambda: None)

    first = next(stream)
    begun.set()

    assert first.text + "".join(delta.text for delta in stream) == "HiH\ufffd"


def test_a_tool_that_is_named_later_is_named_and_one_that_is_not_has_no_name(
    client: Lockchat, upstream: Upstream
) -> None:
    unnamed, named = [{"index": 0, "function": {"arguments": "{}"}}], [{"index": 1, "function": {"name": "look"}}]
    upstream.answer(*body(HI, token(tool_calls=unnamed), token(tool_calls=named), STOP))
    upstream.answer(*body(token(tool_calls=unnamed), STOP))

    *_deltas, last = client.stream(QUESTION, "gpt-4")
    with pytest.raises(UpstreamError) as raised:
        list(client.stream(QUESTION, "gpt-4"))

    assert (last.tool, raised.value.reason, raised.value.detail) == ("look", "tool", "")


def test_tags_stay_text_after_reasoning_that_came_beside_the_text(client: Lockchat, upstream: Upstream) -> None:
    upstream.answer(*body(token(reasoning_content="Hm"), HI, token(".\n</think>\nBye"), STOP))

    assert answer_of(client) == ("Hi.\n</think>\nBye", "stop", "")


def test_the_model_that_answers_is_named(client: Lockchat, upstream: Upstream) -> None:
    names = [None, 5, "gpt-4-" + "x" * 300, "other"]
    upstream.answer(*body(*(event({"model": name, "choices": [{"delta": {"content": "a"}}]}) for name in names), STOP))
    stream = client.stream(QUESTION, "gpt-4")

    models = [stream.model for _delta in stream]

    assert models[-1] == "gpt-4-" + "x" * (MODEL_CHARS - 6)


def test_what_is_named_before_the_first_text_is_not_the_model(client: Lockchat, upstream: Upstream) -> None:
    wait = event({"model": "keepalive", "choices": [{"index": 0, "delta": {"content": ""}}]})
    text = event({"model": "qwen3", "choices": [{"index": 0, "delta": {"content": "Hi"}}]})
    upstream.answer(*body(wait, text, wait, STOP))
    stream = client.stream(QUESTION, "gpt-4")

    assert "".join(delta.text for delta in stream) == "Hi"
    assert stream.model == "qwen3"


def test_the_model_that_answers_as_a_whole_is_named(client: Lockchat, upstream: Upstream) -> None:
    completion = {"model": "gpt-4-0613", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    upstream.answer(*body(json.dumps(completion).encode(), framing="length", content_type="application/json"))
    stream = client.stream(QUESTION, "gpt-4", stream=False)

    text = "".join(delta.text for delta in stream)

    assert (text, stream.model) == ("Hi", "gpt-4-0613")


# Connections


def test_an_error_in_plain_text_is_told_from_its_first_letter(client: Lockchat, upstream: Upstream) -> None:
    upstream.answer(*error(500, "\ufeff \r\nX broke"))

    with pytest.raises(UpstreamError) as raised:
        list(client.stream(QUESTION, "gpt-4"))

    assert raised.value.detail == "X broke"


def test_a_head_whose_lines_end_without_a_carriage_return_is_read(client: Lockchat, upstream: Upstream) -> None:
    bare = head(content_type="text/event-stream", connection="close").replace(b"\r\n", b"\n")
    upstream.answer(bare + HI + STOP, Close())

    assert answer_of(client) == ("Hi", "stop", "")


def test_a_request_is_prepared_once(client: Lockchat, upstream: Upstream, monkeypatch) -> None:
    prepared, prepare = [], requests.Session.prepare_request
    monkeypatch.setattr(
        requests.Session, "prepare_request", lambda *given: prepared.append(given[1].url) or prepare(*given)
    )

    for _time in range(3):
        list(client.stream(QUESTION, "gpt-4"))

    assert prepared == [f"{upstream.url}/v1/chat/completions"]


def test_each_header_is_sent_once(client: Lockchat, upstream: Upstream) -> None:
    list(client.stream(QUESTION, "gpt-4"))
    client.models()

    [asked], [listed] = upstream.requests, upstream.model_requests
    assert asked.repeated == listed.repeated == []
    assert (asked.target, listed.target) == ("/v1/chat/completions", "/v1/models")
    assert "content-type" not in listed.headers


def test_the_list_of_models_has_its_own_time(make_client, upstream: Upstream) -> None:
    listed = json.dumps({"data": [{"id": "m"}]}).encode()
    upstream.answer_models(Wait(0.2), *body(listed, framing="length", content_type="application/json"))

    assert make_client(total_seconds=0.05).models() == ["m"]


def test_connections_beyond_the_pool_are_closed(make_client, upstream: Upstream, monkeypatch) -> None:
    monkeypatch.setattr(transport, "POOL_SIZE", 1)
    monkeypatch.setattr(asking, "TAIL_SECONDS", 5.0)
    begun = threading.Event()
    upstream.always(*body(HI, Wait(begun), STOP, DONE))
    client = make_client()
    streams = [client.stream(QUESTION, "gpt-4") for _stream in range(2)]
    for stream in streams:
        next(stream)

    begun.set()
    for stream in streams:
        list(stream)

    assert upstream.connections == 2
    upstream.wait_for_open_connections(1)


def test_the_next_try_has_the_time_of_a_first_one(make_client, upstream: Upstream, monkeypatch) -> None:
    monkeypatch.setattr(asking, "BREAK_SECONDS", 0.2)
    end = threading.Event()
    upstream.answer(*body(event({"status": 429, "message": "Slow down"}), DONE))
    upstream.answer(*body(Wait(end), token("Hello"), DONE))
    waiting = threading.Timer(0.6, end.set)
    waiting.start()

    assert "".join(delta.text for delta in make_client(retries=1).stream(QUESTION, "gpt-4")) == "Hello"


def test_a_body_is_read_until_it_is_longer_than_its_limit() -> None:
    assert bounded(iter([b"ab", b"c", b"d"]), 2) == b"abc"


def test_a_message_that_begins_as_the_answer_did_repeats_it() -> None:
    repeats = answers.Repeats()
    repeats.note("a" * answers.REPEAT_CHARS)
    repeats.note("b")

    assert repeats.rest_of("a" * answers.REPEAT_CHARS + "cd", is_last=True) == "d"


@pytest.mark.parametrize("kind", [str, str.encode])
@pytest.mark.parametrize("piece", ["1,", "[", "{"])
def test_json_of_too_many_values_is_not_read(piece: str, kind: Callable[[str], Any]) -> None:
    many = {"1,": "[" + "1," * 15_000 + "1]", "[": "[[" + "[ [ ]]," * 5_000 + "1]]", "{": "[" + "{ }, " * 5_000 + "1]"}[
        piece
    ]
    values = sum(map(many.count, (",", "[", "{")))

    assert load(kind(many), values) is not None
    assert load(kind(many), values - 1) is None
