"""Better titles: asked for after the first answer, in nobody's way, and never against the user's own."""

from __future__ import annotations

import threading

import pytest

from tests.replies import add_reply
from tests.upstream import Wait, body, error, token, tokens
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.config import Config
from webapp.errors import ConfigError
from webapp.storage import conversations
from webapp.titles import title_in

SECONDS = 10


@pytest.fixture
def site(make_site):
    """The app, asking the upstream for titles."""
    return make_site(titles="upstream")


def wait_for_title(visitor, title: str) -> None:
    wait_until(lambda: f"<title>{title} · Lockchat</title>" in visitor.page(), SECONDS, title)


def finish_titles(visitor, upstream) -> None:
    """Wait until all titles asked for so far are decided: they are made one after the other."""
    number = len(upstream.requests)
    visitor.end(visitor.new_chat("One more"))
    upstream.wait_for_requests(number + 2)


def test_after_the_first_answer_the_upstream_is_asked_for_a_title(alice, upstream):
    upstream.answer(*tokens("Paris."))
    upstream.answer(*tokens('"Capital of', ' France"'))

    alice.end(alice.new_chat("What is the capital of France, please?", model="gpt-3.5-turbo"))

    wait_for_title(alice, "Capital of France")
    asked = upstream.requests[1].json
    assert asked["model"] == "gpt-3.5-turbo"
    assert asked["messages"][:2] == [
        {"role": "user", "content": "What is the capital of France, please?"},
        {"role": "assistant", "content": "Paris."},
    ]
    assert "at most six words" in asked["messages"][2]["content"]
    assert ">Capital of France</a>" in alice.get("/").text


def test_the_reasoning_about_a_title_is_left_out(alice, upstream):
    upstream.answer(*tokens("Paris."))
    upstream.answer(*tokens("<thinking>A city,", " or a river?</thinking>\n\n", "Capital of France"))

    alice.end(alice.new_chat("The capital?"))

    wait_for_title(alice, "Capital of France")


def test_only_the_first_answer_asks_for_a_title(alice, upstream):
    upstream.answer(*tokens("Paris."))
    upstream.answer(*tokens("A better title"))
    alice.end(alice.new_chat("The capital?"))
    wait_for_title(alice, "A better title")

    alice.end(alice.say("And its river?"))
    finish_titles(alice, upstream)

    assert len(upstream.requests) == 5


def test_a_running_reply_is_no_first_answer(storage):
    reply_id = add_reply(storage, "this worker")

    with storage.read() as tx:
        assert conversations.opening(tx, reply_id) is None


def test_with_the_default_setting_no_title_is_asked_for(alice, upstream, make_site):
    alice.base_url = make_site().extensions["url"]

    alice.end(alice.new_chat("The first words"))
    alice.end(alice.new_chat("Others"))

    assert len(upstream.requests) == 2
    assert "The first words" in text_of(alice.get("/").text)


def test_the_answer_does_not_wait_for_its_title(alice, upstream):
    answer_on, title_on = threading.Event(), threading.Event()
    upstream.answer(*body(token("Paris."), Wait(answer_on), b"data: [DONE]\n\n"))
    upstream.answer(*body(token("A better title"), Wait(title_on), b"data: [DONE]\n\n"))
    events = alice.events(alice.new_chat("The capital?"))
    assert next(events).event == "reset"

    answer_on.set()
    last = [event.event for event in events][-1]
    upstream.wait_for_requests(2)

    assert last == "end"
    assert "<title>The capital? · Lockchat</title>" in alice.page()
    title_on.set()
    wait_for_title(alice, "A better title")


def test_while_a_title_is_awaited_other_answers_come(alice, upstream):
    upstream.answer(*tokens("Paris."))
    upstream.answer(*body(Wait()))
    alice.end(alice.new_chat("The capital?"))
    upstream.wait_for_requests(2)

    reply = alice.say("And its river?")
    alice.end(reply)

    assert alice.status(reply) == "done"


def test_the_users_own_title_wins(alice, upstream):
    go_on = threading.Event()
    upstream.answer(*tokens("Paris."))
    upstream.answer(*body(Wait(go_on), token("A better title"), b"data: [DONE]\n\n"))
    alice.end(alice.new_chat("The capital?"))
    conversation_id = alice.conversation_id
    upstream.wait_for_requests(2)

    alice.post_form(f"/c/{conversation_id}/rename", title="My own")
    go_on.set()
    finish_titles(alice, upstream)

    assert "<title>My own · Lockchat</title>" in alice.page(conversation_id)


@pytest.mark.parametrize(
    "script",
    [error(500, "no"), tokens("<think>hm</think>"), tokens("''"), body(token("A tit")), tokens(), tokens("x" * 20_000)],
    ids=["refused", "only reasoning", "only quotes", "cut off", "nothing", "endless"],
)
def test_without_a_usable_title_the_first_words_stay(alice, upstream, script):
    upstream.answer(*tokens("Paris."))
    upstream.answer(*script)
    alice.end(alice.new_chat("The capital?"))
    conversation_id = alice.conversation_id
    upstream.wait_for_requests(2)

    finish_titles(alice, upstream)

    assert "<title>The capital? · Lockchat</title>" in alice.page(conversation_id)


def test_one_log_line_names_the_conversation_that_gets_no_title(alice, upstream, caplog):
    upstream.answer(*tokens("Paris."))
    upstream.answer(*error(500, "No luck"))
    alice.end(alice.new_chat("The capital?"))
    upstream.wait_for_requests(2)
    conversation_id = alice.conversation_id

    finish_titles(alice, upstream)

    lines = [line for line in caplog.messages if "No luck" in line]
    assert lines == [f"no better title for conversation {conversation_id}: upstream: No luck"]


def test_a_title_that_does_not_come_is_given_up(alice, upstream, make_site, monkeypatch):
    monkeypatch.setattr("webapp.app.TOTAL_SECONDS", 2.0)  # of the titles alone
    alice.base_url = make_site(titles="upstream").extensions["url"]
    upstream.answer(*tokens("Paris."))
    upstream.answer(*body(Wait()))
    alice.end(alice.new_chat("The capital?"))
    upstream.wait_for_requests(2)

    finish_titles(alice, upstream)

    assert upstream.client_left.wait(5)


def test_a_failed_answer_asks_for_no_title_but_its_retry_does(alice, upstream):
    upstream.answer(*error(401))
    reply = alice.new_chat("The capital?")
    alice.end(reply)
    upstream.answer(*tokens("Paris."))
    upstream.answer(*tokens("A better title"))

    alice.post_form(f"/m/{reply}/retry")

    wait_for_title(alice, "A better title")
    assert len(upstream.requests) == 3


def test_a_better_title_does_not_move_the_conversation(alice, upstream):
    go_on = threading.Event()
    upstream.answer(*tokens("Paris."))
    upstream.answer(*body(Wait(go_on), token("A better title"), b"data: [DONE]\n\n"))
    alice.end(alice.new_chat("The capital?"))
    upstream.wait_for_requests(2)
    first = alice.conversation_id
    alice.new_chat("The newest one")

    go_on.set()
    wait_until(lambda: "A better title" in alice.page(first), SECONDS)

    page = alice.get("/").text
    assert page.index(f"/c/{alice.conversation_id}") < page.index(f"/c/{first}")


def test_closing_waits_for_no_title(alice, upstream, site):
    upstream.answer(*tokens("Paris."))
    upstream.answer(*body(Wait()))
    alice.end(alice.new_chat("The capital?"))
    upstream.wait_for_requests(2)

    site.extensions["lockchat"].close()

    assert upstream.client_left.wait(SECONDS)


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Capital of France", "Capital of France"),
        ('"Capital of France."', "Capital of France"),
        ("«Столица Франции»\n", "Столица Франции"),
        ("“Capital” or “City”", "“Capital” or “City”"),
        ("\n\n# Capital of France\n\nI chose it because", "Capital of France"),
        ("**Title:** Capital of `France`", "Capital of France"),
        ("Title: **Capital**", "Capital"),
        ("Заголовок: Столица", "Столица"),
        ("- *Capital*", "Capital"),
        ("Sorting in C#", "Sorting in C#"),
        ("Title IX explained", "Title IX explained"),
        ("The <think> tag of R1", "The <think> tag of R1"),
        ("a\0 b\t c", "a\ufffd b c"),
        ("word " * 40, "word " * 11 + "word…"),
        (" \n ", ""),
        ("''", ""),
    ],
)
def test_a_title_is_one_clean_line(said, title):
    assert title_in(said) == title


@pytest.mark.parametrize("value", ["words", "upstream"])
def test_the_setting_is_read(value):
    assert Config.from_env({"LOCKCHAT_TITLES": value}).titles == value


def test_another_value_is_refused():
    with pytest.raises(ConfigError, match="LOCKCHAT_TITLES='both' cannot be used. Accepted: one of: words, upstream"):
        Config.from_env({"LOCKCHAT_TITLES": "both"})
