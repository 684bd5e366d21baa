"""Decodes and encodes event streams: bytes to events and events to bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_LINE_BYTES = 2**20
MAX_RETRY_DIGITS = 18  # a longer number is no waiting time, and int() refuses very long ones

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")


class LineTooLong(ValueError):
    """A line, or the data of one event, exceeds the limit."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `id` is the last id in the stream so far; `retry` is in milliseconds."""

    event: str = "message"
    data: str = ""
    id: str = ""
    retry: int | None = None


def decode(chunks: Iterable[bytes], *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Event]:
    """Yield each event as soon as its blank line is complete. The chunks may be cut anywhere.

    Raises LineTooLong if a line, or the data of one event, exceeds `max_line_bytes`.
    """
    return events(lines(chunks, max_line_bytes=max_line_bytes), max_data_bytes=max_line_bytes)


def lines(chunks: Iterable[bytes], *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """Yield the complete lines of a byte stream without their ends: CR, LF or CRLF.

    Drops an incomplete line at the end. Raises LineTooLong.
    """
    begun = bytearray()
    after_cr = False
    for chunk in chunks:
        if not chunk:
            continue
        # A CR ends its line at once. An LF at the start of the next chunk belongs to that CR.
        *ended, rest = _LINE_END.split(chunk[1:] if after_cr and chunk[0] == 0x0A else chunk)
        after_cr = chunk[-1] == 0x0D
        for line in ended:
            if len(begun) + len(line) > max_line_bytes:
                raise LineTooLong(f"a line is longer than {max_line_bytes} bytes")
            yield bytes(begun) + line if begun else line
            begun.clear()
        if len(begun) + len(rest) > max_line_bytes:
            raise LineTooLong(f"a line is longer than {max_line_bytes} bytes")
        begun += rest


def events(lines: Iterable[bytes], *, max_data_bytes: int = MAX_LINE_BYTES) -> Iterator[Event]:
    """Yield the events of the lines. Drops an incomplete event at the end. Raises LineTooLong.

    The next event carries the `retry` of a block without data.
    """
    name, last_id, retry = "", "", None
    data: list[str] = []
    data_bytes = 0
    for number, line in enumerate(lines):
        if number == 0:
            line = line.removeprefix(_BOM)
        if not line:
            if data:
                yield Event(name or "message", "\n".join(data), last_id, retry)
                retry = None
            name, data, data_bytes = "", [], 0
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data_bytes += len(value) + 1
            if data_bytes > max_data_bytes + 1:
                raise LineTooLong(f"the data of an event is longer than {max_data_bytes} bytes")
            data.append(value.decode("utf-8", "replace"))
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit() and len(value) <= MAX_RETRY_DIGITS:
            retry = int(value)


def encode(data: str, *, event: str | None = None, id: str | None = None, retry: int | None = None) -> bytes:
    """Return the bytes of one event. Each line of `data` becomes a data line, so no text can forge a field.

    `decode` returns LF for every CR, LF and CRLF. Raises ValueError for a line end or NUL in `event`
    or `id`, and for a negative `retry`.
    """
    fields = []
    if retry is not None:
        if retry < 0:
            raise ValueError(f"retry is {retry}, not milliseconds from 0 up")
        fields.append(f"retry: {retry:d}")
    if event is not None:
        fields.append(f"event: {_one_line('event', event)}")
    if id is not None:
        fields.append(f"id: {_one_line('id', id)}")
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # quick on megabytes without a line end
    fields += [f"data: {line}" for line in lines]
    return ("\n".join(fields) + "\n\n").encode("utf-8", "replace")


def _one_line(name: str, value: str) -> str:
    if re.search(r"[\r\n\0]", value):
        raise ValueError(f"{name} holds a line end or NUL: {value!r}")
    return value
