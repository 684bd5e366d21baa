"""Pictures in a message or delta: those at an address become links in the text; base64 never becomes text.

OpenRouter puts them in `images`: https://openrouter.ai/docs/features/multimodal/image-generation
Others put them among the parts of `content`, with the type `image_url` or `output_image`, or as markdown into the text.
"""

from __future__ import annotations

import binascii
import re
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from webapp.chat import Delta, Picture
from webapp.errors import UpstreamError
from webapp.pictures import MAX_BYTES, MAX_PICTURES, picture_of

MAX_URL_CHARS = 2048
MAX_LABEL_CHARS = 1000
MAX_BASE64_CHARS = MAX_BYTES * 4 // 3 + 1024
LINE_BYTES = 2**20  # longer lines take room
LARGE_CHARS = 2**20  # takes a few milliseconds to read, and as many to decode
PAUSE_SECONDS = 0.001  # gives other streams their turn, see `transport.PAUSE_SECONDS`
LEFT_OUT = Picture("", 0)
NAMED = re.compile(rb'"(?:images|image_url|output_image)"')  # in the start of an answer

_KINDS = ("image_url", "output_image")
_URL = re.compile(r"https?://[^\s<>\\]++", re.I)
_STRING_END = re.compile(rb'["\r\n]')
_DATA = re.compile(r"data:[^,]{0,200};base64,", re.I)
_IN_TEXT = "](data:"
# No model writes as much base64: a program has put the picture there, such as new-api and one-api.
_WRITTEN = re.compile(r"\]\(((?i:data:image/(?:png|jpe?g|gif|webp);base64,)[A-Za-z0-9+/=]{400,}+)\)")


class Room:
    """The memory for pictures of all running replies of this worker, in bytes: half-read lines and pictures."""

    def __init__(self, size: int) -> None:
        self.free = size
        self._lock = threading.RLock()  # a picture may be freed at any moment

    def take(self, amount: int) -> None:
        """Take bytes; a negative amount gives them back. Raises UpstreamError if there is no room."""
        with self._lock:
            if amount > self.free:
                raise UpstreamError("no_room")
            self.free -= amount

    def take_for(self, picture: Picture) -> Picture:
        """Take room for a picture until nobody holds it any more. Raises UpstreamError."""
        self.take(picture.size)
        weakref.finalize(picture, self.take, -picture.size).atexit = False
        return picture


ROOM = Room(128 * 2**20)  # three replies with the most and largest pictures, or a hundred with usual ones


class Gathered:
    """The pictures of one answer: each once, at most MAX_PICTURES."""

    def __init__(self) -> None:
        self.is_short = False  # a picture was left out
        self._seen: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._seen)

    def take(self, sent: Sequence[Picture]) -> tuple[Picture, ...]:
        """Return those that are new."""
        new = []
        for picture in sent:
            if (mark := hash(picture.data)) in self._seen:
                continue
            if not picture.data or len(self._seen) == MAX_PICTURES:
                self.is_short = True
                continue
            self._seen.add(mark)
            new.append(picture)
        return tuple(new)


def held(blocks: Iterator[bytes], room: Room = ROOM) -> Iterator[bytes]:
    """Yield the blocks of an answer. Take room for a line over LINE_BYTES while it grows. Raises UpstreamError.

    Leaves out the end of a string that is longer than any picture may be.
    """
    length = string = taken = 0  # bytes since the last line end, and since the last quotation mark too
    try:
        for block in blocks:
            if string > MAX_BASE64_CHARS:
                end = _STRING_END.search(block)
                block = block[end.start() :] if end else b""
            line_end = max(block.rfind(b"\n"), block.rfind(b"\r"))
            string_end = max(block.rfind(b'"'), line_end)
            length = len(block) - line_end - 1 + (length if line_end < 0 else 0)
            string = len(block) - string_end - 1 + (string if string_end < 0 else 0)
            needed = length if length > LINE_BYTES else 0
            if needed != taken:
                room.take(needed - taken)
                taken = needed
            yield block
            del block  # a copy less while the next one is waited for
    finally:
        room.take(-taken)


def pause_for(data: str | bytes) -> None:
    """Let other streams have their turn before or after a large piece of work."""
    if len(data) > LARGE_CHARS:
        time.sleep(PAUSE_SECONDS)


def links_in(part: dict[str, Any]) -> str:
    """Return markdown for the pictures of a message or delta that are at an address; "" without any."""
    found = [url for url in _urls(part) if len(url) <= MAX_URL_CHARS and _URL.fullmatch(url)]
    return "".join(f"\n\n![](<{url}>)\n\n" for url in found[:MAX_PICTURES])


def pictures_in(part: dict[str, Any]) -> tuple[Picture, ...]:
    """The pictures that a message or delta holds as `data:` URLs; LEFT_OUT for those that cannot be shown.

    Raises UpstreamError where there is no room for them.
    """
    return tuple(_picture(url) for url in _urls(part) if url[:5].lower() == "data:")


def has_pictures(text: str) -> bool:
    """Whether a text may hold pictures, for `taken_out`."""
    return _IN_TEXT in text


def taken_out(delta: Delta) -> Delta:
    """Return the delta with the pictures that are written into its text as markdown among its pictures.

    Raises UpstreamError where there is no room for them.
    """
    if not has_pictures(delta.text):
        return delta
    *parts, last = _WRITTEN.split(delta.text)
    text = "".join([*map(_without_label, parts[::2]), last])
    return replace(delta, text=text, images=(*delta.images, *map(_picture, parts[1::2])))


def _without_label(text: str) -> str:
    """The text before the `![label` of a picture."""
    before, bracket, label = text.rpartition("[")
    is_label = bracket and len(label) <= MAX_LABEL_CHARS and "]" not in label and "\n" not in label
    return before.removesuffix("!") if is_label else text


def _picture(url: str) -> Picture:
    start = _DATA.match(url)
    if not start or len(url) > MAX_BASE64_CHARS:
        return LEFT_OUT
    pause_for(url)
    try:
        picture = picture_of(binascii.a2b_base64(url[start.end() :]))
    except ValueError:
        return LEFT_OUT
    return ROOM.take_for(picture) if picture else LEFT_OUT


def _urls(part: dict[str, Any]) -> list[str]:
    """The addresses of all pictures of a message or delta, `data:` URLs among them."""
    content, images = part.get("content"), part.get("images")
    if not images and not isinstance(content, list):
        return []
    found = list(images) if isinstance(images, list) else []
    if isinstance(content, list):
        found += [one for one in content if isinstance(one, dict) and one.get("type") in _KINDS]
    named = [one.get("image_url") or one.get("url") if isinstance(one, dict) else one for one in found]
    urls = [one.get("url") if isinstance(one, dict) else one for one in named]
    return [url for url in urls if isinstance(url, str)]
