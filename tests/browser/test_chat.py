"""A message's way, as the person in front of the page sees it: sent, answered, stopped, failed, tried again."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import expect

from tests.upstream import Wait, body, error, token
from tests.visitor import text_of

pytestmark = pytest.mark.browser

DONE = b"data: [DONE]\n\n"


@pytest.mark.firefox
def test_tokens_arrive_one_by_one_and_stay(chat, upstream):
    second, third = threading.Event(), threading.Event()
    upstream.answer(*body(token("one "), Wait(second), token("two "), Wait(third), token("three"), DONE))

    chat.say("Count for me")
    expect(chat.answer).to_have_text("one")
    second.set()
    expect(chat.answer).to_have_text("one two")
    third.set()
    expect(chat.answer).to_have_text("one two three")

    expect(chat.send_button).to_be_visible()
    chat.page.reload()
    expect(chat.answer).to_have_text("one two three")
    expect(chat.questions).to_have_text("Count for me")


@pytest.mark.firefox
def test_a_new_chat_gets_its_address_and_its_place_in_the_list(chat):
    chat.say("What is new?")

    expect(chat.page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}$"))
    expect(chat.page).to_have_title("What is new? · Lockchat")
    expect(chat.page.locator("h1")).to_have_text("What is new?")
    link = chat.page.locator(".conversations a:first-child")
    expect(link).to_have_text("What is new?")
    expect(link).to_have_attribute("href", chat.page.url.removeprefix(chat.url))


def test_a_new_chat_can_be_renamed_at_once(chat):
    chat.say("What is new?")
    expect(chat.answer).to_have_text("Hello world")
    expect(chat.send_button).to_be_visible()

    chat.page.get_by_role("button", name="This conversation").click()
    chat.page.get_by_label("Title").fill("News")
    chat.page.get_by_role("button", name="Rename").click()

    expect(chat.page.locator("h1")).to_have_text("News")
    chat.say("And now?")
    expect(chat.answers).to_have_count(2)
    expect(chat.page.get_by_role("button", name="This conversation")).to_have_count(1)


def test_the_question_stands_while_the_server_thinks(chat, upstream):
    upstream.answer(Wait())

    chat.say("Are you there?")

    expect(chat.questions).to_have_text("Are you there?")
    expect(chat.box).to_have_value("")
    expect(chat.state).to_contain_text("Waiting for the answer…")  # after 3 s with their number
    expect(chat.stop_button).to_be_visible()


@pytest.mark.firefox
def test_reasoning_stands_apart_from_the_answer(chat, upstream):
    upstream.answer(*body(token(reasoning_content="Hmm, "), token(reasoning_content="yes."), token("Yes"), DONE))

    chat.say("Is it?")

    expect(chat.answer).to_have_text("Yes")
    expect(chat.page.locator(".reasoning__text")).to_have_text("Hmm, yes.")
    expect(chat.page.locator(".reasoning summary")).to_be_visible()


def test_a_reply_becomes_formatted_text(chat, upstream):
    upstream.answer(*body(token("**bold** and <i>raw</i>"), DONE))

    chat.say("Format")

    expect(chat.answer.locator("strong")).to_have_text("bold")
    expect(chat.answer).to_have_text("bold and <i>raw</i>")


@pytest.mark.firefox
@pytest.mark.parametrize("way", ["button", "Escape"])
def test_stop_ends_the_answer_where_it_is(chat, upstream, way):
    upstream.answer(*body(token("Half an "), Wait()))
    chat.say("Tell me")
    expect(chat.answer).to_have_text("Half an")

    if way == "button":
        chat.stop_button.click()
    else:
        chat.page.keyboard.press("Escape")

    expect(chat.note).to_have_text("Stopped.")
    assert upstream.client_left.wait(5)
    expect(chat.answer).to_have_text("Half an")
    expect(chat.retry_button).to_be_visible()
    expect(chat.send_button).to_be_visible()
    expect(chat.stop_button).to_be_hidden()
    expect(chat.box).to_be_focused()


@pytest.fixture
def said(chat):
    """What the status line says, one sentence after the other."""
    return chat.listen()


def test_the_status_line_speaks_at_boundaries_only(chat, upstream, said):
    think, answer = threading.Event(), threading.Event()
    thoughts = [token(reasoning_content=f"Hm {number}. ") for number in range(50)]
    words = [token(f"word {number} ") for number in range(50)]
    upstream.answer(*body(Wait(think), *thoughts, Wait(answer), *thoughts, *words, DONE))
    fail, begin = threading.Event(), threading.Event()
    upstream.answer(Wait(fail), *error(401))
    upstream.answer(*body(Wait(begin), token("Half"), Wait()))
    expected = ["Waiting for the answer…", "Thinking…", "The answer is complete."]
    chat.say("Go")
    for step, sentence in zip((think, answer), expected, strict=False):
        expect(chat.page.locator("#status")).to_have_text(sentence)
        step.set()
    expect(chat.page.locator("#status")).to_have_text(expected[-1])
    for step, end in ((fail, "The upstream does not accept this server's key."), (begin, "Stopped.")):
        chat.say("Go")
        expect(chat.page.locator("#status")).to_have_text("Waiting for the answer…")
        step.set()
        if end == "Stopped.":
            expect(chat.answer).to_have_text("Half")
            chat.page.keyboard.press("Escape")
        expect(chat.send_button).to_be_visible()
        expect(chat.page.locator("#status")).to_contain_text(end)
        expected += ["Waiting for the answer…", end]

    for sentence, beginning in zip(said(), expected, strict=True):
        assert sentence.startswith(beginning)


def test_nothing_says_that_it_waits_once_the_answer_comes(chat, upstream):
    upstream.answer(*body(token("Half"), Wait()))
    chat.say("Go")
    expect(chat.answer).to_have_text("Half")

    expect(chat.page.locator("#status, .message__state").filter(has_text="Waiting")).to_have_count(0)
    assert "Waiting for" not in text_of(chat.page.request.get(chat.page.url).text())


def test_a_deletion_that_was_undone_is_not_told_on_a_page_that_comes_back(chat):
    chat.say("Delete me")
    expect(chat.send_button).to_be_visible()
    chat.page.locator("[popovertarget=menu]").click()
    chat.page.get_by_role("button", name="Delete").click()
    undo = chat.page.locator(".undo")
    expect(undo).to_contain_text("The conversation was deleted.")

    chat.page.request.post(chat.url + undo.get_attribute("action"))
    chat.wait_for_script()
    chat.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")

    expect(undo).to_have_count(0)


def test_the_whole_answer_is_read_aloud_when_the_user_asked_for_it(chat, upstream):
    upstream.answer(*body(token("Look:\n\n```python\nprint(1)\n```\n\n- a *list*"), token(finish="length"), DONE))
    chat.open("/settings")
    chat.page.get_by_label("Read the whole answer aloud").check()
    chat.page.get_by_role("button", name="Save").first.click()
    expect(chat.page.get_by_text("Saved.")).to_be_visible()

    chat.open("/").say("Code")

    expect(chat.page.locator("#status")).to_have_text(
        "Look: print(1) a list The answer reached the model's length limit."
    )


def test_the_conversation_goes_on_after_stop(chat, upstream):
    upstream.answer(*body(token("Half"), Wait()))
    chat.say("One")
    expect(chat.answer).to_have_text("Half")

    chat.page.keyboard.press("Escape")
    expect(chat.note).to_have_text("Stopped.")
    chat.say("Two")

    expect(chat.answers).to_have_text(["Half", "Hello world"])


@pytest.mark.firefox
def test_an_error_of_the_upstream_is_told_in_its_place_and_stays(chat, upstream):
    upstream.answer(*error(401))

    chat.say("Hello?")

    for _ in range(2):
        expect(chat.note).to_contain_text("does not accept this server's key")
        expect(chat.retry_button).to_be_visible()
        chat.page.reload()


@pytest.mark.firefox
def test_retry_brings_a_new_reply(chat, upstream):
    upstream.answer(*error(401))
    chat.say("Hello?")

    chat.retry_button.click()

    expect(chat.answers).to_have_text(["Hello world"])
    expect(chat.questions).to_have_text(["Hello?"])


def test_enter_while_an_answer_runs_keeps_the_text_for_its_end(chat, upstream):
    upstream.answer(*body(token("Going"), Wait()))
    chat.say("First")
    expect(chat.answer).to_have_text("Going")

    chat.say("Second")
    expect(chat.page.locator(".queued .message__body")).to_have_text("Second")
    expect(chat.box).to_have_value("")

    chat.page.keyboard.press("Escape")
    expect(chat.answers).to_have_text(["Going", "Hello world"])
    expect(chat.questions).to_have_text(["First", "Second"])
