"""When a worker is taken for dead. The test calls each look; what counts is the order of looks, not their time."""

from __future__ import annotations

import pytest

from tests.replies import Reply, add_reply, locked, stored
from webapp.generation import Hub
from webapp.pulse import Pulse
from webapp.watch import Watch


@pytest.fixture
def watch(storage):
    """The watch of this worker: a look sees a count, the second one suspects, the third one buries."""
    return Watch(storage, Hub(lambda text: None), "this worker", lease_seconds=0, grace_seconds=0)


def test_a_worker_that_does_not_count_is_buried_at_the_third_look(storage, watch):
    reply_id = add_reply(storage, "dead worker")

    statuses = []
    for _ in range(3):
        watch.look()
        statuses.append(stored(storage, reply_id).status)

    assert statuses == ["streaming", "streaming", "interrupted"]


def test_a_worker_whose_pulse_ticks_lives(storage, watch):
    hub = Hub(lambda text: None)
    reply = Reply(storage, hub, "live worker")
    pulse = Pulse(storage, hub, "live worker")

    for _ in range(5):
        pulse.tick()
        watch.look()

    assert stored(storage, reply.id).status == "streaming"
    reply.generation.stop()


def test_a_suspect_is_suspected_anew_after_the_database_was_away(storage, watch, other_storage):
    reply_id = add_reply(storage, "slow worker")
    watch.look()
    watch.look()

    with locked(other_storage):
        watch.look()
    watch.look()
    assert stored(storage, reply_id).status == "streaming"

    watch.look()
    assert stored(storage, reply_id).status == "interrupted"


def test_only_a_worker_that_is_known_to_be_dead_is_buried_at_the_first_look(storage):
    dead, silent = add_reply(storage, "dead worker"), add_reply(storage, "silent worker")

    Watch(storage, Hub(lambda text: None), "this worker", ["dead worker"]).look()

    assert [stored(storage, reply_id).status for reply_id in (dead, silent)] == ["interrupted", "streaming"]


@pytest.mark.parametrize("worker_id", ["dead worker", "this worker"], ids=["dead", "its own that never began"])
def test_it_says_once_when_it_interrupted_a_reply(storage, watch, worker_id):
    said = []
    watch.on_interrupted.append(lambda: said.append(stored(storage, reply_id).status))
    reply_id = add_reply(storage, worker_id)

    for _ in range(4):
        watch.look()

    assert said == ["interrupted"]


def test_a_known_dead_worker_is_buried_when_the_database_is_back(storage, other_storage):
    reply_id = add_reply(storage, "dead worker")
    watch = Watch(storage, Hub(lambda text: None), "this worker", ["dead worker"])

    with locked(other_storage):
        watch.look()
    assert stored(storage, reply_id).status == "streaming"

    watch.look()
    assert stored(storage, reply_id).status == "interrupted"
