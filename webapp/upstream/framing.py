"""The events in the bytes of an answer, also where a server frames them in its own way."""

from __future__ import annotations

from collections.abc import Iterator

from webapp import sse

COMMENT = ":"  # the name of the event that a comment line becomes

_BOM = b"\xef\xbb\xbf"
_DATA = b"data:"
_ENDS = (b"}", b"[DONE]")  # of a payload that is whole in one line
_ERRORS = (b"error:", b'{"error"', b"The model: `")


def opening_of(blocks: Iterator[bytes]) -> bytes:
    """The answer's first bytes, without the BOM and white space before them; empty if there is nothing else."""
    opening = b""
    for block in blocks:
        opening = (opening + block).lstrip().removeprefix(_BOM).lstrip()
        if opening and not _BOM.startswith(opening):
            break
    return opening


def events(blocks: Iterator[bytes], max_line_bytes: int) -> Iterator[sse.Event]:
    """Yield the events, each comment between them, and each line that is an error. Raises sse.LineTooLong."""
    lines = sse.lines(blocks, max_line_bytes=max_line_bytes)
    return sse.events(_apart(lines), max_data_bytes=max_line_bytes)


def _apart(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines, with a blank one wherever an event is whole.

    Some servers divide their events by single line ends, and send errors as `error: {...}` or as bare lines.
    """
    is_between, is_whole = True, False  # no event has begun; the event at hand is a whole payload already
    for line in lines:
        if not line:
            is_between, is_whole = True, False
        elif line.startswith(_DATA):
            if is_whole:
                yield b""
            is_between, is_whole = False, line.endswith(_ENDS)
        elif line.startswith(_ERRORS):
            yield from (b"", b"event: error", _DATA + line.removeprefix(b"error:"), b"")
            is_between, is_whole = True, False
            continue
        elif is_between and line.startswith(b":"):
            yield from (b"event: " + COMMENT.encode(), _DATA, b"")
            continue
        else:
            is_between = False
        yield line
