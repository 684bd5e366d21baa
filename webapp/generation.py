"""Replies in the making: one pump a reply, any number of followers. Knows no HTTP and no storage.

A generation belongs to no connection. Its thread takes deltas from the upstream; whoever follows it gets what
there is and then what comes, merged from the follower's own position: a slow follower makes no queue grow.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Protocol

from webapp.chat import Delta, Failure, Outcome, Status
from webapp.errors import UpstreamError

BEAT_SECONDS = 15.0  # below the 30-60 s idle limits of common proxies

Render = Callable[[str], str | None]

log = logging.getLogger(__name__)


class Source(Protocol):
    """A stream of deltas that another thread can end at once."""

    def __iter__(self) -> Iterator[Delta]: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


def merge(deltas: Sequence[Delta]) -> Delta:
    """One delta that adds what all of them add."""
    return Delta("".join(delta.text for delta in deltas), "".join(delta.reasoning for delta in deltas))


class Generation:
    """One reply: the deltas so far, and the outcome once there is one."""

    def __init__(
        self, reply_id: str, source: Source, on_end: Callable[[], None], render: Render, changed: Event
    ) -> None:
        self.reply_id = reply_id
        self.html: str | None = None  # of the finished reply
        self.is_rendered = False  # `html` stays as it is: made, or given up
        self._render = render
        self._hub_changed = changed
        self._source = source
        self._on_end = on_end
        self._changed = threading.Condition()
        self._deltas: list[Delta] = []
        self._outcome: Outcome | None = None
        self._settled = False
        self._started = time.monotonic()
        self._first_token_seconds: float | None = None

    def start(self) -> None:
        """Pump the source in a thread of its own."""
        threading.Thread(target=self._pump, name=f"reply-{self.reply_id}", daemon=True).start()

    def follow(self, beat_seconds: float = BEAT_SECONDS) -> Iterator[Delta | Outcome]:
        """Yield what there is at once, then what comes, an empty delta each silent beat, the outcome at last.

        The outcome comes when storage has taken the reply, or has failed to (`saved` is False then).
        """
        position, wait_seconds = 0, 0.0
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._has_more, position), wait_seconds)
                new, outcome = self._deltas[position:], self._outcome if self._settled else None
            position, wait_seconds = position + len(new), beat_seconds
            if new or not outcome:
                yield merge(new)
            if outcome:
                yield outcome
                return

    def since(self, position: int) -> tuple[Delta, int, Outcome | None]:
        """What came after `position`, the new position, and the outcome if the reply has ended."""
        with self._changed:
            return merge(self._deltas[position:]), len(self._deltas), self._outcome

    def shown(self) -> tuple[Delta, Outcome | None]:
        """The text so far, and the outcome once followers are told of it: one that storage knows, or has refused."""
        with self._changed:
            return merge(self._deltas), self._outcome if self._settled else None

    def stop(self, status: Status = "stopped") -> None:
        """End the reply here and close the upstream's connection at once. The text so far stands."""
        self._end(Outcome(status))
        self._source.abort()

    def settle(self, *, saved: bool) -> None:
        """Tell the followers that storage has taken the finished reply, or has failed to."""
        with self._changed:
            if self._outcome:
                self._outcome = replace(self._outcome, saved=saved)
            self._settled = True
            self._changed.notify_all()

    def _has_more(self, position: int) -> bool:
        return self._settled or len(self._deltas) > position

    def _pump(self) -> None:
        try:
            self._end(self._take_all())
            self.html = self._render(self.since(0)[0].text)
        finally:
            self.is_rendered = True
            self._hub_changed.set()

    def _take_all(self) -> Outcome:
        last = Delta()
        try:
            for delta in self._source:
                last = replace(
                    delta,
                    finish_reason=delta.finish_reason or last.finish_reason,
                    usage=delta.usage or last.usage,
                )
                if (delta.text or delta.reasoning) and not self._add(delta):
                    break
            return Outcome("done", last.finish_reason, usage=last.usage)
        except UpstreamError as error:
            # What broke off after the answer began is interrupted: the text stands, and Retry is offered.
            status: Status = "interrupted" if error.reason == "cut_off" else "error"
            return Outcome(status, last.finish_reason, error.failure, last.usage)
        except Exception:
            log.exception("reply %s failed", self.reply_id)
            return Outcome("error", failure=Failure("internal"))
        finally:
            self._source.close()

    def _add(self, delta: Delta) -> bool:
        with self._changed:
            if self._outcome:
                return False
            if self._first_token_seconds is None:
                self._first_token_seconds = time.monotonic() - self._started
            # No database stores NUL.
            self._deltas.append(Delta(delta.text.replace("\0", "\ufffd"), delta.reasoning.replace("\0", "\ufffd")))
            self._changed.notify_all()
            return True

    def _end(self, outcome: Outcome) -> None:
        with self._changed:
            if self._outcome:
                return
            self._outcome = replace(
                outcome,
                first_token_seconds=self._first_token_seconds,
                seconds=time.monotonic() - self._started,
            )
        self._on_end()
        self._hub_changed.set()


class Hub:
    """The generations of this worker, from their start until storage has taken them.

    `render` makes the HTML of a finished text in the reply's own thread; None where it cannot be made now.
    """

    def __init__(self, render: Render) -> None:
        self.changed = threading.Event()  # set at each start and end, and by HTML; the pulse waits for it
        self._render = render
        self.is_stopping: Callable[[], bool] = lambda: False  # told to stop, the worker starts nothing any more
        self._generations: dict[str, Generation] = {}

    def start(self, reply_id: str, source: Source, on_end: Callable[[], None]) -> None:
        """Run a reply; call `on_end` once when it has ended."""
        generation = Generation(reply_id, source, on_end, self._render, self.changed)
        self._generations[reply_id] = generation
        generation.start()
        self.changed.set()

    def stop(self, reply_id: str) -> bool:
        """Stop a reply that runs in this worker; False when it does not."""
        generation = self._generations.get(reply_id)
        if generation:
            generation.stop()
        return generation is not None

    def get(self, reply_id: str) -> Generation | None:
        return self._generations.get(reply_id)

    def all(self) -> dict[str, Generation]:
        """The generations as they are now, by reply id.

        Taken before a read of the database it misses nothing: a reply leaves the hub after storage has it.
        """
        return dict(self._generations)

    def discard(self, reply_id: str) -> None:
        """Forget a reply that storage has taken."""
        self._generations.pop(reply_id, None)
