"""What a plain form is answered with, and what the script gets in its place."""

from __future__ import annotations

import re
import threading

import pytest

from tests.upstream import Wait, body, token
from tests.visitor import text_of

AS_SCRIPT = {"X-Fragment": "1"}
CHANGES = re.compile('data-changes="([^"]*)"')
AS_BROWSER = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture
def stopped(alice, upstream):
    """A reply that was stopped after its first word."""
    alice.end(alice.new_chat("Greeting"))
    upstream.answer(*body(token("First"), Wait()))
    reply = alice.say("Question")
    next(event for event in alice.events(reply) if "First" in event.data)
    alice.stop(reply)
    alice.end(reply)
    return reply


def test_the_answer_to_a_form_brings_back_what_the_box_had_not_sent(alice, stopped):
    form = {"data": {"text": "Half a <thought>"}, "headers": AS_BROWSER, "allow_redirects": False}

    pages = [alice.post(f"/m/{stopped}/{action}", **form) for action in ("stop", "select", "retry")]

    for page in pages:
        assert page.status_code == 200
        assert "Half a &lt;thought&gt;</textarea>" in page.text
        assert "Question" in text_of(page.text)
        assert f'action="/c/{alice.conversation_id}/messages"' in page.text
    assert "Hello world" in text_of(pages[-1].text), "the page grows with the new answer"
    assert ["2 earlier messages" in page.text for page in pages] == [False, False, True]


def test_a_change_after_the_conversation_was_read_is_told_to_its_page(site, alice, stopped, monkeypatch):
    conversations = site.extensions["lockchat"].conversations
    show = conversations.show

    def show_then_rename(user_id, conversation_id, **options):
        shown = show(user_id, conversation_id, **options)
        conversations.rename(user_id, conversation_id, "Later")
        return shown

    before = CHANGES.findall(alice.page())
    monkeypatch.setattr(conversations, "show", show_then_rename)

    page = alice.post(f"/m/{stopped}/stop", data={"text": "Half a thought"}, headers=AS_BROWSER).text

    assert CHANGES.findall(page) == before != []


def test_without_an_unsent_text_it_leads_to_the_message(alice, stopped):
    cases = [
        (None, "text/html"),
        ("", "text/html"),
        (" \n", "text/html"),
        ("Half a thought", None),
        ("Half a thought", "*/*"),
    ]

    for text, accepted in cases:
        form = {"data": {"key": "k", "text": text}, "headers": {"Accept": accepted}, "allow_redirects": False}
        for action in ("stop", "select"):
            answer = alice.post(f"/m/{stopped}/{action}", **form)
            assert answer.status_code == 303
            assert answer.headers["Location"] == f"/c/{alice.conversation_id}#m-{stopped}"


def test_a_retry_beside_an_unsent_text_grows_below_its_question_alone(alice, upstream):
    alice.end(alice.new_chat("Early"))
    reply = alice.say("Late")
    alice.end(reply)
    go_on = threading.Event()
    upstream.answer(*body(token("Another "), Wait(go_on), token("answer"), b"data: [DONE]\n\n"))

    with alice.post(f"/m/{reply}/retry", data={"text": "Half a thought"}, headers=AS_BROWSER, stream=True) as answer:
        go_on.set()
        page = answer.text

    assert "Half a thought</textarea>" in page
    assert "Another answer" in text_of(page)
    assert "2 earlier messages" in text_of(page)


def test_the_script_gets_one_message_and_a_browser_its_place(alice):
    reply = alice.new_chat("My question")
    alice.end(reply)
    question = alice.page().partition('message--user" id="m-')[2][:36]

    asked, answered = (alice.get(f"/m/{one}", headers=AS_SCRIPT).text for one in (question, reply))
    led = alice.get(f"/m/{question}", allow_redirects=False)

    assert (asked.count("<article"), text_of(asked).count("My question")) == (1, 1)
    assert (answered.count("<article"), text_of(answered).count("Hello world")) == (1, 1)
    assert ["message--user" in one for one in (asked, answered)] == [True, False]
    assert f'id="m-{question}"' in asked
    assert f'id="m-{reply}" data-said=""' in answered
    assert (led.status_code, led.headers["Location"]) == (302, f"/c/{alice.conversation_id}#m-{question}")


def test_only_the_script_is_told_how_a_reply_ended(alice, stopped):
    fragment = alice.get(f"/m/{stopped}", headers=AS_SCRIPT).text

    assert 'data-said="Stopped."' in fragment
    assert "data-said" not in alice.page()


def test_the_first_turn_brings_the_menu_of_its_conversation_with_the_folders(alice):
    alice.post_form("/folders", name="Garden")

    first = alice.post("/conversations", data={"text": "Hi"}, headers=AS_SCRIPT)
    second = alice.post(f"{first.headers['Location']}/messages", data={"text": "Hi"}, headers=AS_SCRIPT)

    assert (first.status_code, second.status_code) == (201, 201)
    assert "Garden</option>" in first.text
    assert f'action="{first.headers["Location"]}/rename"' in first.text
    assert "/rename" not in second.text


def test_a_reply_is_asked_again_of_the_model_beside_the_button(alice, upstream):
    reply = alice.new_chat("Hi", model="gpt-4")
    alice.end(reply)

    alice.end(alice.reply_of(alice.post_form(f"/m/{reply}/retry", **{"model": "gpt-4", "with": "gpt-3.5-turbo"})))

    assert [request.json["model"] for request in upstream.requests] == ["gpt-4", "gpt-3.5-turbo"]


def test_a_form_of_the_list_leads_back_to_the_page_that_it_is_beside(alice):
    alice.end(alice.new_chat("Hi"))
    chat = f"/c/{alice.conversation_id}"

    for origin, referer, place in [
        ("menu", "/settings", "/settings"),
        ("menu", "/?preset=x", "/"),
        ("list", "/settings", "/conversations"),
        ("", "/settings", chat),
    ]:
        form = {"data": {"title": "New", "from": origin}, "headers": {"Referer": alice.base_url + referer}}
        answer = alice.post(f"{chat}/rename", **form, allow_redirects=False)

        assert (answer.status_code, answer.headers["Location"]) == (303, place)


def test_a_deletion_leads_to_a_page_that_can_undo_it(alice):
    alice.end(alice.new_chat("Another"))
    other = f"/c/{alice.conversation_id}"
    alice.end(alice.new_chat("Hi"))
    chat, told = f"/c/{alice.conversation_id}", f"?deleted={alice.conversation_id}"

    for origin, referer, place in [
        ("menu", "/", "/"),
        ("menu", "/settings", "/"),
        ("menu", other, other),
        ("menu", chat, "/"),
        ("list", chat, "/conversations"),
        ("", other, "/"),
    ]:
        form = {"data": {"from": origin}, "headers": {"Referer": alice.base_url + referer}}
        answer = alice.post(f"{chat}/delete", **form, allow_redirects=False)
        alice.post_form(f"{chat}/restore")

        assert (answer.status_code, answer.headers["Location"]) == (303, place + told)


def test_the_box_sends_to_the_end_of_what_the_page_shows(alice, upstream):
    first = alice.new_chat("One")
    alice.end(first)
    last = alice.say("Two")
    alice.end(last)

    page = alice.page()
    alice.end(alice.say("Instead of two", parent=first))

    assert f'name="parent" value="{last}"' in page
    assert [message["content"] for message in upstream.requests[-1].json["messages"]] == [
        "One",
        "Hello world",
        "Instead of two",
    ]


def test_a_form_without_a_text_is_an_empty_message(alice, upstream):
    answer = alice.post("/conversations", data={"key": "k"}, headers=AS_SCRIPT)

    assert (answer.status_code, answer.text) == (400, "Write a message first.")
    assert upstream.requests == []
