"""The measuring programs measure: what the upstream sends is what its client sees, and what the answer says."""

from __future__ import annotations

import os
import shutil
from urllib.parse import urlsplit

import pytest

from tests.bench.load import answers, stage
from tests.conftest import need
from tests.upstream import Upstream, body
from tests.wait import wait_until
from webapp.lockchat import Lockchat


@pytest.fixture(autouse=True)
def compiler():
    need(shutil.which("cc"), "a C compiler (Debian: gcc, libc6-dev)")


def follow(tmp_path, upstream, port, number, question):
    """A client of so many streams at this port."""
    return stage.Client(tmp_path, port, [stage.completion(question)] * number, upstream, os.getpid())


def test_the_client_sees_all_that_the_upstream_sends(tmp_path):
    seen, sent, failed = 0, 0, 0
    with (
        stage.Upstream(tmp_path) as upstream,
        follow(tmp_path, upstream, upstream.port, 20, "#n=500,r=200,s=-1,d=0,h=1#") as client,
    ):

        def is_over():
            nonlocal seen, sent, failed
            window = client.window()
            seen, sent, failed = seen + window["times"], sent + window["sent_times"], window["failed"]
            return upstream.stats()["tokens"] == 20 * 500 and not window["times"]

        wait_until(is_over, 30)
        all_sent = upstream.stats()["times"]

    assert sent <= seen <= all_sent  # what was sent before the first window may be seen in it
    assert seen > 0
    assert failed == 0


def test_the_client_tells_streams_that_fail(tmp_path):
    with stage.Upstream(tmp_path) as upstream, Upstream() as refusing:
        refusing.always(*body(b"no", status=503, framing="length"))
        port = urlsplit(refusing.url).port
        with follow(tmp_path, upstream, port, 3, "#n=1,r=1,s=0,d=0,h=0#") as client:
            window = client.window()

    assert window["failed"] == 3
    assert "503" in window["problem"]


def test_the_upstream_sends_the_text_that_the_answer_says(tmp_path):
    with stage.Upstream(tmp_path) as upstream:
        question = [{"role": "user", "content": "Hi #n=3000,r=100000,s=0,d=0,h=0#"}]
        deltas = list(Lockchat(upstream.url).stream(question, "fake-model-1"))

    sent = "".join(delta.text for delta in deltas)
    assert answers.without_times(sent) == answers.without_times(answers.text(0, 3000))
    assert deltas[-1].finish_reason == "stop"


def test_times_are_in_prose_only():
    text = "".join(answers.pieces())

    assert answers.TIME in text
    assert not [line for line in text.splitlines() if answers.TIME in line and line.startswith(("|", "#", "```"))]
    assert answers.TIME not in "".join(text.split("```")[1::2])
