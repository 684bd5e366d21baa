"""Continue: a sibling that begins with the text of a reply that was cut, and goes on without a seam."""

from __future__ import annotations

import threading

import pytest

from tests.test_branches import question_of
from tests.upstream import Close, Wait, body, token, tokens
from tests.visitor import text_of
from webapp.chat import Delta
from webapp.continuing import QUESTION, TAIL_CHARS, Joint, Rest
from webapp.errors import UpstreamError


def cut_reply(visitor, upstream, *pieces: str) -> str:
    """A reply that its length limit cut."""
    upstream.answer(*tokens(*pieces, finish="length"))
    reply = visitor.new_chat("Tell me")
    visitor.end(reply)
    return reply


def go_on(visitor, reply_id: str) -> str:
    return visitor.reply_of(visitor.post_form(f"/m/{reply_id}/continue"))


def test_the_rest_joins_the_beginning_in_a_sibling(alice, upstream):
    first = cut_reply(alice, upstream, "The quick brown")
    upstream.answer(*tokens("quick ", "brown fox ", "jumps"))

    second = go_on(alice, first)
    alice.end(second)

    assert alice.raw(second) == "The quick brown fox jumps"
    assert alice.raw(first) == "The quick brown"
    assert "2/2" in text_of(alice.page())


def test_without_script_the_answer_brings_back_what_stands_unsent_in_the_box(alice, upstream):
    first = cut_reply(alice, upstream, "The quick brown")

    answer = alice.post(f"/m/{first}/continue", data={"text": "Half a thought"}, headers={"Accept": "text/html"})

    assert answer.text.rstrip().endswith("</html>")
    assert "Half a thought</textarea>" in answer.text


def test_the_upstream_reads_the_beginning_and_is_asked_for_the_rest(alice, upstream):
    first = cut_reply(alice, upstream, "Once upon")

    alice.end(go_on(alice, first))

    assert upstream.requests[1].json["messages"] == [
        {"role": "user", "content": "Tell me"},
        {"role": "assistant", "content": "Once upon"},
        {"role": "user", "content": QUESTION},
    ]


def test_the_next_question_brings_the_joined_answer_only(alice, upstream):
    first = cut_reply(alice, upstream, "one two")
    upstream.answer(*tokens("two three"))
    alice.end(go_on(alice, first))

    alice.end(alice.say("And then?"))

    said = [message["content"] for message in upstream.requests[2].json["messages"]]
    assert said == ["Tell me", "one two three", "And then?"]


def test_a_follower_sees_the_beginning_at_once(alice, upstream):
    first, opened = cut_reply(alice, upstream, "**Half** an"), threading.Event()
    upstream.answer(*body(Wait(opened), token(" answer"), token(finish="stop")))

    events = list(alice.events(go_on(alice, first), opened))

    assert "<strong>Half</strong> an" in events[0].data


def test_continue_is_offered_where_an_answer_was_cut_and_nowhere_else(alice, upstream):
    whole = alice.new_chat("Hi")
    alice.end(whole)
    assert f"/m/{whole}/continue" not in alice.page()
    cut = cut_reply(alice, upstream, "Half")
    assert f"/m/{cut}/continue" in alice.page()
    upstream.answer(*body(token("Broken"), Close(), framing="close"))
    broken = alice.say("Again")

    alice.end(broken)

    assert f"/m/{broken}/continue" in alice.page()


def test_what_has_no_beginning_cannot_go_on(alice, bob, upstream):
    upstream.answer(*body(b"data: [DONE]\n\n"))
    empty = alice.new_chat("Hi")
    alice.end(empty)

    upstream.answer(*body(token("Half"), Wait()))
    running = alice.say("Go on")

    for reply in (empty, running, question_of(alice.page())):
        answer = alice.post(f"/m/{reply}/continue", headers={"X-Fragment": "1"})
        assert (answer.status_code, answer.text) == (404, "This answer has no beginning to go on from.")
    alice.stop(running)
    assert bob.post_form(f"/m/{cut_reply(alice, upstream, 'Half')}/continue").status_code == 404


def test_the_same_key_goes_on_once(alice, upstream):
    first = cut_reply(alice, upstream, "Half")

    form = {"key": "k", "text": "Half a thought"}  # which stands unsent in the box
    second, again = (alice.reply_of(alice.post_form(f"/m/{first}/continue", **form)) for _time in range(2))

    assert second == again
    alice.end(second)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("begun", "rest", "whole"),
    [
        ("a quick brown", "quick brown fox", "a quick brown fox"),
        ("a quick brown", " brown fox", "a quick brown fox"),
        ("a big fox", "fox jumps", "a big fox jumps"),
        ("It is the inter", "the international", "It is the international"),
        ("Ends here.", " And more.", "Ends here. And more."),
        ("The cat", "sat down", "The cat sat down"),
        ("一二三", "四五", "一二三四五"),
        ("```py\nx = 1\n", "```py\ny = 2\n```", "```py\nx = 1\ny = 2\n```"),
        ("```py\nx = 1\ny =", "```python\ny = 2\n```", "```py\nx = 1\ny = 2\n```"),
        ("```py\nx = 1\n", "```\nDone.", "```py\nx = 1\n```\nDone."),
        ("Half", "", "Half"),
        ("Half", "Half", "Half"),
        ("Here I am", "am not", "Here I am not"),
        ("a quick\nbrown", " brown fox", "a quick\nbrown fox"),
        ("```py\nx = 1\ny =", "\n```python\ny = 2\n```", "```py\nx = 1\ny = 2\n```"),
        ("I see an", "ant hill", "I see an ant hill"),
        ("About Islam", "am radio", "About Islam am radio"),
        ("Here Iam", "am radio", "Here Iam am radio"),
        ("a quick brown", "\n\nbrown fox", "a quick brown fox"),
        ("I see an", "another", "I see an another"),
        ("It is unexpec", "xpected", "It is unexpected"),
        ("~~~py\nx = 1\ny =", "~~~python\ny = 2\n~~~", "~~~py\nx = 1\ny = 2\n~~~"),
        ("```\na\n```\n```\nb\n```\n", "```js\nc", "```\na\n```\n```\nb\n```\n```js\nc"),
        ("```\na\n```\n```\nb\n", "```\nc", "```\na\n```\n```\nb\n```\nc"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_joint_shows_no_seam(begun, rest, whole, size):
    joint = Joint(begun)

    pieces = [joint.feed(rest[start : start + size]) for start in range(0, len(rest), size)]

    assert begun + "".join(pieces) + joint.end() == whole


def test_a_block_goes_on_as_soon_as_its_repeated_line_is_whole():
    joint = Joint("```py\nx = 1\n")

    assert [joint.feed("```python"), joint.feed("\ny = 2\n")] == ["", "y = 2\n"]


def test_a_line_that_opens_no_block_is_not_held_for_ever():
    joint = Joint("```\nx = 1\n")

    assert joint.feed("`" + "a" * 2 * TAIL_CHARS) == "`" + "a" * 2 * TAIL_CHARS


def test_thinking_that_shows_late_leaves_the_beginning_in_the_text():
    rest = Rest(_Source([Delta("Hm, so "), Delta("more", was_reasoning=True)]), "Begun, ", 1000)

    deltas = list(rest)

    assert [delta.text for delta in deltas] == ["Hm, so ", "Begun, more"]
    assert deltas[1].was_reasoning


def test_what_could_have_been_a_repetition_is_there_at_the_end():
    rest = Rest(_Source([Delta("quick")]), "The quick brown", 1000)

    assert "".join(delta.text for delta in rest) == " quick"


def test_the_whole_is_bounded():
    rest = Rest(_Source([Delta("abc"), Delta("def")]), "12345", 10)

    with pytest.raises(UpstreamError) as raised:
        list(rest)

    assert raised.value.reason == "answer_too_large"
    assert list(Rest(_Source([Delta("abc"), Delta("de")]), "1234.", 10)) == [Delta("abc"), Delta("de")]


def test_who_waits_for_the_rest_hears_what_its_source_does():
    source, heard = _Source(), []
    Rest(source, "Begun", 1000).listen(heard.append, lambda: heard.append("waits"))

    source.on_activity("loading")
    source.on_wait()

    assert heard == ["loading", "waits"]


class _Source(list):
    """A source of deltas."""

    def listen(self, on_activity, on_wait):
        self.on_activity, self.on_wait = on_activity, on_wait

    def abort(self):
        pass

    close = abort
