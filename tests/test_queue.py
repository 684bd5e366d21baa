"""A message that waits for the end of an answer: stored at once, sent once, changed and taken back until then."""

from __future__ import annotations

from threading import Barrier, Event, Thread
from unittest.mock import Mock

import pytest

from tests.test_branches import edit as edit_question
from tests.test_branches import question_of
from tests.upstream import Wait, body, error, token, tokens
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.errors import Limited
from webapp.queue import is_passing
from webapp.storage import spending

UNKNOWN = "00000000-0000-4000-8000-000000000000"
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def running(alice, upstream):
    """A reply of Alice's that runs until the event is set."""
    end = Event()
    upstream.answer(*body(token("First"), Wait(end), DONE))
    alice.new_chat("One")
    upstream.wait_for_requests(1)
    yield end
    end.set()


def put(visitor, text: str, **fields):
    return visitor.post_form(f"/c/{visitor.conversation_id}/queue", text=text, **fields)


def edit(visitor, was: str, text: str, **fields):
    return visitor.post_form(f"/c/{visitor.conversation_id}/queue/edit", was=was, text=text, **fields)


def take(visitor, key: str):
    return visitor.post_form(f"/c/{visitor.conversation_id}/queue/take", key=key)


def asked(upstream) -> list[list[str]]:
    return [[message["content"] for message in request.json["messages"]] for request in upstream.requests]


def questions(upstream) -> list[str]:
    return [texts[-1] for texts in asked(upstream)]


def is_waiting(visitor) -> bool:
    return 'id="queued"' in visitor.page()


def test_it_goes_when_the_answer_ends(alice, upstream, running):
    upstream.always(*tokens("Second"))
    assert put(alice, "Two").headers["Location"] == f"/c/{alice.conversation_id}#queued"
    assert "Two Goes when the answer ends." in text_of(alice.page())
    assert questions(upstream) == ["One"]

    running.set()

    wait_until(lambda: "Second" in alice.page(), 20, "the queued message's answer")
    assert asked(upstream) == [["One"], ["One", "First", "Two"]]
    assert not is_waiting(alice)


def test_it_goes_after_a_stop_and_after_an_error(alice, upstream):
    upstream.answer(*body(token("First"), Wait()))
    reply = alice.new_chat("One")
    upstream.wait_for_requests(1)
    put(alice, "Two")
    upstream.answer(*error(400))

    alice.stop(reply)
    wait_until(lambda: len(upstream.requests) == 2, 20, "the queued message")

    wait_until(lambda: not is_waiting(alice), 20, "the page to show it as sent")
    assert questions(upstream) == ["One", "Two"]


def test_the_settings_of_its_form_go_with_it(alice, upstream, running):
    put(alice, "Two", model="gpt-3.5-turbo", temperature="0.5", system="Be brief.")

    running.set()

    wait_until(lambda: len(upstream.requests) == 2, 20, "the queued message")
    sent = upstream.requests[1].json
    assert (sent["model"], sent["temperature"], sent["messages"][0]["content"]) == ("gpt-3.5-turbo", 0.5, "Be brief.")


def test_without_a_running_answer_it_goes_at_once(alice, upstream):
    alice.end(alice.new_chat("One"))

    alice.end(alice.reply_of(put(alice, "Two")))

    assert questions(upstream) == ["One", "Two"]
    assert not is_waiting(alice)


def test_the_same_key_waits_once_and_goes_once(alice, upstream, running):
    for _time in range(3):
        assert put(alice, "Two", key="k").status_code == 303

    running.set()
    wait_until(lambda: len(upstream.requests) == 2, 20, "the queued message")
    late = put(alice, "Two", key="k")
    sent = alice.post_form(f"/c/{alice.conversation_id}/messages", text="Two", key="k")

    assert late.headers["Location"] == sent.headers["Location"]
    alice.end(alice.reply_of(late))
    assert questions(upstream) == ["One", "Two"]


def test_a_second_message_is_refused_and_given_back(alice, running):
    put(alice, "Two", key="k")

    refused = put(alice, "Three")

    assert refused.status_code == 409
    assert "Three</textarea>" in refused.text
    place = f"/c/{alice.conversation_id}/queue"
    fragment = alice.post(place, data={"text": "Three"}, headers={"X-Fragment": "1"})
    assert fragment.text == "Another message waits for the answer already. Edit it, or take it back."
    assert "Two" in alice.page()


def test_it_is_edited_until_it_goes(alice, upstream, running):
    put(alice, "Two", key="k")
    assert edit(alice, "k", "Zwei", key="l").status_code == 303

    running.set()
    wait_until(lambda: len(upstream.requests) == 2, 20, "the queued message")
    late = edit(alice, "l", "Deux", key="m")

    assert questions(upstream) == ["One", "Zwei"]
    assert late.status_code == 409
    assert "Deux</textarea>" in late.text


def test_what_is_taken_back_is_in_the_box_and_never_goes(alice, upstream, running):
    put(alice, "Two <words>", key="k")

    # The page grows with the answer, to its end.
    taken = alice.post(f"/c/{alice.conversation_id}/queue/take", data={"key": "k"}, stream=True)
    running.set()

    assert "Two &lt;words&gt;</textarea>" in taken.text
    assert not is_waiting(alice)
    assert take(alice, "k").status_code == 404
    alice.end(alice.say("Three"))
    assert "Two <words>" not in questions(upstream)


def test_what_is_taken_back_while_it_is_sent_by_hand_never_goes(alice, upstream, site, running, monkeypatch):
    queue = site.extensions["lockchat"].queue
    get = queue.get

    def get_and_take_back(user_id, conversation_id):
        if found := get(user_id, conversation_id):
            queue.take_back(user_id, conversation_id, found.key)
        return found

    put(alice, "Two")
    with monkeypatch.context() as patch:
        patch.setattr(queue, "get", get_and_take_back)
        answer = alice.post_form(f"/c/{alice.conversation_id}/queue/send")

    assert answer.status_code == 404
    assert "The message was taken back or changed meanwhile." in answer.text
    assert questions(upstream) == ["One"]


def test_many_workers_send_it_once(alice, upstream, site, make_site):
    """Each site is a worker of its own on the one database."""
    sites = [site, *(make_site() for _other in range(2))]
    for round_ in range(5):
        end = Event()
        upstream.answer(*body(token("a"), Wait(end), DONE))
        reply = alice.new_chat(f"One {round_}")
        put(alice, f"Two {round_}")
        queues = [one.extensions["lockchat"].queue for one in sites]
        barrier = Barrier(len(queues))

        def look(queue, barrier=barrier):
            barrier.wait()
            for _time in range(20):
                queue.look()

        threads = [Thread(target=look, args=[queue]) for queue in queues]
        for thread in threads:
            thread.start()
        end.set()
        alice.end(reply)
        for thread in threads:
            thread.join()
        wait_until(lambda: not is_waiting(alice), 60, "the queued message to go")

    upstream.wait_for_requests(10)
    assert sorted(questions(upstream)) == sorted([f"{text} {n}" for n in range(5) for text in ("One", "Two")])


def test_it_is_either_taken_back_or_sent(alice, upstream):
    for round_ in range(8):
        end = Event()
        upstream.answer(*body(token("a"), Wait(end), DONE))
        reply = alice.new_chat(f"One {round_}")
        put(alice, f"Two {round_}", key=f"k{round_}")
        end.set()
        if round_ % 2:
            alice.end(reply)

        was_taken = take(alice, f"k{round_}").status_code == 200

        wait_until(lambda: not is_waiting(alice), 20, "the queued message to go")
        sent = alice.get(f"/c/{alice.conversation_id}/queue?key=k{round_}", headers={"X-Fragment": "1"})
        assert (sent.status_code == 204) == was_taken


def test_one_that_cannot_go_is_held_and_says_why(alice, upstream, site, caplog):
    end = Event()
    upstream.answer(*body(token("a"), Wait(end), DONE))
    reply = alice.new_chat("One")
    put(alice, "Two", model="gpt-3.5-turbo", key="k")
    site.extensions["lockchat"].models._fixed = ["gpt-4"]  # the administrator has taken it away meanwhile

    end.set()
    alice.end(reply)
    wait_until(lambda: "could not be sent by itself" in alice.page(), 20, "the queued message to be held")
    refused = alice.post_form(f"/c/{alice.conversation_id}/queue/send")

    assert "The model gpt-3.5-turbo is not offered here." in text_of(refused.text)
    assert [one.levelname for one in caplog.records if one.name == "webapp.queue"] == ["WARNING"]
    assert is_waiting(alice)
    assert take(alice, "k").status_code == 200


def test_a_mistake_of_this_program_holds_it_and_is_an_error_in_the_log(alice, site, running, caplog, monkeypatch):
    put(alice, "Two")
    monkeypatch.setattr(site.extensions["lockchat"].turns, "send", Mock(side_effect=ValueError))

    running.set()
    wait_until(lambda: "could not be sent by itself" in alice.page(), 20, "the queued message to be held")

    [line] = [one for one in caplog.records if one.name == "webapp.queue"]
    said = f"a queued message of conversation {alice.conversation_id} is held"
    assert (line.levelname, line.getMessage(), line.exc_info[0]) == ("ERROR", said, ValueError)


def test_one_that_was_held_is_sent_by_hand_as_soon_as_it_can_go(alice, upstream, site):
    end, models = Event(), site.extensions["lockchat"].models
    upstream.answer(*body(token("a"), Wait(end), DONE))
    reply = alice.new_chat("One")
    put(alice, "Two", model="gpt-3.5-turbo")
    offered, models._fixed = models._fixed, ["gpt-4"]
    end.set()
    alice.end(reply)
    wait_until(lambda: "could not be sent by itself" in alice.page(), 20, "the queued message to be held")

    models._fixed = offered
    second = alice.reply_of(alice.post_form(f"/c/{alice.conversation_id}/queue/send"))

    alice.end(second)
    assert questions(upstream) == ["One", "Two"]
    assert upstream.requests[1].json["model"] == "gpt-3.5-turbo"
    assert not is_waiting(alice)


def test_it_follows_the_answer_that_it_waited_for_whatever_branch_is_shown(alice, upstream, running):
    put(alice, "Two")
    upstream.always(*tokens("Other"))
    alice.end(edit_question(alice, question_of(alice.page()), "Uno"))

    running.set()

    wait_until(lambda: not is_waiting(alice), 20, "the queued message to go")
    upstream.wait_for_requests(3)
    assert asked(upstream)[1:] == [["Uno"], ["One", "First", "Two"]]


def test_a_reply_that_runs_elsewhere_keeps_no_message_waiting(alice, upstream):
    end = Event()
    upstream.answer(*body(token("First"), Wait(end), DONE))
    elsewhere = alice.new_chat("One")
    upstream.wait_for_requests(1)
    alice.end(alice.new_chat("Here"))

    alice.end(alice.reply_of(put(alice, "Two", parent=elsewhere)))

    assert asked(upstream)[-1] == ["Here", "Hello world", "Two"]
    end.set()


def test_one_that_meets_the_limit_of_a_day_is_held_and_the_next_try_says_until_when(alice, upstream, site):
    end = Event()
    upstream.answer(*body(token("a"), Wait(end), DONE))
    reply = alice.new_chat("One")
    put(alice, "Two", key="k")
    with site.extensions["lockchat"].storage.begin() as tx:
        spending.set_limit(tx, "member", "tokens_per_day", 0)

    end.set()
    alice.end(reply)
    wait_until(lambda: "could not be sent by itself" in alice.page(), 20, "the queued message to be held")
    refused = alice.post_form(f"/c/{alice.conversation_id}/queue/send")

    assert "You have used the tokens that are allowed in a day: 0. Try again in" in text_of(refused.text)
    assert is_waiting(alice)


def test_one_that_meets_the_limit_of_running_answers_waits_until_it_may_go(alice, upstream, site, caplog):
    end, storage = Event(), site.extensions["lockchat"].storage
    upstream.answer(*body(token("a"), Wait(end), DONE))
    reply = alice.new_chat("One")
    put(alice, "Two")
    with storage.begin() as tx:
        spending.set_limit(tx, "member", "running_replies", 0)

    caplog.set_level("INFO", "webapp.queue")
    end.set()
    alice.end(reply)
    line = f"a queued message of conversation {alice.conversation_id} waits: Limited"
    wait_until(lambda: line in caplog.messages, 20, "a try")
    page = text_of(alice.page())
    with storage.begin() as tx:
        spending.set_limit(tx, "member", "running_replies", None)
    wait_until(lambda: not is_waiting(alice), 20, "the queued message to go")
    upstream.wait_for_requests(2)

    assert "could not be sent by itself" not in page
    assert questions(upstream) == ["One", "Two"]


def test_one_waits_for_a_limit_of_a_minute_and_no_longer():
    assert is_passing(Limited("so many a minute", retry_after=60))
    assert not is_passing(Limited("so many a day", retry_after=61))


def test_one_that_was_sent_by_another_way_goes_once(alice, upstream, running):
    put(alice, "Two", key="k")

    sent = alice.say("Two", key="k")
    assert alice.reply_of(put(alice, "Two", key="k")) == sent
    alice.end(sent)
    running.set()
    wait_until(lambda: not is_waiting(alice), 20, "the queued message to go")

    assert questions(upstream) == ["One", "Two"]


@pytest.mark.parametrize(
    ("step", "status", "sentence"),
    [
        ("edit", 409, "The message was sent or changed meanwhile. Your text is below."),
        ("take", 404, "The message was sent meanwhile."),
        ("send", 404, "The message was sent meanwhile."),
    ],
)
def test_the_script_is_told_in_a_sentence_that_nothing_waits(alice, step, status, sentence):
    alice.end(alice.new_chat("One"))

    fields, headers = {"text": "Two", "was": "k", "key": "k"}, {"X-Fragment": "1"}
    answer = alice.post(f"/c/{alice.conversation_id}/queue/{step}", data=fields, headers=headers)

    assert (answer.status_code, answer.text) == (status, sentence)


def test_a_deleted_conversation_sends_nothing(alice, upstream, running):
    put(alice, "Two")
    alice.post_form(f"/c/{alice.conversation_id}/delete")

    running.set()
    alice.end(alice.new_chat("Other"))

    assert questions(upstream) == ["One", "Other"]


def test_bob_reaches_nothing_of_alices_queue(alice, bob, upstream, running):
    put(alice, "Two", key="k")
    bob.conversation_id = alice.conversation_id

    answers = [put(bob, "Mine"), edit(bob, "k", "Mine"), take(bob, "k")]
    answers.append(bob.post_form(f"/c/{bob.conversation_id}/queue/send"))
    shown = bob.get(f"/c/{bob.conversation_id}/queue?key=k", headers={"X-Fragment": "1"})

    assert [answer.status_code for answer in answers] == [404, 409, 404, 404]
    assert shown.status_code == 204
    assert is_waiting(alice)


def test_the_script_learns_what_has_become_of_it(alice, upstream, running):
    fragment = {"X-Fragment": "1"}
    put(alice, "Two", key="k")
    path = f"/c/{alice.conversation_id}/queue?key=k"
    assert alice.get(path, headers=fragment).status_code == 202

    running.set()
    wait_until(lambda: alice.get(path, headers=fragment).status_code == 201, 20, "the turn")

    assert "data-send-to" in alice.get(path, headers=fragment).text
    assert alice.get(path.replace("key=k", "key=other"), headers=fragment).status_code == 204
    assert alice.get(path).url == f"{alice.base_url}/c/{alice.conversation_id}"
