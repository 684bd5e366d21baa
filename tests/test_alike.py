"""Chunks that differ in their text alone are parsed together, and say the same as when each is parsed."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from tests.upstream import Upstream, body, token
from webapp.lockchat import Lockchat
from webapp.upstream import answers
from webapp.upstream.alike import Alike
from webapp.upstream.payloads import load

MANY = 1_000


def chunk(text: str, *, finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish}
    return json.dumps({"id": "chatcmpl-1", "choices": [choice], **more}).encode()


@pytest.fixture
def alike():
    alike = Alike()
    alike.learn(chunk(" word"), " word")
    return alike


@pytest.mark.parametrize(
    "texts",
    [[" one"], [" one", "", " two"], ['"', "\\", '\\"', "\n", "é", "😀", "\ud83d", "\ude00"], ['","', '"]', '":"']],
    ids=["one", "several", "escapes", "what looks like JSON"],
)
def test_the_texts_are_those_of_each_chunk(alike, texts):
    chunks = [chunk(text) for text in texts]

    found = alike.texts_of(chunks)

    assert found == [answers.text_of(load(data)) for data in chunks]


DIFFERENT = [
    chunk("", finish="stop"),
    chunk("x", usage={"completion_tokens": 3}),
    chunk("x", created=2),
    chunk("x").replace(b'"content": "x"', b'"content": "x", "reasoning": "why"'),
    chunk("x").replace(b'"x"', b'"x", "y"'),
    chunk("x").replace(b'"x"', b'"'),
    chunk("x").replace(b'"x"', b'"\\"'),
    chunk("x").replace(b"x", b"\xff"),
    b"{}",
    b"",
]


@pytest.mark.parametrize("other", DIFFERENT)
def test_another_chunk_among_them_is_left_to_others(alike, other):
    assert alike.texts_of([chunk(" a"), other, chunk(" b")]) is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"content": "", "choices": [{"index": 0, "delta": {"content": " word"}}]}',
        b'{"content": " word", "choices": [{"index": 0, "delta": {"content": " word"}}]}',
        b'{"content": [], "choices": [{"index": 0, "delta": {"content": " word"}}]}',
        b'{"choices": [{"index": 0, "delta": {"content": "\\u0020word"}}]}',
        b'{"choices": [{"index": 0, "delta": {"content" : " word"}}]}',
    ],
)
def test_nothing_is_learned_where_the_place_of_the_text_is_not_sure(data):
    alike = Alike()

    alike.learn(data, " word")

    assert alike.texts_of([data]) is None


def test_a_text_of_any_letters_shows_where_the_others_stand():
    alike = Alike()

    alike.learn(chunk("x").replace(b'"x"', '"слово"'.encode()), "слово")

    assert alike.texts_of([chunk("y")]) == ["y"]


def test_a_stream_parses_chunks_that_are_alike_together(monkeypatch, upstream: Upstream):
    parsed: list[bytes] = []
    monkeypatch.setattr("webapp.upstream.stream.load", lambda data: parsed.append(data) or load(data))
    many = b"".join(token(f" {number}") for number in range(MANY))
    upstream.answer(*body(token("Hello"), many, token(finish="stop"), framing="close"))
    with closing(Lockchat(upstream.url).stream([{"role": "user", "content": "hi"}], "gpt-4")) as stream:
        stream.listen(lambda activity: None, lambda: None)

        text = "".join(delta.text for delta in stream)

    assert text == "Hello" + "".join(f" {number}" for number in range(MANY))
    assert len(parsed) < MANY / 2  # a read takes 16 KB: one to learn from, and the last, which has another chunk in it
