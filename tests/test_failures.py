"""No answer is ever empty: each failure of the upstream ends in its own sentence, after a reload too."""

from __future__ import annotations

import logging
import traceback

import pytest

from tests.upstream import Close, Reset, Wait, body, error, token
from tests.visitor import text_of
from webapp.errors import REASONS

LIMITS = {"retries": 0, "max_answer_bytes": 2000, "max_line_bytes": 4096}
SILENCES = {"first_token_timeout": {"first_token_seconds": 0.5}, "idle_timeout": {"idle_seconds": 0.5}}

OPENAI = {"error": {"message": "Bad news.", "code": ""}}

# reason -> the upstream's script
SCRIPTS = {
    "auth": error(401, OPENAI),
    "quota": error(429, {"error": {"message": "Pay first.", "code": "insufficient_quota"}}),
    "rate_limited": error(429, OPENAI, retry_after="60"),
    "bad_request": error(400, OPENAI),
    "context_length": error(400, {"error": {"message": "Too long.", "code": "context_length_exceeded"}}),
    "too_large": error(413, OPENAI),
    "model_not_found": error(404, {"error": {"message": "The model: `gpt-4` does not exist"}}),
    "unavailable": error(503, OPENAI),
    "upstream": error(500, OPENAI),
    "html": body(b"<!doctype html><h1>Welcome</h1>", content_type="text/html"),
    "redirect": error(302, "", location="http://127.0.0.1:1/"),
    "protocol": body(b"data: {broken\n\n"),
    "empty": body(b"data: [DONE]\n\n"),
    "filtered": body(token(finish="content_filter"), b"data: [DONE]\n\n"),
    "network": [Reset()],
    "cut_off": body(token("Half of it"), Close()),
    "first_token_timeout": [Wait()],
    "idle_timeout": body(token("Half of it"), Wait()),
    "answer_too_large": body(*[token("x" * 500)] * 5),
    "line_too_large": body(b"data: " + b"x" * 9000 + b"\n\n"),
}


@pytest.fixture
def site(make_site, request):
    reason = request.getfixturevalue("reason") if "reason" in request.fixturenames else ""
    return make_site(**LIMITS, **SILENCES.get(reason, {}))


@pytest.mark.parametrize("reason", SCRIPTS)
def test_a_failure_is_told_in_its_own_sentence(alice, upstream, reason):
    upstream.always(*SCRIPTS[reason])
    reply = alice.new_chat("Hello")

    end = alice.end(reply)
    page = text_of(alice.page())

    assert REASONS[reason][1] in page
    assert REASONS[reason][1] in end.get("message", REASONS[reason][1])
    assert alice.status(reply) == ("interrupted" if reason == "cut_off" else "error")


def test_a_busy_upstream_says_when_to_come_back(alice, upstream):
    upstream.always(*error(429, OPENAI, retry_after="61"))
    alice.end(alice.new_chat("Hello"))

    assert "Wait a moment, then retry. It asks to wait 61 seconds. (Bad news.)" in text_of(alice.page())
    alice.post_form("/preferences", language="ru")
    assert "Он просит подождать 61 секунду." in text_of(alice.page())


def test_one_log_line_joins_a_complaint_to_its_failure_by_the_replys_id(alice, upstream, caplog):
    upstream.always(*SCRIPTS["auth"])
    reply = alice.new_chat("Hello")

    alice.end(reply)

    assert f"For the administrator: reply {reply[:8]}" in text_of(alice.page())
    lines = [line for line in caplog.messages if "Bad news." in line]
    assert lines == [f"reply {reply[:8]} failed: auth: Bad news."]


@pytest.mark.parametrize("reason", ["cut_off", "idle_timeout"])
def test_what_came_before_the_failure_stands(alice, upstream, reason):
    upstream.always(*SCRIPTS[reason])
    reply = alice.new_chat("Hello")

    alice.end(reply)

    assert alice.raw(reply) == "Half of it"
    assert "Half of it" in text_of(alice.page())


def test_an_answer_at_the_length_limit_says_so(alice, upstream):
    upstream.answer(*body(token("Half"), token(finish="length"), b"data: [DONE]\n\n"))
    reply = alice.new_chat("Hello")

    alice.end(reply)

    assert "reached the model's length limit" in text_of(alice.page())


def test_the_upstreams_own_words_are_quoted_without_markup(alice, upstream):
    said = {"error": {"message": "Use <b>less</b> salt, see https://internal.example/x?key=1"}}
    upstream.answer(*error(400, said))
    reply = alice.new_chat("Hello")

    alice.end(reply)
    page = alice.page()

    assert "less salt" in text_of(page)
    assert "internal.example" not in page


def test_an_upstream_that_is_not_there_is_told(make_site, upstream):
    from tests.visitor import Visitor

    upstream.close()
    with Visitor(make_site(**LIMITS).extensions["url"]) as visitor:
        reply = visitor.new_chat("Hello")
        visitor.end(reply)

        assert REASONS["network"][1] in text_of(visitor.page())


def test_the_key_is_nowhere_but_in_the_request(make_site, upstream, database_url, tmp_path, caplog):
    from tests.visitor import Visitor

    caplog.set_level(logging.DEBUG)
    keys = ("Qx7-first+key/==", "sk-second-Zk81kdjfhg")
    app = make_site(**LIMITS, auth=keys[0], api_key=keys[1], first_token_seconds=1.5, idle_seconds=1.5)
    pages = []
    with Visitor(app.extensions["url"]) as visitor:
        for script in [*SCRIPTS.values(), error(401, f"Wrong key {keys[0]} or {keys[1]}")]:
            upstream.always(*script)
            reply = visitor.new_chat("Hello")
            pages += [str(list(visitor.events(reply))), visitor.page(), visitor.raw(reply)]

    records = "".join(
        str(r.__dict__) + "".join(traceback.format_exception(*r.exc_info)) if r.exc_info else str(r.__dict__)
        for r in caplog.records
    )
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for key in (*keys, "Qx7-first%2Bkey%2F%3D%3D"):
        assert key not in "".join(pages)
        assert key not in records
        assert key.encode() not in files
    assert "auth=Qx7-first%2Bkey%2F%3D%3D" in upstream.requests[0].target
