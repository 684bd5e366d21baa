"""A read that brings many events costs little more than one that brings one, and means the same."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dialects import Answer, Dialect
from tests.test_dialects import ask, cases
from tests.upstream import Close, Request, Step, Upstream, Wait, body, chunk, event, head, token
from webapp.chat import Delta, merge
from webapp.lockchat import Lockchat
from webapp.upstream import answers, framing, transport
from webapp.upstream.lifeline import Lifeline

QUESTION = [{"role": "user", "content": "hi"}]
DONE = b"data: [DONE]\n\n"
END = token(finish="stop") + DONE
TEXT = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}


def test_the_tokens_of_one_read_come_as_one_delta_for_a_listener(upstream: Upstream):
    texts, go_on = [f" {number}" for number in range(100)], threading.Event()
    upstream.answer(*body(token("Hello"), Wait(go_on), b"".join(map(token, texts)), Wait()))

    with closing(Lockchat(upstream.url).stream(QUESTION, "gpt-4")) as stream:
        stream.listen(lambda activity: None, lambda: None)
        found = [next(stream)]
        go_on.set()
        while not found[-1].text.endswith(texts[-1]):
            found.append(next(stream))

    assert merge(found).text == "Hello" + "".join(texts)
    assert len(found) < 10


def test_each_token_of_one_read_is_yielded_where_nobody_listens(upstream: Upstream):
    texts, go_on = [f" {number}" for number in range(100)], threading.Event()
    upstream.answer(*body(token("Hello"), Wait(go_on), b"".join(map(token, texts)) + token(finish="stop")))

    with closing(Lockchat(upstream.url).stream(QUESTION, "gpt-4")) as stream:
        found = [next(stream)]
        go_on.set()
        found += stream

    assert [delta.text for delta in found if delta.text] == ["Hello", *texts]


def test_the_first_tokens_come_one_by_one(upstream: Upstream):
    upstream.answer(*body(token("a") + token("b") + token("c"), Wait()))

    with closing(Lockchat(upstream.url).stream(QUESTION, "gpt-4")) as stream:
        first = next(stream)

    assert first.text == "a"


@cases("answers")
def test_an_answer_in_one_piece_is_read(upstream: Upstream, dialect: Dialect, case: Answer):
    upstream.answer(*body(b"".join(piece for piece in case.events if isinstance(piece, bytes))))

    outcome = ask(upstream, dialect, listens=True)

    assert outcome.failure is None
    assert outcome.divided == (case.reasoning, case.text)
    assert outcome.finish == case.finish


@pytest.mark.parametrize(
    "block",
    [
        token("a") + token("b") + token("c"),
        token("a") + b": working\n\n" + token("b"),
        token("a").replace(b"\n", b"\r\n") + token("b"),
        token("a")[:-1] + token("b"),
        token("a") + b"\xef\xbb\xbf" + token("lost") + token("b"),
        token("a") + b"event: x\n" + token("b"),
        token("a") + b"data: {\ndata: }\n\n" + token("b"),
        token("a") + b"data:" + token("b")[6:],
        token("\u2028a\x85") + token("\U0001f600"),
        token("a") + token(reasoning_content="why") + token("b") + token(reasoning_content="so"),
        token("<think>why</thi") + token("nk>") + token("b"),
        token("a").replace(b'"a"', b'"a\xff"') + token("b"),
        token("a").replace(b'"a"', b'"\\ud83d"') + token("b"),
        token("a") + event({"choices": [{"index": 1, "delta": {"content": "other"}}]}) + token("b"),
        token("a") + event({"choices": [], "usage": {"prompt_tokens": 1}}) + token("b"),
        token("a") + DONE + token("late"),
        token("a") + END + token("late"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("end", [b"", b"\n", b"data", token("z")[:-1], END], ids=repr)
def test_a_block_means_what_its_bytes_mean_one_by_one(block: bytes, end: bytes):
    first = token("First")
    whole = [first, block + end, END]
    cut = [first, *(bytes([byte]) for byte in block + end), END]

    assert said(whole) == said(cut)


def said(blocks: list[bytes]) -> list[tuple[str, str]]:
    """The name and the data of each event in the blocks."""
    found: list[tuple[str, str]] = []
    for one in framing.events(iter(blocks), 2**20):
        if isinstance(one, list):
            found += [("message", data.decode("utf-8", "replace")) for data in one]
        else:
            found.append((one.event, one.data))
    return found


@pytest.mark.parametrize(
    "payload",
    [
        {"choices": [TEXT]},
        {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": None, "choices": [TEXT]},
        {"choices": [TEXT | {"logprobs": None, "delta": {"role": "assistant", "content": "a", "tool_calls": None}}]},
        {"choices": [TEXT | {"delta": {"role": "assistant", "content": ""}}]},
    ],
    ids=json.dumps,
)
def test_a_chunk_of_text_alone_is_read_the_short_way(payload: Any):
    assert Delta(answers.text_of(payload) or "") == answers.delta_of(payload)
    assert answers.text_of(payload) is not None


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "a",
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [TEXT, TEXT]},
        {"choices": [TEXT | {"index": 1}]},
        {"choices": [TEXT | {"finish_reason": "stop"}]},
        {"choices": [TEXT | {"message": {"content": "whole"}}]},
        {"choices": [TEXT | {"error": {"message": "no"}}]},
        {"choices": [TEXT | {"usage": {"prompt_tokens": 1}}]},
        {"choices": [TEXT | {"delta": {}, "text": "a"}]},
        {"choices": [TEXT | {"delta": None}]},
        {"choices": [TEXT | {"delta": {"content": None}}]},
        {"choices": [TEXT | {"delta": {"content": ["a"]}}]},
        *(
            {"choices": [TEXT | {"delta": {"content": "a", name: ["x"]}}]}
            for name in ("images", "tool_calls", "refusal")
        ),
        *({"choices": [TEXT | {"delta": {"content": "a", name: "x"}}]} for name in ("reasoning", "reasoning_content")),
        {"choices": [TEXT], "usage": {"prompt_tokens": 1}},
        {"choices": [TEXT], "object": "error"},
        {"choices": [TEXT], "error": {"message": "no"}},
        {"choices": [TEXT], "citations": ["https://a.example"]},
        {"choices": [TEXT], "x_groq": {"usage": {}}},
    ],
    ids=json.dumps,
)
def test_a_chunk_that_says_more_is_read_in_full(payload: Any):
    assert answers.text_of(payload) is None


def test_the_end_waits_for_no_more_bytes(upstream: Upstream):
    upstream.answer(
        head(content_type="text/event-stream", transfer_encoding="chunked"),
        chunk(token("a") + token("b") + END),
        Wait(),
    )

    deltas = list(Lockchat(upstream.url).stream(QUESTION, "gpt-4"))

    assert merge(deltas).text == "ab"


def test_the_records_of_a_tls_connection_come_in_one_read(secure: Upstream, certificate: Path, monkeypatch):
    texts = [f" {number}" for number in range(100)]
    sent, rests = threading.Event(), []

    def script(request: Request) -> Iterator[Step]:
        yield from body(token("Hello"), *map(token, texts), END)
        sent.set()

    def rest(seconds: float) -> None:
        rests.append(seconds)
        sent.wait(15)

    secure.always(script)
    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=transport.time.monotonic, sleep=rest))
    client = Lockchat(secure.url, ca_bundle=str(certificate.with_name("ca.pem")))

    deltas = list(client.stream(QUESTION, "gpt-4"))

    assert merge(deltas).text == "Hello" + "".join(texts)
    assert len(rests) < 10  # with a record a read there were 100


def test_a_read_over_tls_is_bounded_and_waits_for_its_first_record_alone(secure: Upstream, certificate, monkeypatch):
    waits, begun, sent = [], threading.Event(), threading.Event()

    class Socket(ssl.SSLSocket):
        def recv(self, *args: int) -> bytes:
            waits.append(self.gettimeout())
            return super().recv(*args)

    def script(request: Request) -> Iterator[Step]:
        yield from (head(connection="close"), Wait(begun))
        yield from [b"x" * 1_000] * 100
        sent.set()
        yield Close()

    secure.always(script)
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", Socket)
    with closing(transport.open_session(str(certificate.with_name("ca.pem")))) as session:
        response = transport.send(session, Lifeline(60), "POST", secure.url, timeout=(30, 40))
        begun.set()
        assert sent.wait(15)

        blocks = list(transport.read(response))

    assert b"".join(blocks) == b"x" * 100_000
    assert max(map(len, blocks)) <= transport.READ_BYTES
    assert set(waits) == {40, 0}
