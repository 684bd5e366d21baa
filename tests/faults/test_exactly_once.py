"""One send is one message and one call of the upstream, however often and wherever it arrives."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.upstream import Wait, body, token
from tests.wait import wait_until

pytestmark = pytest.mark.faults

POSTS = 20


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("where", ["a new chat", "an old chat", "a retry", "an edit"])
def test_twenty_parallel_posts_with_one_key(start_server, open_browser, upstream, database, workers, where):
    server = start_server(workers=workers)
    alice = open_browser(server)
    upstream.answer(*body(token("Before"), b"data: [DONE]\n\n"))
    first = alice.new_chat("First")
    question = database.wait_for(first, "done").parent_id
    upstream.always(*body(token("After"), Wait(0.5), b"data: [DONE]\n\n"))
    path = {
        "a new chat": "/conversations",
        "an old chat": f"/c/{alice.conversation_id}/messages",
        "a retry": f"/m/{first}/retry",
        "an edit": f"/m/{question}/edit",
    }[where]

    def post(_number):
        form, cookies = {"text": "Once", "key": "the key"}, alice.cookies.get_dict()
        return requests.post(server.url + path, form, cookies=cookies, allow_redirects=False, timeout=30)

    with ThreadPoolExecutor(POSTS) as pool:
        answers = list(pool.map(post, range(POSTS)))

    assert {answer.status_code for answer in answers} == {303}, [answer.status_code for answer in answers]
    [place] = {answer.headers["Location"] for answer in answers}
    database.wait_for(place.partition("#m-")[2], "done")
    assert len(database.all("assistant")) == 2
    assert len(database.all("user")) == (1 if where == "a retry" else 2)
    assert len(upstream.requests) == 2


def test_a_send_that_is_repeated_at_the_limit_is_not_refused(start_server, open_browser, upstream, database):
    alice = open_browser(start_server(STREAMS_PER_USER=1))
    upstream.always(*body(token("x"), Wait()))
    reply = alice.new_chat("Once", key="the key")

    again = alice.post_form("/conversations", text="Once", key="the key")

    assert (again.status_code, again.headers["Location"].partition("#m-")[2]) == (303, reply)
    alice.stop(reply)
    database.wait_for(reply, "stopped")


@pytest.mark.parametrize("way", ["stop", "delete"])
def test_a_stop_from_any_worker_closes_the_upstream_within_a_second(
    start_server, open_browser, upstream, database, way
):
    server = start_server(workers=2)
    alice = open_browser(server)
    upstream.always(*body(token("Half"), Wait()))
    seconds = []

    for number in range(12):  # each post comes on a connection of its own, to whichever worker takes it
        upstream.client_left.clear()
        reply = alice.new_chat(f"Question {number}")
        wait_until(lambda reply=reply: alice.raw(reply) == "Half", 60)
        cookies = alice.cookies.get_dict()
        path = f"/m/{reply}/stop" if way == "stop" else f"/c/{alice.conversation_id}/delete"
        answer = requests.post(server.url + path, cookies=cookies, allow_redirects=False, timeout=30)
        assert answer.status_code == 303
        seconds.append(time_until(upstream.client_left))
        assert database.wait_for(reply, "stopped").text == "Half"

    print("stop seconds", sorted(round(s, 3) for s in seconds))
    assert sorted(seconds)[len(seconds) // 2] < 1
    assert sorted(seconds)[-2] < 4
    assert max(seconds) < 20  # where the machine stands still once


def time_until(event):
    """The seconds until the event is set."""
    started = time.monotonic()
    assert event.wait(20)
    return time.monotonic() - started
