"""Pictures as models send them, made byte by byte."""

from __future__ import annotations

import base64
import struct
import zlib

from tests.dialects import chunk


def png(width: int, height: int, size: int = 0) -> bytes:
    """A grey PNG of this width and height, with so many more bytes in it that no reader looks at."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    # Bytes that the search in the files finds again.
    more = part(b"prVt", (b"quokka%06d" * (size // 12 + 1) % tuple(range(size // 12 + 1)))[:size]) if size else b""
    return b"\x89PNG\r\n\x1a\n" + header + more + part(b"IDAT", rows) + part(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    """The start of a JPEG: application data, a table, fill bytes, and the header of a frame."""
    frame = b"\xff\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\0" * 9
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", 40002) + b"\xff\xc0" * 20_000 + b"\xff\xdb\0\x03\0" + frame


def url_of(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def pictures_chunk(*data: bytes) -> bytes:
    """One event with these pictures, as OpenRouter sends them."""
    return chunk({"images": [{"type": "image_url", "image_url": {"url": url_of(one)}} for one in data]})
