"""Asks the upstream for a better title after the first answer of a conversation, in a thread.

No page waits for it. Until it comes, and if it fails, the title is the first words of the question.
"""

from __future__ import annotations

import logging
import queue
import re
from contextlib import suppress

from webapp import language
from webapp.background import Background
from webapp.chat import merge
from webapp.errors import AppError
from webapp.language import gettext as _
from webapp.lockchat import Lockchat
from webapp.storage import Storage, conversations
from webapp.storage.conversations import Opening
from webapp.text import clean, title_of
from webapp.upstream.stream import Stream

TOTAL_SECONDS = 20.0
ANSWER_BYTES = 16 * 2**10  # a title is short, but some models reason before it
WAITING = 100  # replies in the queue
LOOK_SECONDS = 3600.0  # a reply wakes the thread
READ_CHARS = 2000  # of the question and of the answer: enough to see the subject

_RUSSIAN = re.compile("[а-яё]", re.IGNORECASE)
_LABEL = re.compile(r"(?:[#>*-]+\s+)*(?:\**(?:title|заголовок|название)\**:\**\s+)?", re.IGNORECASE)
_QUOTED = re.compile('["\'«“„‘]([^"«»“”„]+)["\'»“”’]')

log = logging.getLogger(__name__)


class Titler(Background):
    """Improves the titles of one worker's conversations, one at a time. `close` closes the upstream too."""

    def __init__(self, upstream: Lockchat, storage: Storage) -> None:
        super().__init__("titles", LOOK_SECONDS)
        self._upstream = upstream
        self._storage = storage
        self._waiting: queue.Queue[str] = queue.Queue(WAITING)
        self._stream: Stream | None = None

    def offer(self, reply_id: str) -> None:
        """Queue a saved reply. Returns at once; ignores the reply if the queue is full."""
        with suppress(queue.Full):
            self._waiting.put_nowait(reply_id)
        self.wake()

    def close(self) -> None:
        """Abort the current request, drop the queue and end the thread."""
        self._closed.set()
        if stream := self._stream:
            stream.abort()
        super().close()
        self._upstream.close()

    def look(self) -> None:
        """Improve the titles of the conversations in the queue."""
        while not self._closed.is_set() and not self._waiting.empty():
            self._improve(self._waiting.get())

    def _improve(self, reply_id: str) -> None:
        subject = f"the conversation of reply {reply_id[:8]}"
        try:
            with self._storage.read() as tx:
                opening = conversations.opening(tx, reply_id)
            if opening and opening.title == title_of(opening.question):
                subject = f"conversation {opening.conversation_id}"
                self._replace_title(opening)
        except AppError as error:
            log.warning("no better title for %s: %s", subject, error)
        except Exception:
            log.exception("no better title for %s", subject)

    def _replace_title(self, opening: Opening) -> None:
        title = title_in(self._ask(opening))
        if title and not self._closed.is_set():
            with self._storage.begin() as tx:
                conversations.better_title(tx, opening.conversation_id, opening.title, title)

    def _ask(self, opening: Opening) -> str:
        self._stream = self._upstream.stream(_wire(opening), opening.model)
        try:
            # Checked after `_stream` is set: an earlier `close` could not abort it.
            return "" if self._closed.is_set() else merge(list(self._stream)).text
        finally:
            self._stream.close()
            self._stream = None


def title_in(said: str) -> str:
    """Return the first line of a model's answer without label, quotes and markdown; it may be empty."""
    lines = (line.strip() for line in clean(said).splitlines())
    line = next(filter(None, lines), "")
    line = _LABEL.sub("", line, count=1).replace("**", "").replace("`", "").strip("*_ ")
    quoted = _QUOTED.fullmatch(line.rstrip("."))
    title = title_of((quoted[1] if quoted else line).strip().rstrip(".…"))
    return title if re.search(r"\w", title) else ""


def _wire(opening: Opening) -> list[dict[str, str]]:
    language.use(language.choose(["ru"] if _RUSSIAN.search(opening.question) else []))
    prompt = _(
        "Write a title for this conversation, in its language: at most six words, no quotes, no markdown."
        " Answer with the title alone."
    )
    return [
        {"role": "user", "content": opening.question[:READ_CHARS]},
        {"role": "assistant", "content": opening.answer[:READ_CHARS]},
        {"role": "user", "content": prompt},
    ]
