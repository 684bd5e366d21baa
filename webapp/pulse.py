"""The pulse of a worker: each tick saves the new text of all its running replies in ONE transaction.

The transaction also counts a heartbeat, which shows other workers that this one is alive, and reads which
replies to stop. A heartbeat is a count, not a time, so a clock that jumps does no harm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from webapp.chat import Delta, Final, Outcome
from webapp.errors import StorageFull, StorageUnavailable
from webapp.generation import START, Generation, Hub, Position
from webapp.markdown import RENDERER
from webapp.storage import Storage, messages, workers
from webapp.watch import WATCH_SECONDS, Watch

TICK_SECONDS = 0.25
GATHER_SECONDS = 0.01  # so that replies that end together are saved together
PATIENCE_SECONDS = 5.0  # for a database that is away; then followers learn that the reply is not saved
RENDER_SECONDS = 8.0  # for the HTML of a finished reply; then it is saved without
DRAIN_SECONDS = 3.0  # for running replies when the worker shuts down; then they are interrupted

log = logging.getLogger(__name__)


@dataclass
class _Saved:
    """The saved part of one reply, and the last piece while its commit is not confirmed.

    An unconfirmed commit may have stored the piece, so a piece never changes.
    """

    position: Position = START
    pieces: int = 0
    unsaved: tuple[str, int, Delta] | None = None
    final: Final | None = None
    ended_at: float | None = None


class Pulse:
    """Saves the replies of one hub, and looks for dead workers. The next tick retries what failed.

    When the worker shuts down, the pulse interrupts replies and keeps their text.
    It calls those in `on_saved` with the id of each finished reply, after the followers, and those in `on_interrupted`
    when a dead worker's replies are interrupted; they must return at once.
    """

    def __init__(self, storage: Storage, hub: Hub, worker_id: str, dead: Collection[str] = ()) -> None:
        self.on_saved: list[Callable[[str], None]] = []
        self._storage = storage
        self._hub = hub
        self._worker_id = worker_id
        self._saved: dict[str, _Saved] = {}
        self._watch = Watch(storage, hub, worker_id, dead)
        self.on_interrupted = self._watch.on_interrupted
        self._follows_dead = bool(dead)
        self._drain_at: float | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Tick in a new thread until `close`."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and save once more."""
        self._closed = True
        self._hub.changed.set()
        self._thread.join()
        self.tick()  # the thread's last tick may have begun before the last reply ended

    def tick(self) -> None:
        """Save new text, finish ended replies, stop those that a user has stopped elsewhere. Never raises."""
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
        if self._follows_dead:
            self._watch.look()
        while not self._closed:
            self._hub.changed.wait(TICK_SECONDS if self._hub.all() else WATCH_SECONDS)
            self._hub.changed.clear()
            time.sleep(GATHER_SECONDS)
            self.tick()
            if time.monotonic() - watched_at >= WATCH_SECONDS:
                self._watch.look()
                watched_at = time.monotonic()

    def _save(self, generations: Sequence[Generation]) -> None:
        """Save all new text in one transaction, then stop the replies that the database marks."""
        rows: list[tuple[str, int, Delta]] = []
        finals: list[Final] = []
        for generation in generations:
            saved = self._saved.setdefault(generation.reply_id, _Saved())
            delta, position, outcome = generation.since(saved.position)
            if outcome and self._is_complete(generation, saved):
                saved.final = saved.final or _final(generation, outcome)
                finals.append(saved.final)
                continue
            if position != saved.position and not saved.unsaved:
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
            if generation.reply_id not in running:  # another worker interrupted it, or it is purged
                generation.stop("interrupted")
            elif running[generation.reply_id]:
                generation.stop()
        for final in finals:
            self._settle(final.reply_id)
            for tell in self.on_saved:
                tell(final.reply_id)

    def _is_complete(self, generation: Generation, saved: _Saved) -> bool:
        """Whether an ended reply has its HTML, or waits for it no longer."""
        saved.ended_at = saved.ended_at or time.monotonic()
        waited_seconds = time.monotonic() - saved.ended_at
        return generation.is_rendered or waited_seconds > RENDER_SECONDS or self._closed or self._hub.is_stopping()

    def _save_one_by_one(self, generations: Sequence[Generation]) -> None:
        """Save each reply in its own transaction, so that one that cannot be saved does not hold up the others."""
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
    whole = generation.since()[0]
    renderer = RENDERER if generation.html is not None else None
    return Final(generation.reply_id, whole.text, whole.reasoning, generation.html, renderer, outcome)
