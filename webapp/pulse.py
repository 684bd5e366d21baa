"""The pulse of a worker: once a tick, ONE transaction saves the new text of all its running replies."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from webapp import markdown
from webapp.chat import Outcome
from webapp.errors import StorageFull, StorageUnavailable
from webapp.generation import Generation, Hub
from webapp.storage import Storage, messages
from webapp.storage.messages import Final

TICK_SECONDS = 0.25
PATIENCE_SECONDS = 5.0  # how long a finished reply waits for storage before its followers are told

log = logging.getLogger(__name__)


@dataclass
class _Saved:
    """How far storage has a reply."""

    position: int = 0
    pieces: int = 0
    final: Final | None = None
    ended_at: float | None = None


class Pulse:
    """Saves the replies of one hub. A transaction that fails leaves everything to the next tick."""

    def __init__(self, storage: Storage, hub: Hub) -> None:
        self._storage = storage
        self._hub = hub
        self._saved: dict[str, _Saved] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Beat in a thread of its own, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Save once more and end the thread."""
        self._closed = True
        self._hub.changed.set()
        self._thread.join()

    def tick(self) -> None:
        """Save what is new, and settle what has ended. Never raises."""
        generations = self._hub.all()
        try:
            self._save(generations)
        except StorageUnavailable as error:
            self._give_up_waiting(generations, at_once=isinstance(error, StorageFull))
        except Exception:
            log.exception("the pulse could not save")
            self._give_up_waiting(generations, at_once=False)

    def _run(self) -> None:
        while not self._closed:
            self._hub.changed.wait(TICK_SECONDS if self._hub.all() else None)
            self._hub.changed.clear()
            self.tick()

    def _save(self, generations: list[Generation]) -> None:
        rows, finals, positions = [], [], {}
        for generation in generations:
            saved = self._saved.setdefault(generation.reply_id, _Saved())
            delta, position, outcome = generation.since(saved.position)
            if outcome:
                saved.final = saved.final or _final(generation, outcome)
                finals.append(saved.final)
            elif position > saved.position:
                rows.append((generation.reply_id, saved.pieces + 1, delta))
                positions[generation.reply_id] = position
        if not rows and not finals:
            return
        with self._storage.begin(wait_seconds=TICK_SECONDS, durable=bool(finals)) as tx:
            messages.append(tx, rows)
            messages.finish(tx, finals)
        for reply_id, position in positions.items():
            self._saved[reply_id].position = position
            self._saved[reply_id].pieces += 1
        for final in finals:
            self._settle(final.reply_id)

    def _settle(self, reply_id: str) -> None:
        generation = self._hub.get(reply_id)
        self._hub.discard(reply_id)
        self._saved.pop(reply_id, None)
        if generation:
            generation.settle(saved=True)

    def _give_up_waiting(self, generations: list[Generation], *, at_once: bool) -> None:
        now = time.monotonic()
        for generation in generations:
            saved = self._saved.setdefault(generation.reply_id, _Saved())
            if generation.since(saved.position)[2]:
                saved.ended_at = saved.ended_at or now
                if at_once or now - saved.ended_at > PATIENCE_SECONDS:
                    generation.settle(saved=False)


def _final(generation: Generation, outcome: Outcome) -> Final:
    whole = generation.since(0)[0]
    html = str(markdown.render(whole.text))
    return Final(generation.reply_id, whole.text, whole.reasoning, html, markdown.RENDERER, outcome)
