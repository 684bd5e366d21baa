"""The event stream codec against the specification, whole and cut everywhere."""

from __future__ import annotations

import contextlib
import time
import timeit
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.sse import Event, LineTooLong, decode, encode

# From https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
SPEC_EXAMPLES: list[Any] = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event(data="YHOO\n+2\n10")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        [Event(data="first event", id="1"), Event(data="second event")],
    ),
    (b"data\n\ndata\ndata\n\ndata:", [Event(), Event(data="\n")]),
    (b"data:test\n\ndata: test\n\n", [Event(data="test"), Event(data="test")]),
]

RULES = [
    pytest.param(b"data: a\r\rdata: b\r\r", [Event(data="a"), Event(data="b")], id="CR"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [Event(data="a"), Event(data="b")], id="CRLF"),
    pytest.param(b"data: a\r\ndata: b\r\n\r\n", [Event(data="a\nb")], id="CRLF inside an event"),
    pytest.param(b"data: a\r\n\ndata: b\n\r\n", [Event(data="a"), Event(data="b")], id="mixed line ends"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event(data="a")], id="a BOM at the start"),
    pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [], id="one BOM only"),
    pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event(data="a")], id="no BOM later"),
    pytest.param(b"\n\xef\xbb\xbfdata: a\n\n", [], id="no BOM in the second line"),
    pytest.param(b"event: end\ndata: a\n\ndata: b\n\n", [Event("end", "a"), Event(data="b")], id="event"),
    pytest.param(b"event: end\n\ndata: b\n\n", [Event(data="b")], id="no data, no event"),
    pytest.param(b"event:\ndata: b\n\n", [Event(data="b")], id="an empty event name"),
    pytest.param(b"id: 7\n\ndata: a\n\n", [Event(data="a", id="7")], id="the last id persists"),
    pytest.param(b"id: 7\nid: 8\0\ndata: a\n\n", [Event(data="a", id="7")], id="an id with NUL"),
    pytest.param(b"retry: 1000\ndata: a\n\ndata: b\n\n", [Event(data="a", retry=1000), Event(data="b")], id="retry"),
    pytest.param(b"retry: 5\n\ndata: a\n\n", [Event(data="a", retry=5)], id="retry alone waits for the next event"),
    pytest.param(b"retry: +5\nretry: 1_0\nretry:\ndata: a\n\n", [Event(data="a")], id="retry is digits"),
    pytest.param("retry: ٣\ndata: a\n\n".encode(), [Event(data="a")], id="retry is ASCII digits"),
    pytest.param(b"retry: " + b"9" * 9999 + b"\ndata: a\n\n", [Event(data="a")], id="an endless retry"),
    pytest.param(b"Data: a\n data: b\nfoo: c\nbar\ndata: d\n\n", [Event(data="d")], id="unknown fields"),
    pytest.param(b": hi\n:\n\ndata: a\n:x\ndata: b\n\n", [Event(data="a\nb")], id="comments"),
    pytest.param(b"data: a:b: c\n\n", [Event(data="a:b: c")], id="colons in the value"),
    pytest.param(b"data:\ta\n\n", [Event(data="\ta")], id="only a space is dropped"),
    pytest.param(b"data: a\n\ndata: b\n", [Event(data="a")], id="an unfinished event"),
    pytest.param(b"data: a\n\ndata: b", [Event(data="a")], id="an unfinished line"),
    pytest.param("data: é€𝄞\n\n".encode(), [Event(data="é€𝄞")], id="multi-byte UTF-8"),
    pytest.param(b"event: \xff\nid: \xfe\ndata: a\n\n", [Event("\ufffd", "a", "\ufffd")], id="broken UTF-8 in a name"),
    pytest.param(b"retry: " + b"9" * 18 + b"\ndata: a\n\n", [Event(data="a", retry=10**18 - 1)], id="18 digits"),
    pytest.param(b"retry: " + b"9" * 19 + b"\ndata: a\n\n", [Event(data="a")], id="19 digits"),
    pytest.param(b"data: \xff\xe2\x82\n\n", [Event(data="\ufffd\ufffd")], id="broken UTF-8"),
    pytest.param(
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\n\n".encode(),
        [Event(data="a\u2028b\u2029c\u0085d\x0be\x0cf")],
        id="other separators are text",
    ),
]

stream_bytes = st.lists(
    st.sampled_from([b"data", b"event", b"id", b"retry", b":", b" ", b"\r", b"\n", b"\r\n", b"\n\n", b"1", b"\0"])
    | st.binary(max_size=5)
).map(b"".join)


@pytest.mark.parametrize(("stream", "expected"), SPEC_EXAMPLES + RULES)
@pytest.mark.parametrize("size", [10**6, 1, 2, 3], ids=["whole", "by 1", "by 2", "by 3"])
def test_a_stream_gives_its_events_however_it_is_cut(stream: bytes, expected: list[Event], size: int) -> None:
    events = list(decode(cut(stream, size)))

    assert events == expected


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_dispatched_with_its_blank_line_before_the_next_byte(end: bytes) -> None:
    taken: list[bytes] = []
    blank_line = end[:1]  # an LF after the CR adds nothing

    event = next(decode(recorded([b"data: a", end, blank_line, b"never taken"], taken)))

    assert event == Event(data="a")
    assert taken == [b"data: a", end, blank_line]


@given(stream_bytes, st.data())
def test_random_bytes_give_the_same_events_however_cut(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert list(decode(pieces)) == list(decode([stream])) == list(decode(cut(stream, 1)))


@given(stream_bytes, st.integers(1, 12))
def test_random_bytes_raise_nothing_but_line_too_long(stream: bytes, limit: int) -> None:
    with contextlib.suppress(LineTooLong):
        for event in decode([stream], max_line_bytes=limit):
            assert len(event.data) <= limit


@given(st.text(), st.text().filter(lambda text: not set(text) & set("\r\n\0")) | st.none())
def test_what_was_encoded_decodes_to_one_event(data: str, name: str | None) -> None:
    (event,) = decode([encode(data, event=name, id=name, retry=3)])

    assert event == Event(name or "message", data.replace("\r\n", "\n").replace("\r", "\n"), name or "", 3)


def test_encoded_bytes_are_fields_in_a_fixed_order() -> None:
    encoded = encode("a\n\nb", event="patch", id="4", retry=1000)

    assert encoded == b"retry: 1000\nevent: patch\nid: 4\ndata: a\ndata: \ndata: b\n\n"


def test_text_cannot_forge_a_field_or_an_event() -> None:
    encoded = encode("x\r\rdata: forged\r\n\r\nevent: forged\n\nid: 1")

    assert list(decode([encoded])) == [Event(data="x\n\ndata: forged\n\nevent: forged\n\nid: 1")]


@pytest.mark.parametrize("character", ["\r", "\n", "\0"])
@pytest.mark.parametrize("field", ["event", "id"])
def test_a_line_end_or_nul_in_a_field_is_refused(field: str, character: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        encode("x", **{field: f"a{character}data: forged"})  # type: ignore[arg-type]


def test_a_negative_retry_is_refused() -> None:
    assert encode("x", retry=0) == b"retry: 0\ndata: x\n\n"
    with pytest.raises(ValueError, match="retry"):
        encode("x", retry=-1)


def test_a_lone_surrogate_does_not_stop_the_stream() -> None:
    assert list(decode([encode("a\ud800b")])) == [Event(data="a?b")]


@pytest.mark.parametrize("size", [10**6, 1])
def test_a_line_may_have_the_limit_and_no_byte_more(size: int) -> None:
    fits, exceeds = b"data: 4567\n\n", b"data: 45678\n\n"

    assert list(decode(cut(fits, size), max_line_bytes=10)) == [Event(data="4567")]
    with pytest.raises(LineTooLong, match="a line is longer than 10 bytes"):
        list(decode(cut(exceeds, size), max_line_bytes=10))


def test_an_endless_line_stops_at_the_limit() -> None:
    taken: list[bytes] = []

    with pytest.raises(LineTooLong):
        list(decode(recorded([b"x" * 10] * 1000, taken), max_line_bytes=100))

    assert len(taken) == 11


def test_the_data_lines_of_one_event_are_bounded_together() -> None:
    with pytest.raises(LineTooLong):
        list(decode([b"data: 1234\n"] * 1000, max_line_bytes=100))


def test_the_data_of_each_event_may_have_the_limit_and_no_byte_more() -> None:
    fits, exceeds = b"data:12345\ndata:6789\n\n", b"data:12345\ndata:67890\n\n"

    assert list(decode([fits * 2], max_line_bytes=10)) == [Event(data="12345\n6789")] * 2
    with pytest.raises(LineTooLong, match="the data of an event is longer than 10 bytes"):
        list(decode([exceeds], max_line_bytes=10))


def test_a_long_line_byte_by_byte_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        pieces = cut(b"data: " + b"x" * size + b"\n\n", 1)
        run = timeit.Timer(lambda: list(decode(pieces, max_line_bytes=10**7)), timer=time.thread_time)
        return min(run.repeat(3, number=1))

    assert seconds(400_000) < 16 * max(seconds(50_000), 0.01)


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def recorded(chunks: list[bytes], taken: list[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        taken.append(chunk)
        yield chunk
