"""The rest of a reply that was cut: asks for it in a way that all upstreams take, and joins it to the beginning.

A request that ends with the beginning as the model's own message is taken by few: Mistral and Claude refuse it, OpenAI
answers it anew. So the request ends with a question, and models repeat some words before they go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from webapp.chat import Activity, Delta
from webapp.errors import UpstreamError
from webapp.generation import Source

QUESTION = (
    "Your last message was cut off. Go on exactly where it stopped. Begin with its last words, so that the two parts"
    " can be joined. Add nothing else: no remark, no summary."
)
TAIL_CHARS = 400  # of the beginning, that the rest may repeat
LEAST_CHARS = 4  # of a repetition that is no whole word: fewer are chance

_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.M)
_OPENING = re.compile(r"\s*(?:```|~~~)\w[^\n`]*\n")  # a bare fence closes the open one
_BEFORE_CJK = "\u2e80"  # these letters and those before them are written with spaces between the words


class Rest:
    """The stream of the rest of a reply whose text is `begun`, without what it repeats of it.

    Raises UpstreamError where the whole would be larger than `max_bytes`.
    """

    def __init__(self, source: Source, begun: str, max_bytes: int) -> None:
        self._source = source
        self._begun = begun
        self._left = max_bytes - len(begun.encode())

    def listen(self, on_activity: Callable[[Activity], None], on_wait: Callable[[], None]) -> None:
        self._source.listen(on_activity, on_wait)

    def __iter__(self) -> Iterator[Delta]:
        joint = Joint(self._begun)
        for delta in self._source:
            if delta.was_reasoning:  # all text before it, with the beginning
                joint = Joint(self._begun)
            text = joint.feed(delta.text)
            self._left -= len(text.encode())
            if self._left < 0:
                raise UpstreamError("answer_too_large")
            yield replace(delta, text=self._begun + text if delta.was_reasoning else text)
        if rest := joint.end():
            yield Delta(rest)

    def abort(self) -> None:
        self._source.abort()

    def close(self) -> None:
        self._source.close()


class Joint:
    """Joins a text that comes in pieces to its beginning, without repeated words and a fence that is open already."""

    def __init__(self, begun: str) -> None:
        self._tail = begun[-TAIL_CHARS:]
        self._is_in_fence = len(_FENCE.findall(begun)) % 2 == 1
        self._held = ""
        self._is_joined = False

    def feed(self, text: str) -> str:
        """Return the text to add now. Keeps back what may still be a repetition."""
        if self._is_joined:
            return text
        self._held += text
        if self._may_repeat():
            return ""
        return self.end()

    def end(self) -> str:
        """Return the text that was kept back, without what it repeats."""
        held, self._held, self._is_joined = self._held, "", True
        inner = self._inner(held)
        for text in (inner, inner.lstrip()):
            for length in range(min(len(text), len(self._tail)), 1, -1):
                if self._tail.endswith(text[:length]) and (length >= LEAST_CHARS or self._is_word(text, length)):
                    return text[length:]
        return f" {inner}" if _needs_space(self._tail, inner) else inner

    def _inner(self, held: str) -> str:
        opening = _OPENING.match(held) if self._is_in_fence else None
        return held[opening.end() :] if opening else held

    def _is_word(self, text: str, length: int) -> bool:
        before, after = self._tail[-length - 1 : -length], text[length : length + 1]
        return not (before.isalnum() or after.isalnum())

    def _may_repeat(self) -> bool:
        if len(self._held) > 2 * TAIL_CHARS:
            return False
        stripped = self._held.lstrip()
        if self._is_in_fence and stripped[:1] in ("`", "~") and "\n" not in stripped:
            return True
        return self._inner(self._held).lstrip() in self._tail


def _needs_space(before: str, after: str) -> bool:
    ends = before[-1:] + after[:1]
    return len(ends) == 2 and all(letter.isalnum() and letter < _BEFORE_CJK for letter in ends)
