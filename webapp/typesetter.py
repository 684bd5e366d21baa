"""Renders saved replies without current HTML: imported and interrupted ones, and those of an older renderer."""

from __future__ import annotations

import logging
import threading

from webapp.errors import StorageUnavailable
from webapp.markdown import RENDERER
from webapp.rendering.process import Renderer
from webapp.storage import Storage, messages

BATCH = 20
LOOK_SECONDS = 10.0

log = logging.getLogger(__name__)


class Typesetter:
    """Renders such replies in a thread, until `close`."""

    def __init__(self, storage: Storage, renderer: Renderer) -> None:
        self._storage = storage
        self._renderer = renderer
        self._closed = False
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name="typesetter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def catch_up(self, seconds: float) -> None:
        """Render now, and wait at most `seconds` until no reply is left."""
        self._idle.clear()
        self._wanted.set()
        self._idle.wait(seconds)

    def close(self) -> None:
        self._closed = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._wanted.clear()
            try:
                while not self._closed and self._render_some():
                    pass
            except StorageUnavailable as error:
                log.info("replies wait for their HTML: %s", error.sentence)
            except Exception:
                log.exception("stored replies could not be rendered")
            if not self._wanted.is_set():
                self._idle.set()
            self._wanted.wait(LOOK_SECONDS)

    def _render_some(self) -> bool:
        """Render a batch; return whether there may be more."""
        with self._storage.read() as tx:
            waiting = messages.unrendered(tx, RENDERER, BATCH)
        done: list[tuple[str, str]] = []
        for message_id, text in waiting:
            html = self._renderer.render(text)
            if html is None or self._closed:
                break
            done.append((message_id, html))
        if done:
            with self._storage.begin(durable=False) as tx:
                messages.set_html(tx, done, RENDERER)
        return len(done) == BATCH
