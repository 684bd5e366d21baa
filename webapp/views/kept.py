"""Finished messages as pages send them: each is rendered and compressed once, and kept while there is room.

A gzip file of parts that are compressed apart: https://www.rfc-editor.org/rfc/rfc1951#section-2
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Hashable, Iterable
from itertools import count

HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # https://www.rfc-editor.org/rfc/rfc1952#section-2.3
END = b"\x03\0"  # an empty last block
MOST_BYTES = 8 * 2**20  # of the HTML of all chunks
CHUNK_BYTES = 128 * 2**10  # longer ones are made again each time
WINDOW = 32 * 2**10  # how far back a part can refer
LEVEL = 6

_numbers = count()


class Chunk(bytes):
    """The HTML of a message. It keeps itself compressed, for the place behind the same messages."""

    def __init__(self, _html: bytes) -> None:
        self._number = next(_numbers)
        self._last: tuple[tuple[int, ...], bytes] = ((), b"")  # behind which chunks, and compressed

    def compressed(self, before: tuple[Chunk, ...]) -> bytes:
        """The chunk compressed to follow `before`, whose words it refers to."""
        numbers = tuple(chunk._number for chunk in before)
        after, data = self._last
        if not data or numbers != after:
            data = _deflated(self, LEVEL, b"".join(before)[-WINDOW:])
            self._last = numbers, data
        return data


class Chunks:
    """The chunks of all users, the last used ones. Each key says all that its chunk is made of."""

    def __init__(self) -> None:
        self._chunks: dict[Hashable, Chunk] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Chunk | None:
        with self._lock:
            chunk = self._chunks.pop(key, None)
            if chunk is not None:
                self._chunks[key] = chunk  # now the last used one
            return chunk

    def add(self, key: Hashable, html: str) -> Chunk:
        """Make a chunk of this HTML, and keep it unless it is long."""
        chunk = Chunk(html.encode())
        with self._lock:
            if len(chunk) <= CHUNK_BYTES and key not in self._chunks:
                self._chunks[key] = chunk
                self._bytes += len(chunk)
            while self._bytes > MOST_BYTES:
                self._bytes -= len(self._chunks.pop(next(iter(self._chunks))))
        return chunk


def compressed(parts: Iterable[bytes], level: int) -> bytes:
    """The parts as one gzip file."""
    file, check, size = [HEADER], 0, 0
    before: tuple[Chunk, ...] = ()
    for part in parts:
        check, size = zlib.crc32(part, check), size + len(part)
        if isinstance(part, Chunk) and len(part) <= CHUNK_BYTES:
            file.append(part.compressed(before))
            before = (*before[-1:], part)
        else:
            file.append(_deflated(part, level))
            before = ()
    return b"".join([*file, END, struct.pack("<LL", check, size & 0xFFFFFFFF)])


def _deflated(data: bytes, level: int, before: bytes = b"") -> bytes:
    """The data compressed up to a whole byte, to follow what is `before` it."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15, zdict=before)
    return deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)
