"""The real gunicorn: tokens pass at once, long streams live, a stop is quick, bad settings are told."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.samples import some
from tests.server import ROOT
from tests.upstream import FRAMINGS, Wait, body, token
from tests.visitor import Visitor


@pytest.fixture
def server(start_server):
    return start_server()


@pytest.fixture
def alice(server):
    with Visitor(server.url) as visitor:
        yield visitor


@pytest.mark.parametrize("framing", some(FRAMINGS, 3))
def test_a_token_is_not_held_back_for_the_next_one(alice, upstream, framing):
    go_on = threading.Event()
    upstream.answer(*body(token("first"), Wait(go_on), token("later"), b"data: [DONE]\n\n", framing=framing))
    reply = alice.new_chat("Hello")

    events = alice.events(reply)
    before = next(event.data for event in events if "first" in event.data)
    go_on.set()
    after = "".join(event.data for event in events)

    assert "later" not in before
    assert "later" in after


def test_a_page_opens_while_many_replies_run(alice, server, upstream):
    go_on = threading.Event()
    upstream.always(*body(token("x"), Wait(go_on), b"data: [DONE]\n\n"))
    replies = [alice.new_chat("Hello") for _ in range(19)]
    follower = alice.events(replies[0])
    next(follower)

    started = time.monotonic()
    assert alice.get("/").status_code == 200
    seconds = time.monotonic() - started
    go_on.set()

    assert [event.event for event in follower][-1] == "end"
    assert seconds < 5


def test_a_gentle_stop_is_quick(alice, server, upstream):
    upstream.always(*body(token("x"), Wait()))
    reply = alice.new_chat("Hello")
    next(alice.events(reply))

    started = time.monotonic()
    server.signal(signal.SIGTERM)

    assert server.wait(20) == 0
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    some(
        [
            ("LOCKCHAT_BIND", "0.0.0.0:0", "LOCKCHAT_ALLOW_OPEN=0.0.0.0"),
            ("LOCKCHAT_URL", "http://api.example.com", "LOCKCHAT_ALLOW_HTTP=api.example.com"),
            ("LOCKCHAT_RETRIES", "x", "Accepted: a whole number"),
            ("LOCKCHAT_URL", "https://me:hunter2hunter2@api.example.com", "LOCKCHAT_URL holds a key"),
            ("LOCKCHAT_URL", "https://api.example.com/v1?key=hunter2hunter2", "LOCKCHAT_URL holds a key"),
            ("LOCKCHAT_SECRET_KEY", "hunter2hunter2hunter2", "LOCKCHAT_SECRET_KEY is too easy to guess"),
            ("LOCKCHAT_METRICS_TOKEN", "hunter2hunter2hunter2", "LOCKCHAT_METRICS_TOKEN is too easy to guess"),
            ("LOCKCHAT_LOGIN", "proxy", "set LOCKCHAT_PROXIES"),
            ("LOCKCHAT_LOGIN", "oidc", "needs LOCKCHAT_OIDC_ISSUER"),
        ],
        3,
    ),
)
def test_a_bad_setting_stops_the_start_with_one_line(tmp_path, setting, value, words):
    environment = {"PATH": "/usr/bin", "LOCKCHAT_DATA_DIR": str(tmp_path), setting: value}

    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "wsgi:app"], cwd=ROOT, env=environment, capture_output=True, timeout=60
    )

    assert done.returncode != 0
    said = done.stderr.decode()
    assert words in said
    assert "Traceback" not in said
    assert "hunter2" not in said
