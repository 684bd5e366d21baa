"""What the bytes of a picture say: its kind, and its width and height for the page.

The starts: https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
"""

from __future__ import annotations

import re

from webapp.chat import Picture

MAX_BYTES = 8 * 2**20
MAX_PICTURES = 4  # of a reply
MAX_SEGMENTS = 500  # of a JPEG before its size

_STARTS = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/webp": re.compile(rb"RIFF[\s\S]{4}WEBPVP"),
    "image/gif": re.compile(rb"GIF8[79]a"),
}


def picture_of(data: bytes) -> Picture | None:
    """The picture that these bytes are; None for more than MAX_BYTES and for any other kind."""
    kind = next((kind for kind, start in _STARTS.items() if start.match(data)), "")
    if not kind or len(data) > MAX_BYTES:
        return None
    width, height = _SIZES[kind](data)
    if not width or not height:
        width = height = 0
    return Picture(kind, len(data), width, height, data=data)


def _png(data: bytes) -> tuple[int, int]:
    """https://www.w3.org/TR/png-3/#11IHDR"""
    return (_number(data[16:20]), _number(data[20:24])) if data[12:16] == b"IHDR" else (0, 0)


def _gif(data: bytes) -> tuple[int, int]:
    """https://www.w3.org/Graphics/GIF/spec-gif89a.txt, section 18"""
    return _little(data[6:8]), _little(data[8:10])


def _webp(data: bytes) -> tuple[int, int]:
    """https://developers.google.com/speed/webp/docs/riff_container"""
    form = data[12:16]
    if form == b"VP8X":
        return _little(data[24:27]) + 1, _little(data[27:30]) + 1
    if form == b"VP8L":
        bits = _little(data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF


def _jpeg(data: bytes) -> tuple[int, int]:
    """Goes from segment to segment, up to the frame header: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.2.2"""
    at = 2
    for _segment in range(MAX_SEGMENTS):
        if data[at : at + 1] != b"\xff" or len(data) < at + 9:
            break
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _number(data[at + 7 : at + 9]), _number(data[at + 5 : at + 7])
        at += 1 if marker == 0xFF else 2 + _number(data[at + 2 : at + 4])
    return 0, 0


_SIZES = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp, "image/gif": _gif}


def _number(digits: bytes) -> int:
    return min(int.from_bytes(digits, "big"), 2**31 - 1)


def _little(digits: bytes) -> int:
    return int.from_bytes(digits, "little")
