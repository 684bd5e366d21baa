"""Reads the body of a chunked response: all chunks that have arrived, in one call.

http.client returns one chunk a call, and servers send one chunk for each token. A reader that pauses falls behind.
https://www.rfc-editor.org/rfc/rfc9112#section-7.1
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

BUFFER_BYTES = 1_024  # of one read of the head
MAX_LINE_BYTES = 65_536  # of a chunk's size with its extensions, or of a trailer

_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_USUAL_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")


class _Line(Enum):
    """The kind of the next line."""

    SIZE = auto()
    CHUNK_END = auto()
    TRAILER = auto()


class Chunks:
    """Decodes chunks. The bytes may be cut anywhere.

    `ended` is True after the last chunk and its trailers. `failure` is the error of bytes that are no chunks; use the
    data before them first.
    """

    def __init__(self) -> None:
        self.ended = False
        self.failure: http.client.HTTPException | None = None
        self._next = _Line.SIZE
        self._left_bytes = 0  # of the current chunk
        self._half_line = b""

    def feed(self, block: bytes) -> bytes:
        """Return the data in these bytes."""
        data, position = self._whole_chunks(block)
        while position < len(block) and not self.ended and not self.failure:
            if self._left_bytes:
                data.append(block[position : position + self._left_bytes])
                position += len(data[-1])
                self._left_bytes -= len(data[-1])
                continue
            end = block.find(b"\n", position)
            line = self._half_line + block[position : end if end >= 0 else len(block)]
            if len(line) > MAX_LINE_BYTES:
                self.failure = http.client.LineTooLong("chunk size or trailer")
            if end < 0:
                self._half_line = line
                break
            self._half_line, position = b"", end + 1
            self._take(line.removesuffix(b"\r"))
        return b"".join(data)

    def close(self) -> None:
        """End the body, because the connection has ended. Sets `failure` if the last chunk is missing."""
        if self._next is _Line.TRAILER:
            self.ended = True
        else:
            self.failure = http.client.IncompleteRead(b"")

    def _whole_chunks(self, block: bytes) -> tuple[list[bytes], int]:
        """The data of the whole chunks that the bytes begin with, and where these end."""
        data: list[bytes] = []
        end = 0
        if self._next is not _Line.SIZE or self._half_line:
            return data, end
        while size := _USUAL_SIZE.match(block, end):
            start, size_bytes = size.end(), int(size[1], 16)
            if not size_bytes or not block.startswith(b"\r\n", start + size_bytes):
                break
            data.append(block[start : start + size_bytes])
            end = start + size_bytes + 2
        return data, end

    def _take(self, line: bytes) -> None:
        if self._next is _Line.TRAILER:
            self.ended = not line
        elif self._next is _Line.CHUNK_END and not line:
            self._next = _Line.SIZE
        elif self._next is _Line.SIZE and (size := _SIZE.fullmatch(line)):
            self._left_bytes = int(size[1], 16)
            self._next = _Line.CHUNK_END if self._left_bytes else _Line.TRAILER
        else:
            self.failure = http.client.HTTPException("not a chunk")


class _File:
    """A connection as `http.client` reads it: the head by lines, then all that has arrived.

    Nobody waits for bytes with a buffer in hand: one of 16 KB for each stream would be the largest part of it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb", 0)  # while it is open, `connection.close` waits
        self._begun = b""  # has arrived with the head

    def makefile(self, _mode: str) -> _File:
        """`http.client` makes its file of what it is given as a socket."""
        return self

    def readline(self, most: int = MAX_LINE_BYTES) -> bytes:
        while b"\n" not in self._begun[:most] and len(self._begun) < most:
            more = self._receive(BUFFER_BYTES)
            if not more:
                break
            self._begun += more
        end = self._begun.find(b"\n", 0, most) + 1
        return self.read1(end or most)

    def read1(self, size: int) -> bytes:
        if size and not self._begun:
            return self._receive(size)
        block, self._begun = self._begun[:size], self._begun[size:]
        return block

    def read(self, size: int = sys.maxsize) -> bytes:
        """So many bytes, or all: `requests` reads the body of a redirect."""
        blocks: list[bytes] = []
        while size > 0 and (block := self.read1(min(size, MAX_LINE_BYTES))):
            blocks.append(block)
            size -= len(block)
        return b"".join(blocks)

    def flush(self) -> None:
        """Nothing is written here."""

    def close(self) -> None:
        self._file.close()

    def _receive(self, size: int) -> bytes:
        block = self._connection.recv(size)
        if block and isinstance(self._connection, ssl.SSLSocket):
            return b"".join([block, *_records(self._connection, size - len(block))])
        return block


def _records(connection: ssl.SSLSocket, room: int) -> Iterator[bytes]:
    """All other records that have arrived: servers send one for each token."""
    seconds = connection.gettimeout()
    connection.settimeout(0)
    try:
        while room > 0 and (record := connection.recv(room)):
            yield record
            room -= len(record)
    except OSError:
        pass  # no other record is there; a broken connection fails the next read
    finally:
        connection.settimeout(seconds)


class Response(http.client.HTTPResponse):
    """A response whose `read1` returns all chunks from one read of the socket."""

    _chunks: Chunks | None = None

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(_File(sock), *args, **options)  # type: ignore[arg-type]

    def read1(self, n: int = -1) -> bytes:
        if not self.chunked or self.fp is None:
            return super().read1(n)
        chunks = self._chunks = self._chunks or Chunks()
        data = b""
        while not data and not chunks.ended:
            if chunks.failure:
                raise chunks.failure
            if block := self.fp.read1(n):
                data = chunks.feed(block)
            else:
                chunks.close()
        if chunks.ended:
            self._close_conn()  # type: ignore[attr-defined]
        return data
