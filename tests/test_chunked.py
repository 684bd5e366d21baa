"""Chunked bodies, as RFC 9112 section 7.1 has them, however the bytes are cut."""

from __future__ import annotations

import http.client
import socket

import pytest

from webapp.upstream.chunked import MAX_LINE_BYTES, Chunks, _File

BODIES = [
    (b"0\r\n\r\n", b""),
    (b"5\r\nHello\r\n0\r\n\r\n", b"Hello"),
    (b"5\r\nHello\r\n6\r\n world\r\n0\r\n\r\n", b"Hello world"),
    (b"0A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"a\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
    (b'5;name=value;other="a b"\r\nHello\r\n0;last\r\n\r\n', b"Hello"),
    (b"5 \r\nHello\r\n0\r\n\r\n", b"Hello"),
    (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    (b"a\r\nabcd1\r\na\r\n\r\n0\r\n\r\n", b"abcd1\r\na\r\n"),  # a chunk within a chunk is text
    (b"5\nHello\n0\n\n", b"Hello"),
    (b"5\r\nHello\r\n0\r\nX-Usage: 3\r\nX-Other: 4\r\n\r\n", b"Hello"),
]
BROKEN = [
    b"-5\r\nHello\r\n",
    b"+5\r\nHello\r\n",
    b"0x5\r\nHello\r\n",
    b"1_0\r\n0123456789abcdef\r\n",
    b"\r\n",
    b"x\r\n",
    b"5\r\nHello!\r\n0\r\n\r\n",
    b"5\r\nHello5\r\nworld\r\n",
    b"f" * 16 + b"\r\n",
]


@pytest.mark.parametrize(("body", "data"), BODIES)
def test_the_data_is_the_same_however_the_bytes_are_cut(body, data):
    for size in (1, 2, 3, 7, len(body)):
        chunks = Chunks()

        read = [chunks.feed(body[at : at + size]) for at in range(0, len(body), size)]

        assert b"".join(read) == data
        assert chunks.ended


def test_part_of_a_chunk_is_returned_at_once():
    assert Chunks().feed(b"ff\r\ndata: {}\n\n") == b"data: {}\n\n"


def test_all_chunks_that_are_there_come_at_once():
    chunks = Chunks()

    data = chunks.feed(b"5\r\nHello\r\n" * 100)

    assert data == b"Hello" * 100
    assert not chunks.ended


def test_the_data_before_a_failure_is_returned():
    chunks = Chunks()

    assert chunks.feed(b"5\r\nHello\r\nzz\r\n5\r\nworld") == b"Hello"
    assert chunks.failure


def test_what_follows_the_body_is_left_alone():
    chunks = Chunks()

    assert chunks.feed(b"1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") == b"a"
    assert chunks.ended


@pytest.mark.parametrize("body", BROKEN)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_chunk_is_an_error(body, size):
    chunks = Chunks()

    for at in range(0, len(body), size):
        chunks.feed(body[at : at + size])

    assert isinstance(chunks.failure, http.client.HTTPException)


@pytest.mark.parametrize("body", [b"1;", b"0\r\nX: "])
def test_a_line_without_end_is_an_error(body):
    chunks = Chunks()
    chunks.feed(body)

    chunks.feed(b"x" * (MAX_LINE_BYTES + 1))

    assert isinstance(chunks.failure, http.client.LineTooLong)


def test_a_line_may_have_the_limit():
    chunks = Chunks()
    extension = b"x" * (MAX_LINE_BYTES - len(b"1;\r"))

    assert chunks.feed(b"1;" + extension + b"\r\na\r\n") == b"a"
    assert not chunks.failure


@pytest.mark.parametrize("body", [b"", b"5", b"5\r\n", b"5\r\nHe", b"5\r\nHello", b"5\r\nHello\r\n"])
def test_a_connection_that_ends_in_the_middle_is_an_error(body):
    chunks = Chunks()
    chunks.feed(body)

    chunks.close()

    assert isinstance(chunks.failure, http.client.IncompleteRead)


def test_a_line_of_just_the_limit_waits_for_nothing_more():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.sendall(b"HTTP/1.1 2")

        assert _File(ours).readline(10) == b"HTTP/1.1 2"


def test_a_connection_may_end_in_place_of_the_last_blank_line():
    chunks = Chunks()
    chunks.feed(b"1\r\na\r\n0\r\n")

    chunks.close()

    assert chunks.ended
