"""Errors: counted by code, and a failed reply names the id that its log line has."""

from __future__ import annotations

import pytest

from tests.upstream import error
from tests.visitor import text_of

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/conversations", {"text": ""}, "invalid"),
        (f"/m/{UNKNOWN}/stop", {}, "not_found"),
        ("/presets", {"name": ""}, "invalid"),
        ("/nowhere", {}, "http_404"),
        ("/healthz", {}, "http_405"),
    ],
)
def test_an_error_is_counted_by_its_code(alice, path, fields, code):
    alice.post_form(path, **fields)
    alice.post_form(path, **fields)

    assert f'lockchat_errors_total{{code="{code}"}} 2.0' in alice.get("/metrics").text


def test_a_failed_reply_names_its_id_for_the_administrator(alice, upstream):
    upstream.always(*error(401, {"error": {"message": "Bad news."}}))
    reply = alice.new_chat("Hello")
    alice.end(reply)

    assert f"For the administrator: reply {reply[:8]}" in text_of(alice.page())


def test_a_reply_that_ended_well_names_no_id(alice):
    alice.end(alice.new_chat("Hello"))

    assert "For the administrator" not in text_of(alice.page())
