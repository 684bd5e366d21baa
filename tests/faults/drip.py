"""Answers that take their time, and what of them has gone out by when."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from tests.upstream import Request, Step, Wait, chunk, head, token


class Drip:
    """The script of one answer: numbered words, one every `seconds`, until `number` are sent or `finish` is set."""

    def __init__(self, seconds: float = 0.03, number: int = 100_000) -> None:
        self.finish = threading.Event()
        self._seconds = seconds
        self._number = number
        self._words: list[str] = []
        self._sent_at: list[float] = []

    def __call__(self, request: Request) -> Iterator[Step]:
        yield head(content_type="text/event-stream", transfer_encoding="chunked")
        for number in range(self._number):
            if self.finish.is_set():
                break
            self._words.append(f"слово{number} ")  # before it is sent, as it may be stored at once
            yield chunk(token(self._words[-1]))
            self._sent_at.append(time.monotonic())
            yield Wait(self._seconds)
        yield chunk(b"data: [DONE]\n\n") + chunk(b"")

    def text(self, before: float | None = None) -> str:
        """What has gone out or is on its way; with a time of the monotonic clock, what had gone out before it."""
        return "".join(self._words[: None if before is None else sum(at < before for at in list(self._sent_at))])
