"""What one tick of the pulse saves, and how. The test calls each tick: no thread of the pulse runs."""

from __future__ import annotations

import threading
from threading import Event
from unittest.mock import Mock

import pytest
from sqlalchemy import event

from tests.replies import Reply, add_reply, heartbeats, locked, owner_of, saved_text, stored
from tests.wait import wait_until
from webapp.chat import Delta, merge
from webapp.errors import NotFound, StorageFull, StorageUnavailable
from webapp.following import Following, with_text
from webapp.generation import Hub
from webapp.markdown import RENDERER
from webapp.pulse import Pulse
from webapp.storage import messages, spending


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


def test_one_tick_finishes_a_reply_and_saves_the_text_of_the_next(storage, hub, pulse, caplog):
    ended, running = [Reply(storage, hub, "this worker") for _ in range(2)]
    running.say("Hello")
    ended.end()

    pulse.tick()

    assert stored(storage, ended.id).status == "done"
    assert saved_text(storage, running.id) == ("Hello", "")
    assert not [one for one in caplog.records if one.name == "webapp.pulse"]  # it needs no second way


def test_a_silent_reply_adds_no_piece(storage, pulse, reply):
    reply.say("Hello")

    for _ in range(3):
        pulse.tick()

    with storage.read() as tx:
        assert messages.pieces_after(tx, reply.id, 0) == [(1, Delta("Hello"))]


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


def test_followers_of_a_reply_that_no_database_takes_are_told_and_so_is_the_log(storage, hub, pulse, caplog):
    bad = Reply(storage, hub, "this worker")
    bad.say("\ud800")
    bad.end()

    pulse.tick()

    with storage.read() as tx:
        shown = with_text(tx, messages.find(tx, bad.id), hub.all())
    assert (shown.text, shown.status, shown.outcome.saved) == ("\ud800", "done", False)
    said = [record.getMessage() for record in caplog.records if record.name == "webapp.pulse"]
    assert said == ["the pulse could not save", f"reply {bad.id} cannot be saved"]


def test_a_saved_reply_leaves_the_worker_and_the_others_are_told_which(hub, pulse, reply):
    told = []
    pulse.on_saved.append(told.append)
    reply.end()

    pulse.tick()

    assert told == [reply.id]
    assert hub.all() == {}
    assert pulse._saved == {}


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


@pytest.mark.parametrize(("patience_seconds", "is_told"), [(1000, False), (0, True)])
def test_followers_are_told_after_a_while_that_the_database_is_away(
    storage, other_storage, pulse, reply, monkeypatch, patience_seconds, is_told
):
    monkeypatch.setattr("webapp.pulse.PATIENCE_SECONDS", patience_seconds)
    reply.say("Hello")
    reply.end()

    with locked(other_storage):
        pulse.tick()
        pulse.tick()
        _text, told = reply.generation.shown()
    pulse.tick()

    assert (told is not None and not told.saved) == is_told
    assert stored(storage, reply.id).text == "Hello"
    assert reply.generation.shown()[1].saved


def test_the_patience_of_each_reply_begins_at_its_own_end(storage, hub, pulse, monkeypatch):
    first, second = [Reply(storage, hub, "this worker") for _ in range(2)]
    monkeypatch.setattr(storage, "begin", Mock(side_effect=StorageUnavailable("away")))

    for now, reply in ((100, first), (104, second), (106, None)):
        monkeypatch.setattr("webapp.pulse.time", Mock(monotonic=Mock(return_value=now)))
        if reply:
            reply.end()
        pulse.tick()

    assert [one.generation.shown()[1] is not None for one in (first, second)] == [True, False]


def test_followers_are_told_at_once_that_the_disk_is_full(storage, pulse, reply, monkeypatch):
    reply.say("Hello")
    reply.end()

    with monkeypatch.context() as patch:
        patch.setattr(storage, "begin", Mock(side_effect=StorageFull("full")))
        pulse.tick()
        _text, told = reply.generation.shown()
    pulse.tick()

    assert told is not None
    assert not told.saved
    assert reply.generation.shown()[1].saved


def test_a_running_reply_does_not_end_because_the_database_is_away(other_storage, pulse, reply, monkeypatch):
    monkeypatch.setattr("webapp.pulse.PATIENCE_SECONDS", 0)
    reply.say("Hello")

    with locked(other_storage):
        pulse.tick()
        pulse.tick()
    pulse.tick()

    assert reply.generation.shown() == (Delta("Hello"), None)


@pytest.mark.parametrize(("render_seconds", "status"), [(1000, "streaming"), (0, "done")])
def test_a_finished_reply_waits_for_its_html_for_a_while(storage, monkeypatch, render_seconds, status):
    monkeypatch.setattr("webapp.pulse.RENDER_SECONDS", render_seconds)
    rendered = Event()
    hub = Hub(lambda text: text if rendered.wait(15) else None)
    reply = Reply(storage, hub, "this worker")
    reply.say("Hello")
    reply.script.end()
    wait_until(lambda: reply.generation.since()[2], 15, "the end")
    pulse = Pulse(storage, hub, "this worker")

    pulse.tick()
    pulse.tick()
    message = stored(storage, reply.id)
    rendered.set()

    assert (message.status, message.html) == (status, None)


@pytest.mark.parametrize(("drain_seconds", "status"), [(1000, "streaming"), (0, "interrupted")])
def test_a_worker_that_shuts_down_interrupts_its_replies_after_a_while(
    storage, hub, pulse, reply, monkeypatch, drain_seconds, status
):
    monkeypatch.setattr("webapp.pulse.DRAIN_SECONDS", drain_seconds)
    reply.say("Hello")
    pulse.tick()
    assert reply.generation.since()[2] is None

    hub.is_stopping = lambda: True
    pulse.tick()

    assert stored(storage, reply.id).status == status


def test_a_reply_that_no_longer_belongs_to_this_worker_is_interrupted(storage, pulse, reply):
    reply.say("Hello")
    pulse.tick()
    with storage.begin() as tx:
        messages.interrupt(tx, [reply.id])
    reply.say(" world")

    pulse.tick()

    assert reply.generation.since()[2].status == "interrupted"
    assert stored(storage, reply.id).text == "Hello"


def test_a_reply_that_a_user_has_stopped_at_another_worker_is_stopped(storage, pulse, reply):
    reply.say("Hello")
    with storage.begin() as tx:
        messages.request_stop(tx, reply.id)

    pulse.tick()

    assert reply.generation.since()[2].status == "stopped"


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


def test_a_reply_whose_worker_dies_counts_as_failed_and_takes_its_own_pieces_along(storage, hub, pulse, reply):
    other = Reply(storage, hub, "this worker")
    for one in (reply, other):
        one.say("Hello")
    pulse.tick()

    with storage.begin() as tx:
        messages.interrupt(tx, [reply.id])

    with storage.read() as tx:
        left = {one.id: messages.pieces_after(tx, one.id, 0) for one in (reply, other)}
        (figures,) = spending.figures(tx, "day", "2000-01-01").values()
    assert left == {reply.id: [], other.id: [(1, Delta("Hello"))]}
    assert (figures.messages, figures.errors) == (1, 1)


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
    reply.say(" you")
    reply.end()
    pulse.tick()
    *more, message = steps

    whole = merge([*deltas, *more])
    assert (whole.text, whole.reasoning) == (message.text, message.reasoning) == ("Hello you", "I should greet.")


def test_a_follower_at_the_same_worker_gets_each_piece_and_then_the_finished_reply(storage, hub, pulse, reply):
    steps = Following(storage, hub).follow(stored(storage, reply.id))
    reply.say("Hello", "Why?")
    deltas = [next(steps)]
    reply.say(" you")
    deltas.append(next(steps))
    reply.end()
    pulse.tick()

    *more, message = steps

    assert merge([*deltas, *more]) == Delta("Hello you", "Why?")
    assert (message.text, message.reasoning, message.html) == ("Hello you", "Why?", "<p>Hello you</p>")
    assert (message.status, message.outcome.status, message.outcome.saved) == ("done", "done", True)


def test_at_another_worker_a_silent_reply_sends_its_followers_a_beat_again_and_again(storage, reply, monkeypatch):
    monkeypatch.setattr("webapp.following.FOLLOW_SECONDS", 0.01)
    steps, received = Following(storage, Hub(lambda text: text)).follow(stored(storage, reply.id)), []
    thread = threading.Thread(target=lambda: [received.append(step) for step in steps], daemon=True)

    thread.start()
    wait_until(lambda: received == [Delta()], 15, "the first beat")
    monkeypatch.setattr("webapp.following.BEAT_SECONDS", 0)
    wait_until(lambda: len(received) > 3, 15, "beats")

    assert set(received) == {Delta()}
    with storage.begin() as tx:
        messages.interrupt(tx, [reply.id])
    thread.join(15)


def test_another_worker_follows_on_after_the_database_was_away(storage, pulse, reply, monkeypatch):
    steps = Following(storage, Hub(lambda text: text)).follow(stored(storage, reply.id))
    with monkeypatch.context() as patch:
        patch.setattr(storage, "read", Mock(side_effect=StorageUnavailable("away")))
        assert next(steps) == Delta()

    reply.say("Hello")
    pulse.tick()

    assert next(steps) == Delta("Hello")


def test_the_pulse_saves_while_replies_run_and_looks_for_those_that_never_began(storage, hub, pulse, monkeypatch):
    never_began = add_reply(storage, "this worker")
    pulse._watch._lease_seconds = 0
    reply = Reply(storage, hub, "this worker")
    pulse.start()
    wait_until(lambda: stored(storage, never_began).status == "interrupted", 15, "the watch")

    monkeypatch.setattr("webapp.pulse.WATCH_SECONDS", 1000)
    reply.say("Hello")

    wait_until(lambda: saved_text(storage, reply.id) == ("Hello", ""), 15, "the pulse")
    pulse.close()


def test_a_new_worker_interrupts_the_replies_of_a_dead_one_at_once(storage, hub, monkeypatch):
    monkeypatch.setattr("webapp.pulse.WATCH_SECONDS", 1000)
    reply_id = add_reply(storage, "dead worker")
    pulse = Pulse(storage, hub, "this worker", ["dead worker"])

    pulse.start()

    wait_until(lambda: stored(storage, reply_id).status == "interrupted", 15, "the watch")
    pulse.close()


def test_a_worker_without_a_running_reply_wakes_for_the_watch_alone(hub, pulse, monkeypatch):
    waits, wait = [], hub.changed.wait
    monkeypatch.setattr("webapp.pulse.WATCH_SECONDS", 1000)
    monkeypatch.setattr(hub.changed, "wait", lambda seconds: waits.append(seconds) or wait(seconds))

    pulse.start()
    wait_until(lambda: waits, 15, "the pulse")
    pulse.close()

    assert waits == [1000]


def test_the_pulse_does_not_look_for_the_dead_at_each_tick(storage, pulse, reply, monkeypatch):
    look = Mock()
    monkeypatch.setattr(pulse._watch, "look", look)
    monkeypatch.setattr("webapp.pulse.WATCH_SECONDS", 1000)
    monkeypatch.setattr("webapp.pulse.TICK_SECONDS", 0.01)

    pulse.start()
    wait_until(lambda: (heartbeats(storage, "this worker") or 0) > 3, 15, "ticks")
    pulse.close()

    assert look.call_count <= 1


def test_another_worker_follows_text_and_reasoning(storage, pulse, reply):
    steps = Following(storage, Hub(lambda text: text)).follow(stored(storage, reply.id))
    deltas = []

    for text, reasoning in (("", "I should "), ("Hello", "greet."), (" there", "")):
        reply.say(text, reasoning)
        pulse.tick()
        deltas.append(next(steps))
    reply.say("!", " Done.")
    reply.end()
    pulse.tick()
    *more, message = steps

    whole = merge([*deltas, *more])
    assert (
        (whole.text, whole.reasoning) == (message.text, message.reasoning) == ("Hello there!", "I should greet. Done.")
    )


def test_a_reply_of_this_worker_is_stopped_at_once_and_without_a_write(storage, hub, reply, monkeypatch):
    monkeypatch.setattr("webapp.storage.WAIT_SECONDS", 0.0)
    with storage.begin():  # nobody else can write
        Following(storage, hub).stop(owner_of(storage, reply.id), reply.id)

    assert reply.generation.since()[2].status == "stopped"


def test_another_worker_stops_a_reply_and_shows_its_text_so_far(storage, pulse, reply):
    reply.say("Hello", "Greet")
    pulse.tick()

    message = Following(storage, Hub(lambda text: text)).stop(owner_of(storage, reply.id), reply.id)
    pulse.tick()

    assert (message.text, message.reasoning, message.status) == ("Hello", "Greet", "streaming")
    assert reply.generation.since()[2].status == "stopped"


def test_a_deleted_conversation_stops_its_own_replies_alone(storage, hub, pulse, reply):
    other = Reply(storage, hub, "this worker")
    with storage.begin() as tx:
        asked = messages.request_stops(tx, stored(storage, reply.id).conversation_id)

    pulse.tick()

    assert asked == [reply.id]
    assert reply.generation.since()[2].status == "stopped"
    assert other.generation.since()[2] is None


def test_a_stranger_stops_nothing_at_another_worker(storage, pulse, reply):
    reply.say("Hello")

    with pytest.raises(NotFound):
        Following(storage, Hub(lambda text: text)).stop("a stranger", reply.id)
    pulse.tick()

    assert reply.generation.since()[2] is None


def test_a_follower_behind_sees_text_that_became_reasoning_as_reasoning(reply):
    reply.say("I should")
    before, position, _ = reply.generation.since()
    reply.say(" greet.")
    reply.turn_into_reasoning("Hello")

    after = reply.generation.since(position)[0]

    assert (after.text, after.reasoning, after.was_reasoning) == ("Hello", " greet.", True)
    assert merge([before, after]).reasoning == "I should greet."
