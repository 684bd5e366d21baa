"""What pages say about a message: how it ended, what it took, and its text as HTML."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import session
from markupsafe import Markup

from webapp.chat import Failure, Message, Outcome, Usage
from webapp.markdown import PLAIN
from webapp.views import words

NOON = datetime(2026, 3, 5, 12, 7, tzinfo=UTC)
REPLY = Message("m" * 36, "c" * 36, "q" * 36, "assistant", "Hello <you>", "done", NOON, outcome=Outcome("done"))


def ended(status="done", **outcome: object) -> Message:
    return replace(REPLY, status=status, outcome=Outcome(status, **outcome))


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (replace(REPLY, outcome=None), ""),
        (ended(), ""),
        (ended("error", failure=Failure("network")), "The upstream could not be reached."),
        (ended(saved=False), "This answer could not be saved yet. Copy it before you leave the page."),
        (ended(finish_reason="length"), "The answer reached the model's length limit."),
        (replace(ended(finish_reason="length"), reasoning="Hm"), "The answer reached the model's length limit."),
        (replace(ended(finish_reason="length"), text=" \n"), "The answer reached the model's length limit."),
        (
            replace(ended(finish_reason="length"), reasoning="Hm", text=" \n"),
            "The model reached its length limit while it was still thinking, so there is no answer.",
        ),
        (ended(tool="search"), "The model asked for the tool search, and this page runs none."),
        (ended("stopped", tool="search"), "Stopped."),
        (ended(finish_reason="content_filter"), "The upstream's content filter ended the answer here."),
        (ended("stopped"), "Stopped."),
        (ended("interrupted"), "The answer was interrupted: the server restarted."),
    ],
)
def test_a_reply_says_how_it_ended(reply, sentence):
    assert words.sentence(reply) == sentence


@pytest.mark.parametrize(
    ("reply", "is_cut_off"),
    [
        (ended(), False),
        (ended("stopped"), False),
        (ended("interrupted"), True),
        (ended(finish_reason="length"), True),
        (ended(finish_reason="stop"), False),
        (replace(ended("interrupted"), text=" \n"), False),
        (replace(REPLY, outcome=None), False),
    ],
)
def test_only_an_answer_that_has_begun_and_not_ended_goes_on(reply, is_cut_off):
    assert words.is_cut_off(reply) is is_cut_off


@pytest.mark.parametrize(
    ("used", "window", "note", "use"),
    [
        (None, 1000, "", ""),
        (899, 1000, "", "899 of 1,000 tokens in the window"),
        (
            901,
            1000,
            "The model's window is nearly full: it no longer sees the beginning, or soon will not.",
            "901 of 1,000 tokens in the window",
        ),
        (901, None, "", ""),
    ],
)
def test_a_reply_says_how_full_the_window_of_its_model_is(used, window, note, use):
    reply = replace(ended(usage=Usage(prompt_tokens=used, completion_tokens=0)), window=window)

    assert (words.window_note(reply), words.window_use(reply)) == (note, use)


def test_a_reply_says_that_its_model_did_not_see_the_beginning():
    reply = replace(ended(usage=Usage(prompt_tokens=100)), window=100, least_tokens=5000)

    assert words.window_note(reply) == (
        "The model no longer sees the beginning of this conversation, which is longer than its window."
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("temperature",), "the temperature"),
        (
            ("max_tokens", "seed", "picture", "reasoning_effort"),
            "the longest answer, the seed, the reasoning effort",
        ),
        (("top_p",), "top_p"),
    ],
)
def test_a_reply_names_the_settings_that_its_model_refused(names, said):
    sentence = f"The model does not accept {said} that you set, so it answered without."

    assert words.dropped(ended(dropped=names)) == sentence


@pytest.mark.parametrize("reply", [REPLY, ended(dropped=("picture",)), replace(REPLY, outcome=None)])
def test_a_reply_with_all_its_settings_says_nothing_of_them(reply):
    assert words.dropped(reply) == ""


@pytest.mark.parametrize(
    ("outcome", "figures"),
    [
        (None, ""),
        (Outcome("done"), ""),
        (Outcome("done", usage=Usage(completion_tokens=1)), "1 token"),
        (Outcome("done", first_token_seconds=0.0), "first token after 0.0 s"),
        (
            Outcome("done", usage=Usage(completion_tokens=3000), first_token_seconds=1.25, seconds=3.25),
            "3,000 tokens · 1,500 tokens/s · first token after 1.2 s",
        ),
        (
            Outcome("done", usage=Usage(completion_tokens=20, reasoning_tokens=7), first_token_seconds=0, seconds=0.2),
            "20 tokens (7 of reasoning) · first token after 0.0 s",
        ),
        (Outcome("done", usage=Usage(completion_tokens=20), seconds=5.0), "20 tokens"),
        (
            Outcome("done", usage=Usage(completion_tokens=20), first_token_seconds=2),
            "20 tokens · first token after 2.0 s",
        ),
    ],
)
def test_a_reply_says_what_it_took(outcome, figures):
    assert words.figures(replace(REPLY, outcome=outcome)) == figures


@pytest.mark.parametrize(
    ("days", "with_pinned", "sentence"),
    [
        (0, False, ""),
        (1, True, "A conversation is deleted for good 1 day after its last message."),
        (
            1000,
            False,
            "A conversation is deleted for good 1,000 days after its last message. Pinned ones are kept.",
        ),
    ],
)
def test_a_user_is_told_how_long_conversations_are_kept(days, with_pinned, sentence):
    assert words.retention(days, with_pinned=with_pinned) == sentence


def test_a_reply_has_its_stored_html_else_its_text_as_it_is_written():
    stored = replace(REPLY, html='<li id="fn-1"><b>Hi</b>')

    assert words.body(REPLY) == Markup(f"{PLAIN}Hello &lt;you&gt;</p>\n")
    assert words.body(stored) == Markup(f'<li id="fn-{"m" * 36}-1"><b>Hi</b>')
    assert words.body(replace(stored, status="streaming")) == Markup('<p dir="auto">Hello &lt;you&gt;</p>\n')


def test_only_a_reply_that_is_shown_as_written_is_unformatted():
    assert words.is_unformatted(replace(REPLY, html=f"{PLAIN}Hi</p>\n"))
    assert not words.is_unformatted(replace(REPLY, html="<p>Hi</p>\n"))
    assert not words.is_unformatted(REPLY)


def test_three_headings_make_an_outline():
    headings = ["<h3>A</h3>", "<h6 id=1>B</h6>", "<h2>no</h2><hr>"]

    assert not words.has_outline(replace(REPLY, html="".join(headings)))
    assert words.has_outline(replace(REPLY, html="".join([*headings, "<h4>C</h4>"])))
    assert not words.has_outline(REPLY)


def test_a_moment_is_a_day_and_a_time():
    assert words.moment(NOON) == "5 March 2026, 12:07 UTC"


def test_a_text_in_another_script_says_its_language():
    assert words.script_lang("Привет") == Markup(' lang="ru"')
    assert words.script_lang("Hello") == Markup("")


def test_a_screen_reader_says_how_a_reply_ended_and_its_text_on_request(site):
    html = "<p>Tea &amp;\n cake</p><figure><figcaption>python</figcaption><pre>x</pre></figure>"
    reply = replace(ended("stopped", usage=Usage(prompt_tokens=95)), html=html, window=100)
    note = "Stopped. The model's window is nearly full: it no longer sees the beginning, or soon will not."

    with site.test_request_context("/"):
        alone = words.said(reply)
        session["read_aloud"] = True
        whole = words.said(reply)

    assert alone == note
    assert whole == f"Tea & cakex {note}"
