"""The pulse of a worker: once a tick, ONE transaction saves the new text of all its running replies.

The same transaction counts a beat, by which other workers know that this one lives, and reads which of its
replies are to be stopped. Beats are counted, not dated, so a clock that jumps kills nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from webapp.chat import Delta, Outcome
from webapp.errors import StorageFull, StorageUnavailable
from webapp.generation import Generation, Hub
from webapp.markdown import RENDERER
from webapp.storage import Storage, messages, workers
from webapp.storage.messages import Final
from webapp.watch import WATCH_SECONDS, Watch

TICK_SECONDS = 0.25
GATHER_SECONDS = 0.01  # replies that end together are saved together
PATIENCE_SECONDS = 5.0  # how long a finished reply waits for storage before its followers are told
RENDER_SECONDS = 8.0  # how long a finished reply waits for its HTML before it is saved without
DRAIN_SECONDS = 3.0  # how long running replies may go on once the worker is told to stop

log = logging.getLogger(__name__)


@dataclass
class _Saved:
    """How far a reply is cut into pieces, and the last of them while storage has not confirmed it.

    A commit whose answer was lost may have stored it, so a piece never changes once it is cut.
    """

    position: int = 0
    pieces: int = 0
    unsaved: tuple[str, int, Delta] | None = None
    final: Final | None = None
    ended_at: float | None = None


class Pulse:
    """Saves the replies of one hub, and buries dead workers. What fails is left to the next tick.

    When the worker is told to stop, replies are interrupted, their text kept.
    `on_saved` hears of each finished reply, after its followers; it must return at once.
    """

    def __init__(self, storage: Storage, hub: Hub, worker_id: str) -> None:
        self.on_saved: Callable[[str], None] = lambda reply_id: None
        self._storage = storage
        self._hub = hub
        self._worker_id = worker_id
        self._saved: dict[str, _Saved] = {}
        self._watch = Watch(storage, hub, worker_id)
        self._drain_at: float | None = None
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
        self.tick()  # the thread's last one may have begun before the last reply ended

    def tick(self) -> None:
        """Save what is new, settle what has ended, stop what is to be stopped. Never raises."""
        self._drain_if_stopping()
        generations = list(self._hub.all().values())
        try:
            self._save(generations)
        except StorageUnavailable as error:
            self._give_up_waiting(generations, at_once=isinstance(error, StorageFull))
        except Exception:
            log.exception("the pulse could not save")
            self._save_one_by_one(generations)

    def _run(self) -> None:
        watched_at = 0.0
        while not self._closed:
            self._hub.changed.wait(TICK_SECONDS if self._hub.all() else WATCH_SECONDS)
            self._hub.changed.clear()
            time.sleep(GATHER_SECONDS)
            self.tick()
            if time.monotonic() - watched_at >= WATCH_SECONDS:
                self._watch.look()
                watched_at = time.monotonic()

    def _save(self, generations: Sequence[Generation]) -> None:
        """Save all that is new in one transaction; stop the replies that it says are to be stopped."""
        rows: list[tuple[str, int, Delta]] = []
        finals: list[Final] = []
        for generation in generations:
            saved = self._saved.setdefault(generation.reply_id, _Saved())
            delta, position, outcome = generation.since(saved.position)
            if outcome and self._is_complete(generation, saved):
                saved.final = saved.final or _final(generation, outcome)
                finals.append(saved.final)
                continue
            if position > saved.position and not saved.unsaved:
                saved.pieces, saved.position = saved.pieces + 1, position
                saved.unsaved = (generation.reply_id, saved.pieces, delta)
            if saved.unsaved:
                rows.append(saved.unsaved)
        if not generations:
            return
        with self._storage.begin(wait_seconds=TICK_SECONDS, durable=bool(finals)) as tx:
            running = messages.running(tx, self._worker_id)
            messages.append(tx, [row for row in rows if row[0] in running])
            messages.finish(tx, finals)
            workers.count_heartbeat(tx, self._worker_id)
        for generation in generations:
            self._saved[generation.reply_id].unsaved = None
            if generation.reply_id not in running:  # buried by another worker while this one stood still, or purged
                generation.stop("interrupted")
            elif running[generation.reply_id]:
                generation.stop()
        for final in finals:
            self._settle(final.reply_id)
            self.on_saved(final.reply_id)

    def _is_complete(self, generation: Generation, saved: _Saved) -> bool:
        """Whether a reply that has ended has its HTML, or is not to wait for it any longer."""
        saved.ended_at = saved.ended_at or time.monotonic()
        waited_seconds = time.monotonic() - saved.ended_at
        return generation.is_rendered or waited_seconds > RENDER_SECONDS or self._closed or self._hub.is_stopping()

    def _save_one_by_one(self, generations: Sequence[Generation]) -> None:
        """Keep a reply that no database takes from holding up the others."""
        for generation in generations:
            try:
                self._save([generation])
            except StorageUnavailable:
                return
            except Exception:
                log.exception("reply %s cannot be saved", generation.reply_id)
                self._give_up_waiting([generation], at_once=True)

    def _settle(self, reply_id: str) -> None:
        generation = self._hub.get(reply_id)
        self._hub.discard(reply_id)
        self._saved.pop(reply_id, None)
        if generation:
            generation.settle(saved=True)

    def _give_up_waiting(self, generations: Iterable[Generation], *, at_once: bool) -> None:
        now = time.monotonic()
        for generation in generations:
            saved = self._saved.setdefault(generation.reply_id, _Saved())
            if generation.since(saved.position)[2]:
                saved.ended_at = saved.ended_at or now
                if at_once or now - saved.ended_at > PATIENCE_SECONDS:
                    generation.settle(saved=False)

    def _drain_if_stopping(self) -> None:
        if not self._hub.is_stopping():
            return
        self._drain_at = self._drain_at or time.monotonic() + DRAIN_SECONDS
        if time.monotonic() >= self._drain_at:
            for generation in self._hub.all().values():
                generation.stop("interrupted")


def _final(generation: Generation, outcome: Outcome) -> Final:
    whole = generation.since(0)[0]
    renderer = RENDERER if generation.html is not None else None
    return Final(generation.reply_id, whole.text, whole.reasoning, generation.html, renderer, outcome)
