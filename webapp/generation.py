"""Running replies: a thread reads each one from the upstream, any number of followers read it from here.

A reply does not depend on a connection. Each follower keeps its position and gets all newer deltas as one, so a
slow follower needs no queue. This module knows no HTTP and no storage.
"""

from __future__ import annotations

import _thread
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, Protocol

from webapp.chat import Activity, Delta, Failure, Outcome, Picture, Status, merge
from webapp.errors import UpstreamError
from webapp.growing import GrowingText
from webapp.sleeper import Sleeper

BEAT_SECONDS = 15.0  # below the 30-60 s idle limits of common proxies


class Position(NamedTuple):
    """A follower's place: characters of the text and of the reasoning; whether text became reasoning before it."""

    text: int = 0
    reasoning: int = 0
    was_reasoning: bool = False


START = Position()
NOTHING = Delta()

Render = Callable[[str], str | None]
Keep = Callable[[str, Picture], Picture]

log = logging.getLogger(__name__)


class Source(Protocol):
    """A stream of deltas that another thread can abort at once.

    It calls `on_activity` when the upstream works without text, and `on_wait` before it waits for more.
    """

    def listen(self, on_activity: Callable[[Activity], None], on_wait: Callable[[], None]) -> None: ...
    def __iter__(self) -> Iterator[Delta]: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


class Generation:
    """One reply: its text and reasoning so far, and its outcome once it has ended."""

    def __init__(
        self,
        reply_id: str,
        source: Source,
        on_end: Callable[[], None],
        render: Render,
        keep: Keep,
        changed: threading.Event,
        begun: Delta,
    ) -> None:
        self.reply_id = reply_id
        self.html: str | None = None  # of the whole reply; None until it is rendered
        self.is_rendered = False  # `html` no longer changes; None if the text could not be rendered
        self._render = render
        self._keep = keep
        self._keeping: threading.Thread | None = None
        self._pictures: list[Picture] = []
        self._has_lost_picture = False
        self._hub_changed = changed
        self._source = source
        self._on_end = on_end
        self._finishing = threading.Lock()
        self._lock = threading.Lock()
        self._followers: list[Sleeper] = []
        self._text = GrowingText()
        self._reasoning = GrowingText()
        self._text.add(begun.text)
        self._reasoning.add(begun.reasoning)
        self._was_reasoning = False
        self._activity: Activity | None = None
        self._last = Delta()  # what the upstream told of the whole reply
        self._outcome: Outcome | None = None
        self._settled = False
        self._new: list[Delta] = []  # not yet added: deltas that arrive together are added together
        source.listen(self._note_activity, self._add_new)
        self._started = time.monotonic()
        self._first_token_seconds: float | None = None

    def start(self) -> None:
        """Read the source in a new thread."""
        _thread.start_new_thread(self._begin, ())  # an object of `threading` would keep 2 KB for each reply

    def follow(self, beat_seconds: float = BEAT_SECONDS) -> Iterator[Delta | Outcome]:
        """Yield all so far as one delta, then what is new as it comes, and the outcome last.

        Yields an empty delta, a beat, after each `beat_seconds` without news. Yields the outcome once the reply
        is saved, or could not be saved: then `saved` is False.
        """
        seen: tuple[Position, Activity | None] = (START, None)
        is_beat, follower = True, Sleeper(beat_seconds)
        self._followers.append(follower)
        try:
            while True:
                with self._lock:
                    new, outcome = self._since(seen[0]), self._outcome if self._settled else None
                    state = self._position(), self._activity
                    has_new, seen = seen != state, state
                if has_new or (is_beat and not outcome):
                    yield new
                    follower.rest()
                if outcome:
                    yield outcome
                    return
                is_beat = not follower.wait()
        finally:
            with self._lock:
                self._followers.remove(follower)
            follower.close()

    def since(self, position: Position = START) -> tuple[Delta, Position, Outcome | None]:
        """Return all after `position` as one delta, the new position, and the outcome of a reply that has ended."""
        with self._lock:
            return self._since(position), self._position(), self._outcome

    def shown(self) -> tuple[Delta, Outcome | None]:
        """Return all so far as one delta, and the outcome once the reply is saved, or could not be saved."""
        with self._lock:
            return self._since(START), self._outcome if self._settled else None

    def pictures(self) -> tuple[Picture, ...]:
        """The pictures that are stored so far."""
        return tuple(self._pictures)

    def stop(self, status: Status = "stopped") -> None:
        """End the reply and close the upstream's connection at once; keep the text so far."""
        self._end(Outcome(status))
        self._source.abort()
        with suppress(RuntimeError):  # without a thread left, the reply's own one finishes
            _thread.start_new_thread(self._finish, ())  # the reply's own one may rest between two reads

    def settle(self, *, saved: bool) -> None:
        """Give followers the outcome: the finished reply is saved, or could not be saved."""
        with self._lock:
            if self._outcome:
                self._outcome = replace(self._outcome, saved=saved)
            self._settled = True
            self._wake_followers()

    def _since(self, position: Position) -> Delta:
        was_reasoning = self._was_reasoning and not position.was_reasoning
        # The text that this follower has is the beginning of the reasoning now.
        text, reasoning = (0, position.text) if was_reasoning else (position.text, position.reasoning)
        return Delta(
            self._text.since(text),
            self._reasoning.since(reasoning),
            was_reasoning=was_reasoning,
            activity=self._activity,
        )

    def _position(self) -> Position:
        return Position(len(self._text), len(self._reasoning), self._was_reasoning)

    def _wake_followers(self) -> None:
        """The caller has the lock, and the followers see the news when it lets go."""
        for follower in self._followers:
            follower.wake()

    def _begin(self) -> None:
        """Ask, and take the first delta. A thread keeps the memory of its deepest call, so another one reads on."""
        deltas = iter(self._source)
        if outcome := self._take(islice(deltas, 1)):
            self._conclude(outcome)
            return
        try:
            _thread.start_new_thread(self._run, (deltas,))
        except RuntimeError:  # no thread is left
            self._run(deltas)

    def _run(self, deltas: Iterator[Delta]) -> None:
        self._conclude(self._take(deltas) or Outcome("done"))

    def _conclude(self, outcome: Outcome) -> None:
        try:
            self._source.close()
        except Exception:
            log.exception("reply %s: its answer could not be closed", self.reply_id[:8])
        try:
            if self._keeping:
                self._keeping.join()
            self._end(outcome)
        finally:
            self._finish()

    def _finish(self) -> None:
        """Render the whole reply, once, after its pictures are stored."""
        if self._keeping:
            self._keeping.join()
        with self._finishing:
            try:
                if not self.is_rendered:
                    self.html = self._render(self.since()[0].text)
            finally:
                self.is_rendered = True
                self._hub_changed.set()

    def _take(self, deltas: Iterator[Delta]) -> Outcome | None:
        """Take these deltas; return the outcome if the source failed or the reply has ended."""
        try:
            for delta in deltas:
                self._take_one(delta)
                if self._outcome:
                    break
            return self._outcome
        except UpstreamError as error:
            # The page shows the same id beside its sentence.
            log.warning("reply %s failed: %s", self.reply_id[:8], error)
            # A reply that breaks off after it began keeps its text, and the page offers Retry.
            return Outcome("interrupted" if error.reason == "cut_off" else "error", failure=error.failure)
        except Exception:
            log.exception("reply %s failed", self.reply_id)
            return Outcome("error", failure=Failure("internal"))
        finally:
            self._add_new()

    def _take_one(self, delta: Delta) -> None:
        if delta.finish_reason or delta.usage or delta.sources or delta.tool or delta.dropped:
            finish, usage = delta.finish_reason or self._last.finish_reason, delta.usage or self._last.usage
            self._last = replace(delta, finish_reason=finish, usage=usage)
        if delta.images:
            self._take_pictures(delta.images)
        if delta.text or delta.reasoning or delta.was_reasoning:
            self._new.append(delta)

    def _add_new(self) -> None:
        new, self._new = self._new, []
        if not new:
            return
        delta = new[0] if len(new) == 1 else merge(new)
        with self._lock:
            if self._outcome:
                return
            self._note_progress()
            if delta.was_reasoning:
                self._reasoning, self._text, self._was_reasoning = self._text, GrowingText(), True
            # PostgreSQL cannot store NUL.
            self._text.add(delta.text.replace("\0", "\ufffd"))
            self._reasoning.add(delta.reasoning.replace("\0", "\ufffd"))

    def _take_pictures(self, new: Sequence[Picture]) -> None:
        """Store pictures in a thread of their own, after those before: the text does not wait for them."""
        with self._lock:
            if self._outcome:
                return
            self._note_progress()
            keeping = threading.Thread(target=self._keep_all, args=(new, self._keeping), daemon=True)
            keeping.start()
            self._keeping = keeping

    def _note_progress(self) -> None:
        """Something of the answer has come. The caller has the lock."""
        self._activity = None
        if self._first_token_seconds is None:
            self._first_token_seconds = time.monotonic() - self._started
        self._wake_followers()

    def _keep_all(self, new: Sequence[Picture], before: threading.Thread | None) -> None:
        if before:
            before.join()
        for picture in new:
            try:
                self._pictures.append(self._keep(self.reply_id, picture))
            except Exception:
                log.exception("a picture of reply %s could not be stored", self.reply_id)
                self._has_lost_picture = True

    def _note_activity(self, activity: Activity) -> None:
        self._add_new()
        with self._lock:
            self._activity = activity
            self._wake_followers()

    def _end(self, outcome: Outcome) -> None:
        with self._lock:
            if self._outcome:
                return
            told, lost = self._last, ("picture",) if self._has_lost_picture else ()
            self._outcome = replace(
                outcome,
                finish_reason=told.finish_reason,
                usage=told.usage,
                sources=told.sources,
                tool=told.tool,
                dropped=tuple(dict.fromkeys((*told.dropped, *lost))),
                first_token_seconds=self._first_token_seconds,
                seconds=time.monotonic() - self._started,
            )
        self._on_end()
        self._hub_changed.set()


class Hub:
    """The running replies of this worker, from their start until they are saved.

    `render` turns a finished text into HTML, in the reply's thread; it returns None if it cannot do so now.
    `keep` stores a picture of a reply and returns it as it is shown; it may wait and raise.
    """

    def __init__(self, render: Render, keep: Keep = lambda reply_id, picture: picture) -> None:
        self.changed = threading.Event()  # set when a reply starts, ends or is rendered; the pulse waits for it
        self._render = render
        self._keep = keep
        self.is_stopping: Callable[[], bool] = lambda: False  # whether the worker is shutting down
        self._generations: dict[str, Generation] = {}

    def start(self, reply_id: str, source: Source, on_end: Callable[[], None], begun: Delta = NOTHING) -> None:
        """Run a reply that begins with `begun`; call `on_end` once when it has ended."""
        generation = Generation(reply_id, source, on_end, self._render, self._keep, self.changed, begun)
        self._generations[reply_id] = generation
        generation.start()
        self.changed.set()

    def stop(self, reply_id: str) -> bool:
        """Stop a reply of this worker; return False if it does not run here."""
        generation = self._generations.get(reply_id)
        if generation:
            generation.stop()
        return generation is not None

    def get(self, reply_id: str) -> Generation | None:
        return self._generations.get(reply_id)

    def all(self) -> dict[str, Generation]:
        """Return a copy of the running replies, by reply id.

        Call it before you read the database and you miss no reply: a reply leaves the hub after it is saved.
        """
        return dict(self._generations)

    def discard(self, reply_id: str) -> None:
        """Remove a saved reply."""
        self._generations.pop(reply_id, None)
