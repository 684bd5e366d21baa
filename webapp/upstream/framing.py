"""The events in the bytes of an answer, also where a server frames them in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from webapp import sse

COMMENT = ":"  # the name of the event that a comment line becomes

SHORT_BYTES = 65_536  # a longer block is read line by line

_BOM = b"\xef\xbb\xbf"
_DATA = b"data:"
_COMMENT_IN_DATA = b"data: :"  # Vertex AI's keep-alive
_COMMENT_EVENT = (b"event: " + COMMENT.encode(), _DATA, b"")
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


def events(blocks: Iterator[bytes], max_line_bytes: int) -> Iterator[sse.Event | list[bytes]]:
    """Yield the events, each comment between them, and each line that is an error. Raises sse.LineTooLong.

    A block that consists of JSON objects, as most do, is one list of them: no event is made of each.
    """
    rest = b""
    for block in blocks:
        is_end = block.startswith(b"\n")  # perhaps of an answer that broke off within a line
        block = rest + block
        is_short = len(block) <= min(max_line_bytes, SHORT_BYTES)
        objects, rest = _objects(block) if is_short and not is_end else ([], b"")
        if objects:
            yield objects
            objects, block = [], b""  # frees memory while the next ones are waited for
            continue
        lines = sse.lines(_to_blank_line(block, blocks), max_line_bytes=max_line_bytes)
        # The blank line before them changes nothing, but a BOM counts in the first line only.
        yield from sse.events(chain((b"",), _apart(lines)), max_data_bytes=max_line_bytes)


def _objects(block: bytes) -> tuple[list[bytes], bytes]:
    """The data of whole events, each of one JSON object in one line, and the line that has begun after them.

    Nothing for a block that has anything else.
    """
    whole, _, rest = block.rpartition(b"\n\n")
    if not whole.startswith(b"data: {") or b"\r" in block or b"\n" in rest:
        return [], b""
    found = whole[6:].split(b"\n\ndata: ")
    is_usual = whole.count(b"\n") == 2 * len(found) - 2 == 2 * whole.count(b"\n\ndata: {")
    return (found, rest) if is_usual else ([], b"")


def _to_blank_line(block: bytes | None, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """This block and those after it, up to one that ends with a blank line: no event goes on behind it."""
    while block is not None:
        yield block
        block = None if block.endswith(b"\n\n") else next(blocks, None)


def _apart(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines, with a blank one wherever an event is whole.

    Some servers divide their events by single line ends, and send errors as `error: {...}` or as bare lines.
    """
    is_between, is_whole = True, False  # no event has begun; the event at hand is a whole payload already
    for line in lines:
        if not line:
            is_between, is_whole = True, False
        elif (is_between or is_whole) and line.startswith(_COMMENT_IN_DATA):
            yield from (b"", *_COMMENT_EVENT)
            is_between, is_whole = True, False
            continue
        elif line.startswith(_DATA):
            if is_whole:
                yield b""
            is_between, is_whole = False, line.endswith(_ENDS)
        elif line.startswith(_ERRORS):
            yield from (b"", b"event: error", _DATA + line.removeprefix(b"error:"), b"")
            is_between, is_whole = True, False
            continue
        elif is_between and line.startswith(b":"):
            yield from _COMMENT_EVENT
            continue
        else:
            is_between = False
        yield line
