"""Sending a message: stored, asked, answered, and there again after a reload."""

from __future__ import annotations

import json
from threading import Event
from unittest.mock import Mock

import pytest
from sqlalchemy import select

from tests.upstream import Wait, body, event, token, tokens
from tests.visitor import Visitor, text_of
from tests.wait import wait_until
from webapp.generation import Generation
from webapp.sends import Send, checked
from webapp.settings import Typed
from webapp.storage.schema import messages


def test_a_new_chat_asks_the_upstream_and_shows_the_answer(alice, upstream):
    upstream.answer(*tokens("Good", " **day**"))

    reply = alice.new_chat("Hello there", model="gpt-4")
    alice.end(reply)

    assert alice.status(reply) == "done"
    assert upstream.requests[0].json == {
        "messages": [{"role": "user", "content": "Hello there"}],
        "model": "gpt-4",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "Good <strong>day</strong>" in alice.page()
    assert alice.raw(reply) == "Good **day**"


def test_a_worker_that_shuts_down_takes_no_message_and_keeps_its_text(site, alice, upstream):
    site.extensions["lockchat"].hub.is_stopping = lambda: True

    answer = alice.post_form("/conversations", text="Hello there")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "The server is restarting. Your text is kept; send it again in a moment." in text_of(answer.text)
    assert "Hello there" in answer.text
    assert not upstream.requests
    fragment = alice.post("/conversations", data={"text": "Hello there"}, headers={"X-Fragment": "1"})
    assert fragment.text == "The server is restarting. Your text is kept; send it again in a moment."


def test_a_system_without_a_thread_left_ends_the_answer_and_frees_its_place(
    make_visitor, upstream, monkeypatch, caplog
):
    alice = make_visitor(streams_per_user=1)
    with monkeypatch.context() as patch:
        patch.setattr(Generation, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        reply = alice.new_chat("One")

    assert f"reply {reply} could not be started" in caplog.messages
    assert alice.status(reply) == "error"
    assert "Something went wrong in this server" in text_of(alice.page())
    second = alice.say("Two")
    alice.end(second)
    assert alice.status(second) == "done"


def test_the_answer_streams_while_it_grows(alice, upstream):
    upstream.answer(*body(token("one "), token("two"), Wait(), b"data: [DONE]\n\n"))
    reply = alice.new_chat("Count")

    events = alice.events(reply)
    seen = ""
    for event_ in events:
        seen += event_.data
        if "two" in seen:
            break

    assert alice.status(reply) == "streaming"
    assert "one two" in text_of(alice.page())


def test_the_end_of_a_stream_brings_how_the_answer_ended_and_its_buttons(alice, upstream):
    go_on = Event()
    upstream.answer(*body(token("Привет"), Wait(go_on), token(finish="length")))
    reply = alice.new_chat("Hi")
    events = alice.events(reply)
    next(events)

    go_on.set()
    end = json.loads([*events][-1].data)

    assert (end["why"], end["lang"]) == ("length", "ru")
    assert end["message"] == "The answer reached the model's length limit."
    assert end["message"] in text_of(end["html"])
    assert f"/m/{reply}/retry" in end["html"]


def test_the_next_question_brings_the_whole_conversation(alice, upstream):
    upstream.answer(*tokens("four"))
    alice.end(alice.new_chat("2 + 2?", system="Be brief."))

    alice.end(alice.say("And 3 + 3?"))

    assert upstream.requests[1].json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "four"},
        {"role": "user", "content": "And 3 + 3?"},
    ]


def test_a_failed_reply_is_left_out_of_what_the_upstream_reads(alice, upstream):
    upstream.answer(*body(b"data: [DONE]\n\n"))
    alice.end(alice.new_chat("First"))

    alice.end(alice.say("Second"))

    assert upstream.requests[1].json["messages"] == [{"role": "user", "content": "First\n\nSecond"}]


def test_model_and_temperature_hold_from_the_send_that_names_them(alice, upstream):
    alice.end(alice.new_chat("a", model="gpt-3.5-turbo", temperature="0.2"))

    alice.end(alice.say("b"))

    assert upstream.requests[1].json["model"] == "gpt-3.5-turbo"
    assert upstream.requests[1].json["temperature"] == 0.2


def test_the_same_key_makes_one_message(alice, upstream):
    first = alice.new_chat("Once", key="k1")
    second = alice.new_chat("Once", key="k1")

    alice.end(first)

    assert first == second
    assert len(upstream.requests) == 1


def test_an_old_key_with_a_new_text_loses_nothing(alice):
    alice.new_chat("Before", key="k1")

    answer = alice.post_form("/conversations", text="Something <new>", key="k1")

    assert answer.status_code == 409
    assert "This form was sent before, with another text. Nothing is lost: send it again." in text_of(answer.text)
    assert "Something &lt;new&gt;</textarea>" in answer.text
    fragment = alice.post("/conversations", data={"text": "Something", "key": "k1"}, headers={"X-Fragment": "1"})
    assert fragment.text == "This form was sent before, with another text. Nothing is lost: send it again."


def test_the_list_shows_the_newest_conversation_first(alice):
    alice.new_chat("The first one")
    alice.new_chat("The second one")

    page = alice.get("/").text

    assert page.index("The second one") < page.index("The first one")


def test_a_long_first_line_is_cut_to_a_title_at_a_word(alice):
    alice.new_chat("word " * 40)

    assert "<title>" + "word " * 11 + "word… · Lockchat</title>" in alice.page()


@pytest.mark.parametrize("text", ["  \n ", ""])
def test_an_empty_message_is_refused(alice, upstream, text):
    answer = alice.post_form("/conversations", text=text)

    assert answer.status_code == 400
    assert "Write a message first." in answer.text
    assert upstream.requests == []


def test_a_message_that_is_too_long_is_refused_and_given_back(alice, upstream):
    typed = "long " * 20_001

    answer = alice.post_form("/conversations", text=typed)

    assert answer.status_code == 413
    assert "The message is too long: 100,005 characters, 100,000 are allowed." in text_of(answer.text)
    assert typed in answer.text
    assert upstream.requests == []


def test_the_longest_message_with_the_longest_key_is_sent():
    send = checked(Send("four", "k" * 64, Typed()), max_chars=4)

    assert (send.text, send.key) == ("four", "k" * 64)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("model", "gpt-99", "The model gpt-99 is not offered here."),
        ("temperature", "hot", "from 0 to 2"),
        ("temperature", "nan", "from 0 to 2"),
        ("temperature", "2.1", "from 0 to 2"),
        ("key", "k" * 65, "The form is broken."),
    ],
)
def test_a_field_that_cannot_be_used_is_refused_and_the_text_given_back(alice, upstream, field, value, sentence):
    answer = alice.post_form("/conversations", text="Keep <me>", **{field: value})

    assert answer.status_code == 400
    assert sentence in text_of(answer.text)
    assert "Keep &lt;me&gt;</textarea>" in answer.text
    assert upstream.requests == []


def test_characters_that_no_database_stores_are_replaced(alice, upstream):
    upstream.answer(*body(event({"choices": [{"delta": {"content": "a\0b"}}]}), b"data: [DONE]\n\n"))

    reply = alice.new_chat("x\0y\r\nz")
    alice.end(reply)

    assert upstream.requests[0].json["messages"][0]["content"] == "x\ufffdy\nz"
    assert alice.raw(reply) == "a\ufffdb"
    alice.end(alice.say("Go on", parent=f"{reply}\0", key="k\0"))


def test_a_fragment_is_answered_with_the_turn_and_its_place(alice):
    answer = alice.post("/conversations", data={"text": "Hi"}, headers={"X-Fragment": "1"})

    assert answer.status_code == 201
    assert answer.headers["Location"].startswith("/c/")
    assert answer.headers["X-Title"] == "Hi"
    assert answer.text.count("<article") == 2


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"text": " "}, 400, "Write a message first."),
        ({"text": "Hi", "key": "k" * 65}, 400, "The form is broken. Reload the page and send it again."),
        (
            {"text": "long " * 20_001},
            413,
            "The message is too long: 100,005 characters, 100,000 are allowed.",
        ),
    ],
    ids=["nothing", "a broken form", "too much"],
)
def test_a_refused_fragment_is_answered_with_the_sentence_alone(alice, fields, status, sentence):
    answer = alice.post("/conversations", data=fields, headers={"X-Fragment": "1"})

    assert (answer.status_code, answer.text) == (status, sentence)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_figures_that_no_database_holds_lose_no_answer(alice, upstream):
    usage = {"prompt_tokens": 2**63 + 1, "completion_tokens": 2**31}
    upstream.answer(*tokens("kept", usage=usage))
    reply = alice.new_chat("Hello")

    alice.end(reply)

    assert alice.status(reply) == "done"
    assert alice.raw(reply) == "kept"


def test_figures_that_no_database_holds_are_not_stored(alice, upstream, site):
    upstream.answer(*tokens("kept", usage={"prompt_tokens": 2**31 - 1, "completion_tokens": 2**31}))
    reply = alice.new_chat("Hello")
    alice.end(reply)

    def figures():
        with site.extensions["lockchat"].storage.read() as tx:
            return tx.execute(select(messages.c.prompt_tokens, messages.c.completion_tokens).filter_by(id=reply)).one()

    assert wait_until(lambda: figures()[0], 15) == 2**31 - 1
    assert figures()[1] is None


def test_a_conversation_goes_on_when_its_model_is_gone(make_site, upstream):
    first = Visitor(make_site(models=("old",)).extensions["url"])
    reply = first.new_chat("Hello", model="old")
    first.end(reply)
    second = Visitor(make_site(models=("new",)).extensions["url"])
    second.cookies.update(first.cookies)
    second.conversation_id = first.conversation_id

    assert 'name="model" value="new"' in second.page()
    assert second.post_form(f"/m/{reply}/retry").status_code == 303
    upstream.wait_for_requests(2)
    assert upstream.requests[1].json["model"] == "new"


def test_a_refused_form_can_be_sent_again_from_the_page_that_says_so(alice, upstream):
    answer = alice.post_form("/conversations", text="Keep me", model="gone", system="Be kind.", temperature="0.3")

    assert 'action="/conversations"' in answer.text
    assert '<option value="gpt-4" selected>' in answer.text
    assert "Be kind.</textarea>" in answer.text
    assert 'value="0.3"' in answer.text


def test_the_page_shows_the_settings_that_the_next_send_has(alice):
    alice.end(alice.new_chat("Hi", temperature="0,2", system="Be brief."))

    page = alice.page()

    assert 'value="0.2"' in page
    assert "Be brief.</textarea>" in page


def test_a_temperature_is_sent_once_it_is_set_until_it_is_unset(alice, upstream):
    for temperature in ("", "0", "0,2", None, ""):
        fields = {} if temperature is None else {"temperature": temperature}
        alice.end(alice.say("Hi", **fields) if alice.conversation_id else alice.new_chat("Hi", **fields))

    assert [request.json.get("temperature") for request in upstream.requests] == [None, 0, 0.2, 0.2, None]
    assert 'id="temperature"' in alice.page()
