"""A running reply: what its followers get, and what it keeps."""

from __future__ import annotations

import _thread
import threading
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from tests.replies import Script
from tests.wait import wait_until
from webapp.chat import Delta, Failure, Outcome, Picture, Reference, Usage, merge
from webapp.errors import UpstreamError
from webapp.generation import Hub


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def generation(script):
    hub = Hub(lambda text: None)
    hub.start("reply", script, lambda: None)
    generation = hub.all()["reply"]
    yield generation
    generation.stop()
    generation.settle(saved=True)


def test_merged_deltas_have_all_text_and_all_reasoning():
    assert merge([Delta("a", "1"), Delta("", "2"), Delta("b")]) == Delta("ab", "12")


def test_a_follower_gets_text_and_reasoning(script, generation):
    script.say(reasoning="Why")
    script.say("Because", ", then")
    script.end()
    wait_until(lambda: generation.is_rendered, 15)
    generation.settle(saved=True)

    *deltas, outcome = generation.follow()

    assert merge(deltas) == Delta("Because", "Why, then")
    assert isinstance(outcome, Outcome)
    assert outcome.status == "done"


class AtOnce(Script):
    """A source whose deltas all arrive together."""

    def __iter__(self):
        yield from (Delta("Be", "Wh"), Delta("cause"), Delta("", "y"))


def test_deltas_that_arrive_together_are_all_kept():
    hub = Hub(lambda text: None)
    hub.start("reply", AtOnce(), lambda: None)
    generation = hub.get("reply")

    wait_until(lambda: generation.is_rendered, 15)

    assert generation.since()[0] == Delta("Because", "Why")


def test_a_silent_reply_sends_its_followers_a_beat_again_and_again(generation):
    received = []

    def follow():
        for step in generation.follow(beat_seconds=0.01):
            received.append(step)  # noqa: PERF402

    threading.Thread(target=follow, daemon=True).start()

    wait_until(lambda: len(received) > 3, 15, "beats")

    assert set(received) == {Delta()}


def test_a_follower_is_told_what_the_upstream_does_until_text_comes(script, generation):
    steps = generation.follow()
    next(steps)

    script.tell("calling")
    told = next(steps)
    script.tell("calling")  # again, which is no news
    script.say("Because")

    assert [told, next(steps)] == [Delta(activity="calling"), Delta("Because")]


def test_a_reply_is_stopped_though_the_system_has_no_thread_left(script, generation, monkeypatch):
    monkeypatch.setattr(_thread, "start_new_thread", Mock(side_effect=RuntimeError("can't start new thread")))

    generation.stop()

    wait_until(lambda: generation.is_rendered, 15)
    assert generation.since()[2].status == "stopped"


def test_a_reply_is_read_to_its_end_though_the_system_has_no_second_thread_left(script, monkeypatch):
    threads = iter([_thread.start_new_thread])  # a second call raises
    hub = Hub(lambda text: None)
    monkeypatch.setattr(
        _thread, "start_new_thread", lambda *given: next(threads, Mock(side_effect=RuntimeError))(*given)
    )
    hub.start("reply", script, lambda: None)
    generation = hub.get("reply")
    for text in ("One", ", two", ", three"):
        script.say(text)
    script.end()

    wait_until(lambda: generation.is_rendered, 15)

    delta, _position, outcome = generation.since()
    assert (delta.text, outcome.status) == ("One, two, three", "done")


def test_a_follower_of_a_silent_reply_is_told_so_at_once(generation):
    received = []

    def follow():
        received.append(next(generation.follow(beat_seconds=1000)))

    threading.Thread(target=follow, daemon=True).start()

    wait_until(lambda: received == [Delta()], 15, "the first delta")


def test_nul_becomes_a_replacement_character_in_text_and_reasoning(script, generation):
    script.say("a\0b", "c\0d")
    script.end()

    wait_until(lambda: generation.is_rendered, 15)

    assert generation.since()[0] == Delta("a\ufffdb", "c\ufffdd")


def test_the_first_token_comes_between_the_start_and_the_end(script, generation):
    script.say(reasoning="Why")
    script.say("Because")
    script.end()

    wait_until(lambda: generation.is_rendered, 15)

    outcome = generation.since()[2]
    assert 0 < outcome.first_token_seconds <= outcome.seconds < 60


def test_a_reply_without_a_token_has_no_first_one(script, generation):
    script.end()

    wait_until(lambda: generation.is_rendered, 15)

    assert generation.since()[2].first_token_seconds is None


@pytest.mark.parametrize(
    "told",
    [
        {"finish_reason": "length"},
        {"usage": Usage(3, 4)},
        {"sources": (Reference("https://a.example", "A"),)},
        {"tool": "search"},
        {"dropped": ("temperature",)},
    ],
    ids=str,
)
def test_the_outcome_has_what_the_upstream_told_of_the_whole_reply(script, generation, told):
    script.say("Because")
    script.take(Delta(**told))
    script.end()

    wait_until(lambda: generation.is_rendered, 15)

    outcome = generation.since()[2]
    assert {name: getattr(outcome, name) for name in told} == told


@pytest.mark.parametrize("step", [1, -1])
def test_the_finish_reason_and_the_usage_may_come_apart(script, generation, step):
    for delta in (Delta(finish_reason="stop"), Delta(usage=Usage(3, 4)))[::step]:
        script.take(delta)
    script.end()

    wait_until(lambda: generation.is_rendered, 15)

    outcome = generation.since()[2]
    assert (outcome.finish_reason, outcome.usage) == ("stop", Usage(3, 4))


def test_the_outcome_is_not_shown_before_the_reply_is_saved(script, generation):
    script.say("Because")
    script.end()
    wait_until(lambda: generation.is_rendered, 15)

    before = generation.shown()
    generation.settle(saved=True)

    assert before == (Delta("Because"), None)
    assert generation.shown()[1].status == "done"


def test_a_follower_gets_the_outcome_once_the_reply_is_saved(script, generation):
    received = []
    threading.Thread(target=lambda: received.extend(generation.follow(beat_seconds=0.01)), daemon=True).start()
    script.end()
    wait_until(lambda: generation.is_rendered, 15)
    number = len(received)

    wait_until(lambda: len(received) > number + 2, 15, "beats after the end")
    before = [step for step in received if isinstance(step, Outcome)]
    generation.settle(saved=True)

    wait_until(lambda: isinstance(received[-1], Outcome), 15, "the outcome")
    assert before == []


def test_a_stop_ends_the_reply_once_and_closes_the_source():
    script, ends = Script(), []
    hub = Hub(lambda text: None)
    hub.start("reply", script, lambda: ends.append(True))
    generation = hub.get("reply")

    assert hub.stop("reply")
    wait_until(lambda: generation.is_rendered, 15)

    assert generation.since()[2].status == "stopped"
    assert ends == [True]
    assert not hub.stop("another")
    hub.discard("reply")
    hub.discard("reply")  # as by the end of a worker and a start that failed


class Breaking(Script):
    """A source that gives some text, then raises this error."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    def __iter__(self):
        yield Delta("Half")
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "failure"),
    [
        (UpstreamError("cut_off"), "interrupted", UpstreamError("cut_off").failure),
        (UpstreamError("network"), "error", UpstreamError("network").failure),
        (ValueError("a mistake of this program"), "error", Failure("internal")),
    ],
    ids=["cut off", "another failure", "a mistake"],
)
def test_a_reply_that_fails_keeps_its_text_and_is_logged(caplog, error, status, failure):
    hub = Hub(lambda text: None)
    hub.start("0123456789", Breaking(error), lambda: None)
    generation = hub.get("0123456789")
    wait_until(lambda: generation.is_rendered, 15)

    delta, _position, outcome = generation.since()

    assert (delta.text, outcome.status, outcome.failure) == ("Half", status, failure)
    assert any(message.startswith("reply 01234567") for message in caplog.messages)


class Refusing(Script):
    """A source that fails before it gives anything."""

    def __iter__(self):
        raise UpstreamError("network")
        yield


def test_a_reply_that_fails_before_its_first_text_ends_in_its_error():
    hub = Hub(lambda text: None)
    hub.start("reply", Refusing(), lambda: None)
    generation = hub.get("reply")

    wait_until(lambda: generation.is_rendered, 15)

    outcome = generation.since()[2]
    assert (outcome.status, outcome.failure) == ("error", UpstreamError("network").failure)


PICTURES = tuple(Picture("image/png", number, data=b"x" * number) for number in (1, 2, 3))


@pytest.fixture
def run(script):
    """Start a reply whose pictures are stored by this function; ends with the test."""
    hubs = []

    def run(keep):
        hubs.append(Hub(lambda text: None, keep))
        hubs[-1].start("reply", script, lambda: None)
        return hubs[-1].get("reply")

    yield run
    for hub in hubs:
        hub.stop("reply")


def test_text_does_not_wait_for_a_picture_to_be_stored(script, run):
    go_on = threading.Event()
    generation = run(lambda reply_id, picture: go_on.wait(15) and picture)
    script.take(Delta(images=PICTURES[:1]))

    script.say("Here.")

    wait_until(lambda: generation.since()[0].text == "Here.", 15)
    assert generation.pictures() == ()
    go_on.set()
    wait_until(generation.pictures, 15)


def test_pictures_stay_in_order_however_long_each_takes(script, run):
    first = threading.Event()

    def keep(reply_id, picture):
        assert picture.size > 1 or first.wait(15)
        return picture

    generation = run(keep)
    for picture in PICTURES:
        script.take(Delta(images=(picture,)))
    first.set()
    script.end()

    wait_until(lambda: generation.is_rendered, 15)

    assert generation.pictures() == PICTURES


def test_a_stopped_reply_waits_for_its_pictures_before_it_is_saved(script, run):
    go_on = threading.Event()
    generation = run(lambda reply_id, picture: go_on.wait(15) and picture)
    script.take(Delta(images=PICTURES[:1]))
    script.say("Here.")
    wait_until(lambda: generation.since()[0].text, 15)

    generation.stop()

    assert not generation.is_rendered
    go_on.set()
    wait_until(lambda: generation.is_rendered, 15)
    assert generation.pictures() == PICTURES[:1]


def test_a_stop_in_the_moment_in_which_a_picture_comes_waits_for_it(script, run, monkeypatch):
    generation = run(lambda reply_id, picture: picture)
    waits: list[bool] = []

    def stop_meanwhile(**options):
        stop = threading.Thread(target=generation.stop)
        stop.start()
        stop.join(0.3)
        waits.append(stop.is_alive())
        return threading.Thread(**options)

    monkeypatch.setattr("webapp.generation.threading", SimpleNamespace(Thread=stop_meanwhile))
    script.take(Delta(images=PICTURES[:1]))

    wait_until(lambda: generation.is_rendered, 15)
    assert generation.pictures() == PICTURES[:1]
    assert waits == [True]


def test_a_picture_without_a_thread_to_store_it_ends_the_reply(script, run, monkeypatch):
    generation = run(lambda reply_id, picture: picture)
    monkeypatch.setattr(
        "webapp.generation.threading",
        SimpleNamespace(
            Thread=Mock(return_value=Mock(start=Mock(side_effect=RuntimeError), join=Mock(side_effect=RuntimeError)))
        ),
    )

    script.take(Delta(images=PICTURES[:1]))

    wait_until(lambda: generation.is_rendered, 15)
    assert generation.since()[2].failure == Failure("internal")


def test_a_picture_that_cannot_be_stored_is_named_and_the_others_stay(script, run, caplog):
    def keep(reply_id, picture):
        if picture.size == 2:
            raise OSError
        return picture

    generation = run(keep)
    script.take(Delta(images=PICTURES))
    script.end()

    wait_until(lambda: generation.is_rendered, 15)

    assert [picture.size for picture in generation.pictures()] == [1, 3]
    assert generation.since()[2].dropped == ("picture",)
    said = [record.getMessage() for record in caplog.records if record.name == "webapp.generation"]
    assert said == ["a picture of reply reply could not be stored"]
