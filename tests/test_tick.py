"""What one tick of the pulse saves, and how. The test calls each tick: no thread of the pulse runs."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from tests.replies import Reply, heartbeats, saved_text, stored
from webapp.generation import Hub
from webapp.pulse import Pulse


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
