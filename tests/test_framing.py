"""The blocks of an answer become events, wherever they are cut: objects in rows where all are, else one by one."""

from __future__ import annotations

import pytest

from webapp import sse
from webapp.sse import Event
from webapp.upstream import framing

A, B, C = b'{"a":1}', b'{"b":2}', b'{"c":3}'
EVENT_A, EVENT_B = Event(data='{"a":1}'), Event(data='{"b":2}')
COMMENT = Event(framing.COMMENT)
ERROR = Event("error", '{"m":1}')


def events_of(*blocks: bytes, most: int = 1000) -> list[Event | list[bytes]]:
    return list(framing.events(iter(blocks), most))


CASES: list[tuple[list[bytes], list[Event | list[bytes]]]] = [
    # Rows of objects, and the line that has begun after them.
    ([b"data: %b\n\n" % A], [[A]]),
    ([b"data: %b\n\ndata: %b\n\n" % (A, B)], [[A, B]]),
    ([b"data: %b\n\nda" % A, b"ta: %b\n\n" % B, b"data: %b\n\n" % C], [[A], [B], [C]]),
    # An answer that broke off: a caller has to know that its last event has no end of its own.
    ([b"data: %b\n\ndata: %b" % (A, B), b"\n\n"], [[A], EVENT_B]),
    # Anything else goes line by line, up to a blank one.
    ([b"data: %b\n" % A, b"\n"], [EVENT_A]),
    ([b"data: %b\r\n\r\n" % A], [EVENT_A]),
    ([b"data: %b\n\ndata: {\r\n\n" % A], [EVENT_A, Event(data="{")]),
    ([b"data: %b\n\ndata: [DONE]\n\n" % A], [EVENT_A, Event(data="[DONE]")]),
    ([b"data: %b\n\nevent: x\ndata: %b\n\n" % (A, B)], [EVENT_A, Event("x", '{"b":2}')]),
    ([b"data: %b\n\n\ndata: %b\n\n" % (A, B)], [EVENT_A, EVENT_B]),
    ([b"data: %b\n\nid: 1\n\ndata: %b\n\n" % (A, B)], [EVENT_A, Event(data='{"b":2}', id="1")]),
    ([b"data: %b\n\ndata:%b\n\n" % (A, B)], [EVENT_A, EVENT_B]),
    ([b"data: {\ndata: }\n\n", b"data: %b\n\n" % A], [Event(data="{\n}"), [A]]),
    ([b"data: x\n\n", b"data: %b\n\n" % A], [Event(data="x"), [A]]),
    ([b"data: %b\n\ndata: %b\nid" % (A, B), b": 1\n\n"], [EVENT_A, Event(data='{"b":2}', id="1")]),
    ([b"data: x\n", b"\ndata: %b" % A, b"\n\n", b"data: %b\n\n" % B], [Event(data="x"), EVENT_A, [B]]),
    ([b"data: x\n"], []),
    # Events divided by single line ends.
    ([b"data: %b\ndata: %b\n\n" % (A, B)], [EVENT_A, EVENT_B]),
    ([b"event: x\ndata: %b\n\n" % A], [Event("x", '{"a":1}')]),
    # Comments, and errors in a line of their own.
    ([b": hi\n\n", b"data: %b\n\n" % A], [COMMENT, [A]]),
    ([b"data: x\n: hi\n\n: hi\n\n"], [Event(data="x"), COMMENT]),
    ([b": hi\ndata: x\n\n"], [COMMENT, Event(data="x")]),
    ([b"event: x\n: hi\ndata: y\n\n"], [Event("x", "y")]),
    ([b'error: {"m":1}\n', b"\n"], [ERROR]),
    ([b'data: {"a":1}\nerror: {"m":1}\ndata: x\n\n'], [EVENT_A, ERROR, Event(data="x")]),
    ([b'error: {"m":1}\n: hi\n\n'], [ERROR, COMMENT]),
    ([b'error: {"m":1}\nevent: x\ndata: y\n\n'], [ERROR, Event("x", "y")]),
    ([b'{"error": 1}\n', b"\n"], [Event("error", '{"error": 1}')]),
    # A byte order mark counts at the very beginning only.
    ([b": hi\n\n", b"\xef\xbb\xbfdata: x\n\n"], [COMMENT]),
]


@pytest.mark.parametrize(("blocks", "events"), CASES, ids=str)
def test_the_blocks_become_events(blocks: list[bytes], events: list[Event | list[bytes]]) -> None:
    assert events_of(*blocks) == events


def test_a_long_block_is_read_line_by_line_and_a_long_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    block = b"data: %b\n\ndata: %b\n\n" % (A, B)
    monkeypatch.setattr(framing, "SHORT_BYTES", len(block))

    assert events_of(block) == [[A, B]]
    assert events_of(block, most=len(block)) == [[A, B]]
    assert events_of(block, most=len(block) - 1) == [EVENT_A, EVENT_B]
    assert events_of(block + b"data: %b\n\n" % A, block) == [EVENT_A, EVENT_B, EVENT_A, [A, B]]
    with pytest.raises(sse.LineTooLong):
        events_of(b"data: %b\n\n" % A, most=10)
    with pytest.raises(sse.LineTooLong):
        events_of(b"data: x\n" * 5 + b"\n", most=8)  # each line counts with its end
    assert events_of(b"data: x\n" * 4 + b"\n", most=8) == [Event(data="x\nx\nx\nx")]


@pytest.mark.parametrize(
    ("blocks", "opening", "rest"),
    [
        ([b"{", b"x"], b"{", [b"x"]),
        ([b" \n", b"\xef\xbb", b"\xbf \r\n", b" {", b"x"], b"{", [b"x"]),
        ([b" \xef\xbb\xbf {\n", b"x"], b"{\n", [b"x"]),
        ([b"\xef", b"x"], b"\xefx", []),
        ([b"\xef\xbb"], b"\xef\xbb", []),
        ([b" ", b"\n"], b"", []),
    ],
)
def test_the_opening_is_what_comes_after_white_space(blocks: list[bytes], opening: bytes, rest: list[bytes]) -> None:
    coming = iter(blocks)

    assert framing.opening_of(coming) == opening
    assert list(coming) == rest
