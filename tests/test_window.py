"""How full the model's window is: a meter under the reply, and a sentence once the beginning is not read any more."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from random import Random

import html5lib
import pytest

from tests.upstream import Wait, body, tokens
from tests.visitor import text_of
from webapp.window import least_tokens

GONE = "The model no longer sees the beginning of this conversation"
NEARLY = "The model's window is nearly full: it no longer sees the beginning, or soon will not."

CHINESE = (
    "人工智能是计算机科学的一个分支，它试图了解智能的实质，并生产出一种新的能以人类智能相似的方式做出反应的智能机器。"
)

# What o200k_base makes of each, the most frugal of the tokenizers that were tried; Claude's for the white space.
COUNTED = {
    "words": ("word " * 8000, 8001),
    "long words": ("internationalization responsibilities " * 500, 1501),
    "white space": (" " * 20_000, 21),
    "empty lines": ("\n" * 20_000, 625),
    "a ruler": ("-" * 20_000, 79),
    "one letter": ("x" * 20_000, 625),
    "base64": (b64encode(Random(1).randbytes(20_000)).decode(), 18_000),
    "the alphabet": ("abcdefghijklmnopqrstuvwxyz" * 800, 800),
    "a repeated phrase": ("中华人民共和国" * 500, 500),
    "Chinese": (CHINESE * 50, 2000),
    "Japanese": ("こんにちは、私の名前は田中です。東京に住んでいます。" * 100, 1700),
    "Korean": ("안녕하세요 저는 서울에 살고 있습니다 " * 200, 1601),
    "digits": ("1 2 3 4 " * 1000, 4001),
    "dots": (". . . . " * 1000, 4001),
    "indented code": ("\t\t\t\tx = 1\n" * 500, 2501),
}


@pytest.fixture
def alice_of(upstream, make_visitor):
    """Alice on a site whose only model has this window; None where the upstream does not say."""

    def make(window):
        models = json.dumps({"data": [{"id": "m", "max_model_len": window}]}).encode()
        upstream.answer_models(*body(models, framing="length", content_type="application/json"))
        return make_visitor()

    return make


def counted(prompt: int, completion: int = 10) -> list[object]:
    """An answer that took so many tokens."""
    return tokens("Hello", usage={"prompt_tokens": prompt, "completion_tokens": completion})


def end_of(alice, upstream, text, script, **fields):
    """The end of a new chat's answer, which begins when its stream is open."""
    opened = threading.Event()
    upstream.answer(Wait(opened), *script)
    return alice.end(alice.new_chat(text, **fields), opened)


def meters(page: str) -> list[dict[str, str]]:
    return [dict(meter.attrib) for meter in html5lib.parse(page, namespaceHTMLElements=False).iter("meter")]


@pytest.mark.parametrize("name", COUNTED)
def test_no_text_has_fewer_tokens_than_its_lower_bound(name):
    text, tokens = COUNTED[name]

    assert least_tokens(text) <= tokens


@pytest.mark.parametrize(("name", "least"), [("words", 6000), ("Chinese", 1000), ("Japanese", 800), ("digits", 3000)])
def test_the_lower_bound_is_no_less_than_half_of_the_tokens_of_usual_texts(name, least):
    assert least_tokens(COUNTED[name][0]) >= least


def test_a_reply_says_how_full_the_window_is_now_and_after_a_reload(upstream, alice_of):
    alice = alice_of(4096)

    end = end_of(alice, upstream, "Hi", counted(1000, 24))

    for page in (end["html"], alice.page()):
        assert "1,024 of 4,096 tokens in the window" in text_of(page)
        assert meters(page) == [{"max": "4096", "high": "3686", "optimum": "0", "value": "1024"}]
        assert "no longer sees" not in page


@pytest.mark.parametrize(("window", "script"), [(None, counted(1000)), (4096, tokens("Hello"))])
def test_there_is_no_meter_where_the_window_or_its_use_is_unknown(upstream, alice_of, window, script):
    alice = alice_of(window)
    upstream.answer(*script)

    alice.end(alice.new_chat("Hi"))

    assert meters(alice.page()) == []


def test_a_nearly_full_window_is_told_now_and_after_a_reload(upstream, alice_of):
    alice = alice_of(4096)

    end = end_of(alice, upstream, "Hi", counted(3600, 100))

    assert NEARLY in text_of(end["html"])
    assert NEARLY in end["message"]
    assert NEARLY in text_of(alice.page())


def test_a_conversation_that_the_upstream_cut_is_told_now_and_after_a_reload(upstream, alice_of):
    alice = alice_of(None)  # as Ollama, which names no window

    first = end_of(alice, upstream, "one two three four " * 400, counted(1600))
    opened = threading.Event()
    upstream.answer(Wait(opened), *counted(2048))
    second = alice.end(alice.say("five six seven eight " * 400), opened)

    assert GONE not in text_of(first["html"])
    assert GONE in text_of(second["html"])
    assert text_of(alice.page()).count(GONE) == 1


def test_a_long_system_prompt_counts_too(upstream, alice_of):
    alice = alice_of(None)

    end = end_of(alice, upstream, "Hi", counted(500), system="be very brief " * 400)

    assert GONE in text_of(end["html"])


@pytest.mark.parametrize(
    "text", [" " * 20_000 + "Hi", "Hi " + "-" * 20_000, COUNTED["Chinese"][0], COUNTED["base64"][0]]
)
def test_a_text_of_few_tokens_is_not_said_to_be_cut(upstream, alice_of, text):
    alice = alice_of(None)

    end = end_of(alice, upstream, text, counted(2000))

    assert GONE not in text_of(end["html"])
