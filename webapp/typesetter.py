"""Renders saved replies without current HTML: imported and interrupted ones, and those of an older renderer."""

from __future__ import annotations

import logging
import threading

from webapp.background import Background
from webapp.errors import StorageUnavailable
from webapp.markdown import RENDERER
from webapp.rendering.process import Renderer
from webapp.storage import Storage, messages

BATCH = 20
LOOK_SECONDS = 10.0

log = logging.getLogger(__name__)


class Typesetter(Background):
    """Renders such replies in a thread, until `close`."""

    def __init__(self, storage: Storage, renderer: Renderer) -> None:
        super().__init__("typesetter", LOOK_SECONDS)
        self._storage = storage
        self._renderer = renderer
        self._idle = threading.Event()

    def catch_up(self, seconds: float) -> None:
        """Render now, and wait at most `seconds` until no reply is left."""
        self._idle.clear()
        self.wake()
        self._idle.wait(seconds)

    def look(self) -> None:
        """Render until no reply is left."""
        try:
            while not self._closed.is_set() and self._render_some():
                pass
        except StorageUnavailable as error:
            log.info("replies wait for their HTML: %s", error.sentence)
        finally:
            if not self._woken.is_set():
                self._idle.set()

    def _render_some(self) -> bool:
        """Render a batch; return whether there may be more."""
        with self._storage.read() as tx:
            waiting = messages.unrendered(tx, RENDERER, BATCH)
        done: list[tuple[str, str]] = []
        for message_id, text in waiting:
            html = self._renderer.render(text)
            if html is None or self._closed.is_set():
                break
            done.append((message_id, html))
        if done:
            with self._storage.begin(durable=False) as tx:
                messages.set_html(tx, done, RENDERER)
        return len(done) == BATCH
