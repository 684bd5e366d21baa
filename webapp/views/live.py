"""The live rendering of one reply, shared by all who follow it in this worker.

Whoever gets new text first renders it; the others send the same bytes. A reader who falls far behind gets the whole
reply once more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from weakref import WeakValueDictionary

import orjson

from webapp import sse
from webapp.chat import Delta
from webapp.growing import GrowingText
from webapp.loop import give_way
from webapp.patches import LiveRenderer, Patch
from webapp.rendering.notes import scoped, scoped_patches

PIECE_CHARS = 1_000
CHEAP_SECONDS = 0.002  # of processor time, for one piece: ordinary answers take a tenth of it
COSTLY_PIECES = 2  # in a row, before a reply takes turns: a garbage collection may meet one
REST = 9  # times as long as a costly piece took: costly texts take a tenth of the loop, all replies together
LATE_SECONDS = 5.0  # a costly text that waits longer than this for its turns goes on as plain text
KEPT_BYTES = 8_192  # of events, for readers who are behind: some seconds of an ordinary reply


class Live:
    """The HTML of one growing reply, and its latest changes as encoded events, numbered from 1."""

    _turns = threading.Lock()  # of costly pieces, all replies together

    def __init__(self, message_id: str) -> None:
        self.number = 0  # of the latest event
        self.readers = 0  # so far
        self._message_id = message_id
        self._renderer = LiveRenderer()
        self._reasoning = GrowingText()
        self._chars = 0  # of the text
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self._costly_pieces = 0  # in a row

    def snapshot(self) -> tuple[str, str, int]:
        """The HTML and the reasoning so far, and the number of the latest event in them."""
        with self._lock:
            return scoped(self._renderer.html, self._message_id), self._reasoning.since(0), self.number

    def since(self, number: int) -> list[bytes] | None:
        """The events after this one; None if they are no longer kept."""
        with self._lock:
            missing = self.number - number
            events = [self._kept[index] for index in range(-missing, 0)] if missing <= len(self._kept) else None
            if self.readers == 1:  # who has them all now
                self._kept.clear()
                self._kept_bytes = 0
            return events

    def text(self, chars: int) -> str:
        """The text so far, as far as a reader has it."""
        return self._renderer.text[:chars]

    def take(self, delta: Delta, chars: int, reasoning_chars: int) -> None:
        """Add the end of a text and a reasoning that are this long now. Others may have brought it already."""
        with self._lock:
            if (new := reasoning_chars - len(self._reasoning)) > 0:
                self._reasoning.add(delta.reasoning[-new:])
                self._keep("thought", delta.reasoning[-new:])
            if (new := chars - self._chars) > 0:
                self._take(delta.text[-new:])

    def finish(self, html: str) -> None:
        """The whole text is rendered to `html`."""
        with self._lock:
            self._keep_patches(self._renderer.finish(html))

    def _take(self, text: str) -> None:
        """Render a text piece by piece. The costly pieces of all replies take turns."""
        began = time.monotonic()
        for start in range(0, len(text), PIECE_CHARS):
            piece = text[start : start + PIECE_CHARS]
            if self._costly_pieces < COSTLY_PIECES:
                if start:
                    give_way()
                self._render(piece)
                continue
            with self._turns:  # held while it rests, so that nobody begins meanwhile
                time.sleep(self._render(piece) * REST)
            if self._costly_pieces and time.monotonic() - began > LATE_SECONDS:
                self._keep_patches(self._renderer.give_up())

    def _render(self, piece: str) -> float:
        """Render a piece; return the seconds of processor time that it took."""
        began = time.thread_time()
        patches = self._renderer.feed(piece)
        seconds = time.thread_time() - began
        self._costly_pieces = self._costly_pieces + 1 if seconds > CHEAP_SECONDS else 0
        self._chars += len(piece)
        self._keep_patches(patches)
        return seconds

    def _keep_patches(self, patches: list[Patch]) -> None:
        if patches:
            self._keep("patch", scoped_patches(patches, self._message_id))

    def _keep(self, name: str, data: object) -> None:
        self._kept.append(sse.encode(orjson.dumps(data).decode(), event=name))
        self.number += 1
        self._kept_bytes += len(self._kept[-1])
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popleft())


_live: WeakValueDictionary[tuple[str, bool], Live] = WeakValueDictionary()


def of(message_id: str, was_reasoning: bool) -> Live:
    """The rendering that all followers of a reply share. Another one after its text turned out to be reasoning."""
    key = (message_id, was_reasoning)
    live = _live.get(key)
    if live is None:
        live = _live[key] = Live(message_id)
    return live
