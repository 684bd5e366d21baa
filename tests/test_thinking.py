"""Reasoning between tags is shown as reasoning, however it is cut; what only talks about tags stays text."""

from __future__ import annotations

import pytest

from tests.upstream import body, token, tokens
from tests.visitor import text_of
from webapp.chat import Delta, merge
from webapp.upstream.harmony import MOST_HEADER_CHARS
from webapp.upstream.thinking import MOST_HELD_CHARS, Thinking


def parted(*pieces: str) -> tuple[str, str]:
    """Text and reasoning of an answer in these pieces."""
    thinking = Thinking()
    # Where the connection breaks after the finish reason, the end is asked for twice.
    steps = [*map(thinking.feed, pieces), thinking.end(), thinking.end()]
    whole = merge([Delta(text, reasoning, was_reasoning=moved) for text, reasoning, moved in steps])
    return whole.text, whole.reasoning.rstrip()


ANSWERS = [
    ("<think>\nI should greet.\n</think>\n\nHello there!", "Hello there!", "I should greet."),
    ("\n <thinking>Hm <b> </thought> x</thinking>Yes", "Yes", "Hm <b> </thought> x"),
    ("<thought>a\n\nb</thought> c </thought> <think>d</think>", "c </thought> <think>d</think>", "a\n\nb"),
    ("<think></think>\n\nNothing to think about", "Nothing to think about", ""),
    ("<think>never closed </thi", "", "never closed </thi"),
    ("<think>closed</think>", "", "closed"),
    ("<think>closed</think>\n\n", "", "closed"),
    ("Use the <think> tag: <think>x</think>", "Use the <think> tag: <think>x</think>", ""),
    ("`<think>` is a tag", "`<think>` is a tag", ""),
    ("<thinker>is none</thinker>", "<thinker>is none</thinker>", ""),
    ("<thin", "<thin", ""),
    ("  Hello ", "  Hello ", ""),
    ("", "", ""),
    ("I should greet.\n</think>\n\nHello there!", "Hello there!", "I should greet."),
    ("I should greet.</think>Hello there!", "Hello there!", "I should greet."),
    ("I should greet. </think> Hello there!", "Hello there!", "I should greet."),
    ("Try `x <b` then\n```\nx < b\n```\n</think>\nHello", "Hello", "Try `x <b` then\n```\nx < b\n```"),
    ("</think>\n\nHello there!", "Hello there!", ""),
    ("<THINK>Hm</THINK>Hello", "Hello", "Hm"),
    ("[THINK]Hm[/THINK]Hello", "Hello", "Hm"),
    ("◁think▷Hm◁/think▷Hello", "Hello", "Hm"),
    ("<mm:think>Hm</mm:think>Hello", "Hello", "Hm"),
    ("</mm:think>Hello", "Hello", ""),
    ("<longcat_think>Hm</longcat_think>Hello", "Hello", "Hm"),
    ("<reasoning>Hm</reasoning>Hello", "Hello", "Hm"),
    ("<|channel>thought\nHm\n<channel|>Hello", "Hello", "Hm"),
    ("<|channel>thought\n<channel|>Hello", "Hello", ""),
    ("Hm\n<channel|>Hello", "Hello", "Hm"),
    ("<think>Hm, </think>\n<think>so</think>Hello", "Hello", "Hm,so"),
    ("<think>I may write `</think>` here.</think>Hello", "Hello", "I may write `</think>` here."),
    ("It ends with </think> and then", "It ends with </think> and then", ""),
    ("It ends with `</think>`", "It ends with `</think>`", ""),
    ("Write\n```\nHm\n</think>\n```\n", "Write\n```\nHm\n</think>\n```\n", ""),
    ("Use <think> to begin\n</think>\nto end", "Use <think> to begin\n</think>\nto end", ""),
    ("Hm.\n[/THINK]\nHello", "Hello", "Hm."),
    ("Hm.\n◁/think▷\nHello", "Hello", "Hm."),
    ("I should greet </think>\nHello", "Hello", "I should greet"),
    ("I should greet </think>\r\nHello", "Hello", "I should greet"),
    ("I should greet.\n</think>", "", "I should greet."),
    ("Hm.\n</think>\nHello.\n</think>\nBye", "Hello.\n</think>\nBye", "Hm."),
    ("<think>Hm</think>Hello.\n</think>\nBye", "Hello.\n</think>\nBye", "Hm"),
    ("There is a tag:\n<think>\nand text", "There is a tag:\n<think>\nand text", ""),
    ("<think>Say `x`</think>Hello", "Hello", "Say `x`"),
    ("<think>`</think>` is a tag</think>Hello", "Hello", "`</think>` is a tag"),
    ("Say `x`.</think>Hello", "Hello", "Say `x`."),
    ("Say `x` and `y.</think>` too", "Say `x` and `y.</think>` too", ""),
    ('The tag is "</think>" here', 'The tag is "</think>" here', ""),
    ("Solve for X</think>Hello", "Hello", "Solve for X"),
    ("The tag after X </think> is odd", "The tag after X </think> is odd", ""),
    ("Write\n~~~\nHm\n</think>\n~~~\n", "Write\n~~~\nHm\n</think>\n~~~\n", ""),
    ("~~~\na\n~~~\n~~~\nb\n</think>\n~~~\n", "~~~\na\n~~~\n~~~\nb\n</think>\n~~~\n", ""),
    ("<think>" + "a " * 600 + "</think>Hello", "Hello", "a " * 599 + "a"),
    ("`" + "a" * 1200 + "</think>` is code", "`" + "a" * 1200 + "</think>` is code", ""),
    ("a" * 3000 + "</think>Hello", "Hello", "a" * 3000),
    ("a [1] <b> ◁ c </thi", "a [1] <b> ◁ c </thi", ""),
    ("<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Hello", "Hello", "Hm"),
    ("<|start|>assistant<|channel|>final<|message|>Hello <|b<|return|>", "Hello <|b", ""),
    ("<|channel|>analysis<|message|>Hm<|end|><|start|>assist", "", "Hm"),
    (
        "<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|><|channel|>final<|message|>Hello",
        "Hello",
        "{}",
    ),
    ("A mark is <|channel|>", "A mark is <|channel|>", ""),
    ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>", "", "ab"),
    ("<|channel|>final<|message|>Hello<|end|>no header", "Hello", ""),
    ("<|channel|>final<|message|>Hello<|en", "Hello", ""),
    ("<|channel|>final<|message|>1 <", "1 <", ""),
    ("<|channel|>analysis<|message|>1 <", "", "1 <"),
    ("<|channel|>analysis <|end", "", ""),
    ("<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>Hello", "Hello", ""),
    ("<|channel|>final<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "ab", ""),
    ("Hm.</think><think>so</think>Hello", "Hello", "Hm.so"),
]


@pytest.mark.parametrize(("answer", "text", "reasoning"), ANSWERS)
def test_an_answer_is_parted_however_it_is_cut(answer, text, reasoning):
    cuts = [[answer], list(answer), *([answer[:at], answer[at:]] for at in range(len(answer)))]

    assert {parted(*pieces) for pieces in cuts} == {(text, reasoning)}


def test_what_is_certain_does_not_wait_for_the_next_delta():
    assert Thinking().feed("<think>Hm") == ("", "Hm", False)
    assert Thinking().feed("1 < 2") == ("1 < 2", "", False)
    assert Thinking().feed("<|channel|>final<|message|>1 <2") == ("1 <2", "", False)


def test_only_text_that_has_come_already_was_reasoning():
    thinking = Thinking()
    steps = [thinking.feed("Hm."), thinking.feed("\n</think>\n"), thinking.feed("Hello"), thinking.end()]

    assert steps == [("Hm.", "", False), ("", "", True), ("Hello", "", False), ("", "", False)]
    assert Thinking().feed("<think>Hm</think>Hello") == ("Hello", "Hm", False)
    begun = Thinking()
    assert (begun.feed("<think>Hm "), begun.end()) == (("", "Hm", False), ("", "", False))


@pytest.mark.parametrize(
    ("header", "text", "reasoning"),
    [
        ("<|start|>" + "a " * MOST_HEADER_CHARS, "<|start|>" + "a " * MOST_HEADER_CHARS, ""),
        ("<|channel|>final<|message|>Hi<|end|>" + "a" * 2 * MOST_HEADER_CHARS, "Hi" + "a" * 2 * MOST_HEADER_CHARS, ""),
        ("<|channel|>analysis " + "a" * MOST_HEADER_CHARS, "", "<|channel|>analysis " + "a" * MOST_HEADER_CHARS),
        ("<|channel|>final<|message|>Hi<|end|>x<|return|>" + "a" * 2000, "Hix" + "a" * 2000, ""),
    ],
)
def test_a_header_without_an_end_is_a_part_of_the_answer(header, text, reasoning):
    assert parted(header) == parted(*header) == (text, reasoning)


def test_a_long_header_has_an_end():
    mark = "<|message|>"
    header = "<|channel|>final".ljust(MOST_HEADER_CHARS - len(mark) + 1) + mark

    assert parted(*header, "Hello") == ("Hello", "")


def test_headers_without_number_and_end_are_read():
    headers = ("<|channel|>" + "a" * MOST_HEADER_CHARS) * 20

    assert parted(headers) == ("", headers)


def test_tags_are_text_once_reasoning_came_by_another_way():
    thinking = Thinking()
    thinking.feed("Hello")

    thinking.has_reasoning = True

    assert thinking.feed(".\n</think>\nBye") == (".\n</think>\nBye", "", False)


def test_endless_white_space_is_not_held_back():
    thinking = Thinking()

    assert thinking.feed("\n" * MOST_HELD_CHARS) == ("\n" * MOST_HELD_CHARS, "", False)
    assert Thinking().feed("<think>a" + "\n" * MOST_HELD_CHARS) == ("", "a", False)
    assert parted("<think>a", *["\n"] * 3 * MOST_HELD_CHARS, "b</think>c") == (
        "c",
        "a" + "\n" * 3 * MOST_HELD_CHARS + "b",
    )


def test_the_page_shows_it_as_reasoning_and_never_sends_it_back(alice, upstream):
    upstream.answer(*body(*map(token, ("<thi", "nk>\nHm.", "\n</th", "ink>\n\nHel", "lo")), b"data: [DONE]\n\n"))
    alice.end(alice.new_chat("Hi"))
    upstream.answer(*tokens("Fine"))

    alice.end(alice.say("How are you?"))

    assert "think>" not in text_of(alice.page())
    assert "ReasoningHm." in text_of(alice.page())
    assert [message["content"] for message in upstream.requests[1].json["messages"]] == ["Hi", "Hello", "How are you?"]


def test_an_answer_that_breaks_off_loses_nothing(alice, upstream):
    upstream.answer(*body(token("<thi"), framing="close"))
    upstream.answer(*body(token("<thi"), framing="close"))

    reply = alice.new_chat("Hi")
    alice.end(reply)

    assert alice.raw(reply) == "<thi"


@pytest.mark.parametrize(
    ("answer", "text", "reasoning"),
    [
        ("</think>" * 100_000 + "Hello", "Hello", ""),
        ("<think></think>" * 50_000 + "Hello", "Hello", ""),
        ("<think>a</think>" * 50_000 + "Hello", "Hello", "a" * 50_000),
        ("Why" + "</think>" * 100_000 + "Hello", "Hello", "Why"),
    ],
    ids=["closed", "empty", "short", "begun"],
)
def test_tags_without_number_in_one_piece_are_read(answer, text, reasoning):
    assert parted(answer) == (text, reasoning)
