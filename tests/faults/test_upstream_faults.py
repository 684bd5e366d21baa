"""The upstream misbehaves: each of ten replies ends in text or in a sentence, and the worker is as before."""

from __future__ import annotations

from itertools import chain, repeat

import pytest

from tests.faults.vitals import Vitals
from tests.server import free_port
from tests.upstream import Close, Reset, Wait, body, chunk, error, head, token, tokens
from tests.visitor import text_of
from tests.wait import wait_until

pytestmark = pytest.mark.faults

REPLIES = 10
HEAD = head(content_type="text/event-stream", transfer_encoding="chunked")
LIMITS = {"RETRIES": 0, "MAX_ANSWER_BYTES": 20_000, "MAX_LINE_BYTES": 50_000}
WORDS = ("Grüße ", "из ", "世界 ", "👩‍🚀")
JSON_ANSWER = b'{"choices": [{"message": {"content": "In one piece"}, "finish_reason": "stop"}]}'

# what the upstream does: (script, status, text, sentence)
FAULTS = {
    "stalls": (lambda _: [Wait()], "error", "", "did not begin to answer in time"),
    "stalls in its head": (lambda _: [HEAD[:20], Wait()], "error", "", "did not begin to answer in time"),
    "stalls mid-answer": (lambda _: body(token("Half"), Wait()), "error", "Half", "fell silent in the middle"),
    "resets": (lambda _: [Reset()], "error", "", "could not be reached"),
    "resets mid-answer": (lambda _: body(token("Half"), Wait(0.2), Reset()), "interrupted", "Half", "broke before"),
    "truncates": (lambda _: body(token("Half"), Close()), "interrupted", "Half", "broke before"),
    "drips": (lambda _: tokens(*WORDS, byte_by_byte=True), "done", "".join(WORDS), ""),
    "drips comments for ever": (
        lambda _: chain([HEAD, chunk(token("Half"))], *repeat([chunk(b": .\n"), Wait(0.05)], 1000)),
        "error",
        "Half",
        "took longer than this server allows",  # a comment is a sign of life
    ),
    "thinks for ever": (
        lambda _: chain([HEAD, chunk(token("Half"))], *repeat([chunk(token(reasoning="hm ")), Wait(0.05)], 1000)),
        "error",
        "Half",
        "took longer than this server allows",
    ),
    "floods": (
        lambda _: chain([HEAD], repeat(chunk(token("x" * 1000)), 100_000)),
        "error",
        "x" * 20_000,
        "longer than this server allows",
    ),
    "floods one line": (lambda _: chain([HEAD], repeat(chunk(b"x" * 1000), 100_000)), "error", "", "line longer than"),
    "answers HTML": (lambda _: body(b"<h1>Sign in</h1>", content_type="text/html"), "error", "", "a web page"),
    "answers JSON": (lambda _: body(JSON_ANSWER, content_type="application/json"), "done", "In one piece", ""),
    "answers an error": (lambda _: error(500, {"error": {"message": "Out of luck."}}), "error", "", "Out of luck."),
}
# The limits that end some of them. No other fault has one, which a busy machine could reach.
SHORT = {
    "stalls": {"FIRST_TOKEN_SECONDS": 1},
    "stalls in its head": {"FIRST_TOKEN_SECONDS": 1},
    "stalls mid-answer": {"IDLE_SECONDS": 1},
    "drips comments for ever": {"TOTAL_SECONDS": 8},  # in which the text has to come
    "thinks for ever": {"TOTAL_SECONDS": 8},
}


@pytest.fixture
def server(start_server):
    return start_server(**LIMITS)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_and_leaves_nothing_behind(start_server, open_browser, upstream, database, fault):
    script, status, text, words = FAULTS[fault]
    alice = open_browser(server := start_server(**LIMITS, **SHORT.get(fault, {})))
    alice.end(alice.new_chat("Warm up"))
    before = Vitals.of(server, upstream)

    upstream.always(script)
    replies = [alice.new_chat(f"Question {number}") for number in range(REPLIES)]
    ends = [alice.end(reply) for reply in replies]

    assert {words in end.get("message", words) for end in ends} == {True}, ends
    for reply in replies:
        stored = database.wait_for(reply, status)
        assert (stored.text, alice.raw(reply)) == (text, text)
    page = text_of(alice.page())
    assert words in page
    assert "Retry" in page
    assert database.piece_count() == 0
    before.are_back(server, upstream)


def test_an_upstream_that_refuses_is_told_and_leaves_nothing_behind(start_server, open_browser, upstream, database):
    server = start_server(URL=f"http://127.0.0.1:{free_port()}", RETRIES=1)
    alice = open_browser(server)
    before = Vitals.of(server, upstream)

    replies = [alice.new_chat("Hello") for _ in range(REPLIES)]

    wait_until(lambda: {alice.status(reply) for reply in replies} == {"error"}, 60)
    assert {row.text for row in database.all("assistant")} == {""}
    assert "The upstream could not be reached." in text_of(alice.page())
    before.are_back(server, upstream)


def test_retry_works_once_the_upstream_is_well_again(alice, upstream, database):
    upstream.answer(*FAULTS["truncates"][0](None))
    reply = alice.new_chat("Hello")
    database.wait_for(reply, "interrupted")

    answer = alice.post_form(f"/m/{reply}/retry", key="again")

    again = answer.headers["Location"].partition("#m-")[2]
    assert database.wait_for(again, "done").text == "Hello world"
    assert database.message(reply).text == "Half"
