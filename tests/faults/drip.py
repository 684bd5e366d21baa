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
        self._sent: list[tuple[float, str]] = []

    def __call__(self, request: Request) -> Iterator[Step]:
        yield head(content_type="text/event-stream", transfer_encoding="chunked")
        for number in range(self._number):
            if self.finish.is_set():
                break
            word = f"слово{number} "
            yield chunk(token(word))
            self._sent.append((time.monotonic(), word))
            yield Wait(self._seconds)
        yield chunk(b"data: [DONE]\n\n") + chunk(b"")

    def text(self, before: float | None = None) -> str:
        """What has gone out, before that time of the monotonic clock if one is given."""
        return "".join(word for at, word in list(self._sent) if before is None or at < before)
