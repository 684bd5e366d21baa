"""A running reply: what its followers get, and what it keeps."""

from __future__ import annotations

import threading

import pytest

from tests.replies import Script
from tests.wait import wait_until
from webapp.chat import Delta, Outcome, merge
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


def test_a_silent_reply_sends_its_followers_a_beat_again_and_again(generation):
    received = []

    def follow():
        for step in generation.follow(beat_seconds=0.01):
            received.append(step)  # noqa: PERF402

    threading.Thread(target=follow, daemon=True).start()

    wait_until(lambda: len(received) > 3, 15, "beats")

    assert set(received) == {Delta()}


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
