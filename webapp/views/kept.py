"""Parts of pages as they are sent: each is rendered and compressed once, and kept while there is room.

A gzip file of parts that are compressed apart: https://www.rfc-editor.org/rfc/rfc1951#section-2
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby

from webapp.chat import Message
from webapp.recent import Recent

HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # https://www.rfc-editor.org/rfc/rfc1952#section-2.3
END = b"\x03\0"  # an empty last block
MOST_BYTES = 8 * 2**20  # of all chunks
CHUNK_BYTES = 128 * 2**10  # longer ones are made again each time
OVERHEAD_BYTES = 1000  # of a chunk beside its HTML: its key, and the message with it
WINDOW = 32 * 2**10  # how far back a part can refer
LEVEL = 6
MOST_RUNS = 300
LONGEST_RUN_BYTES = 64 * 2**10  # compressed

RAW, GZIP = 0, 16  # of streams: without a header, and a file

POLYNOMIAL = 0xEDB88320  # https://www.rfc-editor.org/rfc/rfc1952#section-8

_numbers = count()


class Chunk(bytes):
    """The HTML of a message or another part. It keeps itself compressed, for the place behind the same parts."""

    message: Message | None = None  # of which this is the HTML

    def __init__(self, _html: bytes) -> None:
        self.number = next(_numbers)
        self.compressed: tuple[tuple[int, ...], bytes] = ((), b"")  # behind which chunks, and how


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
                self._bytes += len(chunk) + OVERHEAD_BYTES
            while self._bytes > MOST_BYTES:
                left_out = self._chunks.pop(next(iter(self._chunks)))
                left_out.message = None  # which holds the chunk: both are freed now
                self._bytes -= len(left_out) + OVERHEAD_BYTES
        return chunk


@dataclass(frozen=True, slots=True)
class _Run:
    """Chunks that follow each other: compressed, their checksum, their size, and what moves a checksum by it."""

    data: bytes
    check: int
    size: int
    shift: int


_runs = Recent[_Run](MOST_RUNS)  # by the numbers of their chunks: no number is used twice


def compressed(parts: Iterable[bytes], level: int) -> bytes:
    """The parts as one gzip file."""
    file, check, size = [HEADER], 0, 0
    for is_kept, group in groupby(parts, _is_kept):
        if is_kept:
            run = _run_of(list(group))  # type: ignore[arg-type]
            file.append(run.data)
            check, size = _times(run.shift, check) ^ run.check, size + run.size
        else:
            rest = b"".join(group)
            file.append(_deflated(rest, level))
            check, size = zlib.crc32(rest, check), size + len(rest)
    return b"".join([*file, END, struct.pack("<LL", check, size & 0xFFFFFFFF)])


def _is_kept(part: bytes) -> bool:
    return isinstance(part, Chunk) and len(part) <= CHUNK_BYTES


def _run_of(chunks: Sequence[Chunk]) -> _Run:
    numbers = tuple([chunk.number for chunk in chunks])
    run = _runs.get(numbers)
    if run is None:
        run = _made(chunks)
        if len(run.data) <= LONGEST_RUN_BYTES:
            _runs.put(numbers, run)
    return run


def _made(chunks: Sequence[Chunk]) -> _Run:
    data, check, size = [], 0, 0
    for chunk, piece in zip(chunks, _pieces(chunks), strict=True):
        data.append(piece)
        check, size = zlib.crc32(chunk, check), size + len(chunk)
    return _Run(b"".join(data), check, size, _power(8 * size))


def _pieces(chunks: Sequence[Chunk]) -> Iterator[bytes]:
    """Each chunk compressed to follow those before it, whose words it refers to. New ones in a row share the tables."""
    deflate, before = None, list[Chunk]()
    for chunk in chunks:
        numbers = tuple([one.number for one in before])
        after, piece = chunk.compressed
        if piece and numbers == after:
            deflate = None
        else:
            deflate = deflate or zlib.compressobj(LEVEL, zlib.DEFLATED, -15, zdict=b"".join(before)[-WINDOW:])
            piece = deflate.compress(chunk) + deflate.flush(zlib.Z_SYNC_FLUSH)
            chunk.compressed = numbers, piece
        yield piece
        before.append(chunk)
        while sum(map(len, before[1:])) >= WINDOW:
            del before[0]


def _power(exponent: int) -> int:
    """x to this power. To put so many bits behind others multiplies their checksum by it."""
    power, square = 1 << 31, 1 << 30  # 1 and x: the highest bit is that of the lowest power
    while exponent:
        if exponent & 1:
            power = _times(square, power)
        square = _times(square, square)
        exponent >>= 1
    return power


def _times(one: int, other: int) -> int:
    """The product of two polynomials modulo POLYNOMIAL, as `crc32_combine` of zlib's C library multiplies them."""
    product, bit = 0, 1 << 31
    while bit:
        if one & bit:
            product ^= other
        other = (other >> 1) ^ POLYNOMIAL if other & 1 else other >> 1
        bit >>= 1
    return product


def zipped(data: bytes, level: int) -> bytes:
    """The data as a gzip file."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, *_tables(len(data), GZIP))
    return deflate.compress(data) + deflate.flush()


def _deflated(data: bytes, level: int) -> bytes:
    """The data compressed up to a whole byte."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, *_tables(len(data), RAW))
    return deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)


def _tables(size: int, kind: int) -> tuple[int, int]:
    """The arguments `wbits` and `memLevel` for so many bytes. To clear the tables of a large text takes 60 us.

    See https://docs.python.org/3/library/zlib.html#zlib.compressobj.
    """
    bits = min(max((size - 1).bit_length(), 9), 15)
    return (-bits if kind == RAW else kind + bits), min(bits - 7, 8)
