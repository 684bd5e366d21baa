"""What one tick of the pulse saves, and how. The test calls each tick: no thread of the pulse runs."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from tests.replies import Reply, heartbeats, saved_text, stored
from webapp.chat import merge
from webapp.following import Following
from webapp.generation import Hub
from webapp.markdown import RENDERER
from webapp.pulse import Pulse
from webapp.storage import messages


@pytest.fixture
def hub():
    hub = Hub(lambda text: f"<p>{text}</p>")
    yield hub
    for generation in hub.all().values():
        generation.stop()


@pytest.fixture
def pulse(storage, hub):
    return Pulse(storage, hub, "this worker")


@pytest.fixture
def reply(storage, hub):
    return Reply(storage, hub, "this worker")


@pytest.fixture
def commits(storage):
    """For each committed transaction, whether it was to survive a power cut."""
    commits = []
    event.listen(storage._durable, "commit", lambda connection: commits.append(True))
    event.listen(storage._cheap, "commit", lambda connection: commits.append(False))
    return commits


def test_each_tick_counts_a_heartbeat_of_the_worker(storage, pulse, reply):
    counts = [heartbeats(storage, "this worker")]

    for _ in range(3):
        pulse.tick()
        counts.append(heartbeats(storage, "this worker"))

    assert counts == [None, 1, 2, 3]


def test_a_running_reply_is_saved_cheaply_and_a_finished_one_survives_a_power_cut(storage, commits, pulse, reply):
    reply.say("Hello")
    commits.clear()

    pulse.tick()
    reply.end()
    pulse.tick()

    assert commits == [False, True]
    assert stored(storage, reply.id).status == "done"


def test_reasoning_is_saved_as_it_comes_and_at_the_end(storage, pulse, reply):
    reply.say(reasoning="First ")
    reply.say("Hello ", "second ")
    pulse.tick()
    assert saved_text(storage, reply.id) == ("Hello ", "First second ")

    reply.say("world", "third")
    reply.end()
    pulse.tick()

    message = stored(storage, reply.id)
    assert (message.text, message.reasoning) == ("Hello world", "First second third")


def test_a_reply_that_no_database_takes_does_not_hold_up_the_others(storage, hub, pulse):
    bad, good, finished = [Reply(storage, hub, "this worker") for _ in range(3)]
    bad.say("\ud800")  # half a character: no database stores it
    good.say("Hello")
    finished.say("Done")
    finished.end()

    pulse.tick()

    assert saved_text(storage, good.id) == ("Hello", "")
    assert stored(storage, finished.id).text == "Done"


def test_followers_of_a_reply_that_no_database_takes_are_told(storage, hub, pulse):
    bad = Reply(storage, hub, "this worker")
    bad.say("\ud800")
    bad.end()

    pulse.tick()

    _text, outcome = bad.generation.shown()
    assert outcome
    assert not outcome.saved


def test_followers_of_a_saved_reply_are_told_so(pulse, reply):
    reply.say("Hello")
    reply.end()

    pulse.tick()

    _text, outcome = reply.generation.shown()
    assert outcome.saved is True


def test_a_finished_reply_is_saved_with_its_html_and_the_version_of_the_renderer(storage, pulse, reply):
    reply.say("Hello")
    reply.end()

    pulse.tick()

    message = stored(storage, reply.id)
    assert (message.html, message.renderer) == ("<p>Hello</p>", RENDERER)


def test_a_reply_that_could_not_be_rendered_waits_for_the_next_renderer(storage):
    hub = Hub(lambda text: None)
    reply = Reply(storage, hub, "this worker")
    reply.say("Hello")
    reply.end()

    Pulse(storage, hub, "this worker").tick()

    with storage.read() as tx:
        assert messages.unrendered(tx, RENDERER, 10) == [(reply.id, "Hello")]


def test_text_that_was_reasoning_is_saved_as_reasoning(storage, pulse, reply):
    reply.say("I should greet.")
    pulse.tick()
    reply.turn_into_reasoning("Hello")
    pulse.tick()
    reply.say(" there")
    pulse.tick()

    assert saved_text(storage, reply.id) == ("Hello there", "I should greet.")


def test_a_reply_whose_worker_dies_keeps_reasoning_and_text_apart(storage, pulse, reply):
    reply.say("I should greet.")
    pulse.tick()
    reply.turn_into_reasoning("Hello")
    pulse.tick()

    with storage.begin() as tx:
        messages.interrupt(tx, [reply.id])

    found = stored(storage, reply.id)
    assert (found.status, found.text, found.reasoning) == ("interrupted", "Hello", "I should greet.")


@pytest.mark.parametrize("ticks_after", [0, 1])
def test_another_worker_follows_text_that_becomes_reasoning(storage, pulse, reply, ticks_after):
    steps = Following(storage, Hub(lambda text: text)).follow(stored(storage, reply.id))
    reply.say("I should greet.")
    pulse.tick()
    deltas = [next(steps)]

    reply.turn_into_reasoning("Hello")
    for _ in range(ticks_after):
        pulse.tick()
        deltas.append(next(steps))
    reply.end()
    pulse.tick()
    *more, message = steps

    whole = merge([*deltas, *more])
    assert (whole.text, whole.reasoning) == (message.text, message.reasoning) == ("Hello", "I should greet.")


def test_a_follower_behind_sees_text_that_became_reasoning_as_reasoning(reply):
    reply.say("I should")
    before, position, _ = reply.generation.since()
    reply.say(" greet.")
    reply.turn_into_reasoning("Hello")

    after = reply.generation.since(position)[0]

    assert (after.text, after.reasoning, after.was_reasoning) == ("Hello", " greet.", True)
    assert merge([before, after]).reasoning == "I should greet."
