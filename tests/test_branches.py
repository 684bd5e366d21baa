"""Retry and edit make siblings: nothing is overwritten, and one can step between them."""

from __future__ import annotations

import re

import pytest

from tests.upstream import tokens
from tests.visitor import text_of
from webapp.text import new_id


def retry(visitor, reply_id: str, **fields: object) -> str:
    return visitor.reply_of(visitor.post_form(f"/m/{reply_id}/retry", **fields))


def edit(visitor, question_id: str, text: str, **fields: object) -> str:
    return visitor.reply_of(visitor.post_form(f"/m/{question_id}/edit", text=text, **fields))


def asked(request) -> list[str]:
    return [message["content"] for message in request.json["messages"]]


def question_of(page: str) -> str:
    """The id of the first question on a page."""
    return re.search(r'<article class="message message--user" id="m-([0-9a-f-]+)"', page)[1]


def test_retry_asks_again_and_keeps_the_old_reply(alice, upstream):
    upstream.answer(*tokens("first answer"))
    upstream.answer(*tokens("second answer"))
    first = alice.new_chat("Why?")
    alice.end(first)

    second = retry(alice, first)
    alice.end(second)
    page = text_of(alice.page())

    assert upstream.requests[0].json == upstream.requests[1].json
    assert "second answer" in page
    assert "first answer" not in page
    assert "2/2" in page
    assert alice.raw(first) == "first answer"


def test_one_can_step_back_to_the_first_version(alice, upstream):
    upstream.answer(*tokens("first answer"))
    first = alice.new_chat("Why?")
    alice.end(first)
    alice.end(retry(alice, first))

    answer = alice.post_form(f"/m/{first}/select")

    assert answer.headers["Location"] == f"/c/{alice.conversation_id}#m-{first}"
    assert "first answer" in text_of(alice.page())
    assert "1/2" in text_of(alice.page())


def test_an_edited_question_begins_a_branch_of_its_own(alice, upstream):
    alice.end(alice.new_chat("One"))
    alice.end(alice.say("Two"))
    question = question_of(alice.page())

    alice.end(edit(alice, question, "Uno"))
    page = text_of(alice.page())

    assert upstream.requests[2].json["messages"] == [{"role": "user", "content": "Uno"}]
    assert "Uno" in page
    assert "Two" not in page
    alice.post_form(f"/m/{question}/select")
    assert "Two" in text_of(alice.page())


def test_the_next_question_follows_the_branch_that_is_shown(alice, upstream):
    upstream.answer(*tokens("first"))
    upstream.answer(*tokens("second"))
    first = alice.new_chat("Why?")
    alice.end(first)
    alice.end(retry(alice, first))
    alice.post_form(f"/m/{first}/select")

    alice.end(alice.say("Go on"))

    assert [m["content"] for m in upstream.requests[2].json["messages"]] == ["Why?", "first", "Go on"]


def test_the_same_retry_twice_makes_one_reply(alice, upstream):
    first = alice.new_chat("Why?")
    alice.end(first)

    assert retry(alice, first, key="k") == retry(alice, first, key="k", text="typed, not sent")
    upstream.wait_for_requests(2)
    assert len(upstream.requests) == 2


def test_a_retry_with_a_broken_key_is_refused(alice, upstream):
    first = alice.new_chat("Why?")
    alice.end(first)

    assert alice.post_form(f"/m/{first}/retry", key="k" * 65).status_code == 400
    assert len(upstream.requests) == 1


def test_a_question_can_be_retried_and_a_reply_cannot_be_edited(alice):
    reply = alice.new_chat("Why?")
    alice.end(reply)
    question = question_of(alice.page())

    assert retry(alice, question) != reply
    assert alice.post_form(f"/m/{reply}/edit", text="x").status_code == 404


def test_the_page_offers_the_question_for_editing(alice):
    alice.end(alice.new_chat("Fix <this>"))
    question = question_of(alice.page())

    page = alice.get(f"/c/{alice.conversation_id}?edit={question}").text

    assert f'action="/m/{question}/edit"' in page
    assert "Fix &lt;this&gt;</textarea>" in page


def test_an_edit_that_is_empty_is_refused(alice, upstream):
    alice.end(alice.new_chat("Why?"))

    answer = alice.post_form(f"/m/{question_of(alice.page())}/edit", text=" ")

    assert answer.status_code == 400
    assert len(upstream.requests) == 1


def test_bob_cannot_retry_edit_or_select_what_is_alices(alice, bob, upstream):
    reply = alice.new_chat("Why?")
    alice.end(reply)
    question = question_of(alice.page())

    for path in (f"/m/{reply}/retry", f"/m/{question}/edit", f"/m/{reply}/select"):
        assert bob.post_form(path, text="mine").status_code == 404
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("action", ["retry", "edit", "select", "stop"])
def test_nothing_is_done_with_a_message_that_does_not_exist(alice, upstream, action):
    answer = alice.post(f"/m/{new_id()}/{action}", data={"text": "Hello"}, headers={"X-Fragment": "1"})

    assert (answer.status_code, answer.text) == (404, "This message does not exist.")
    assert upstream.requests == []


def test_a_link_to_a_message_shows_its_branch(alice, upstream):
    upstream.answer(*tokens("hidden answer"))
    first = alice.new_chat("Why?")
    alice.end(first)
    alice.end(retry(alice, first))

    page = alice.get(f"/c/{alice.conversation_id}?at={first}").text

    assert "hidden answer" in text_of(page)


def test_older_messages_come_when_asked_for(alice, upstream):
    alice.end(alice.new_chat("question 0"))
    for number in range(1, 4):
        alice.end(alice.say(f"question {number}"))

    page = alice.get(f"/c/{alice.conversation_id}?last=4").text
    whole = alice.get(f"/c/{alice.conversation_id}?last=8").text

    assert "question 1" not in text_of(page.split("<main")[1])
    assert "4 earlier messages" in text_of(page)
    assert "question 0" in text_of(whole.split("<main")[1])
    assert "earlier message" not in text_of(whole)


def test_retry_and_edit_ask_the_model_that_is_chosen(alice, upstream):
    first = alice.new_chat("Why?", model="gpt-4")
    alice.end(first)

    alice.end(retry(alice, first, model="gpt-3.5-turbo", temperature="0,2", system="Be brief."))
    alice.end(edit(alice, question_of(alice.page()), "How?", model="gpt-4"))

    models = [request.json["model"] for request in upstream.requests]
    assert models == ["gpt-4", "gpt-3.5-turbo", "gpt-4"]
    assert [request.json.get("temperature") for request in upstream.requests] == [None, 0.2, 0.2]
    assert asked(upstream.requests[1]) == ["Be brief.", "Why?"]


def test_retry_refuses_a_model_that_is_not_offered(alice, upstream):
    first = alice.new_chat("Why?")
    alice.end(first)

    assert alice.post_form(f"/m/{first}/retry", model="gpt-9").status_code == 400
    assert len(upstream.requests) == 1


def test_a_message_follows_the_last_one_that_was_seen(alice, upstream):
    """A stale tab, and a page that shows another branch."""
    first = alice.new_chat("One")
    alice.end(first)
    alice.end(alice.say("Two"))

    third = alice.say("Three", parent=first)
    alice.end(third)

    assert asked(upstream.requests[-1]) == ["One", "Hello world", "Three"]
    page = text_of(alice.page())
    assert "Three" in page
    assert "Two" not in page
    assert f'name="parent" value="{third}"' in alice.page()


def test_a_parent_of_another_conversation_is_of_no_account(alice, bob, upstream):
    foreign = bob.new_chat("Mine")
    bob.end(foreign)
    alice.end(alice.new_chat("One"))

    for parent in (foreign, "\x00", "nonsense"):
        alice.end(alice.say("Next", parent=parent))
        assert asked(upstream.requests[-1])[0] == "One"


def test_a_parent_of_another_conversation_of_ones_own_is_ignored(alice, upstream):
    elsewhere = alice.new_chat("Elsewhere")
    alice.end(elsewhere)
    alice.end(alice.new_chat("Here"))

    alice.end(alice.say("Next", parent=elsewhere))

    assert asked(upstream.requests[-1]) == ["Here", "Hello world", "Next"]
    assert "Next" in text_of(alice.page())
