"""Separates the reasoning that a model writes between tags at the beginning of its answer.

DeepSeek R1, QwQ and similar models write `<think>...</think>`, and some servers leave it in the text:
https://huggingface.co/deepseek-ai/DeepSeek-R1. Only tags at the very beginning count: an answer may talk about them.
"""

from __future__ import annotations

import re

MOST_HELD_CHARS = 1000  # of white space next to a tag

_NAMES = ("think", "thinking", "thought")
_OPENING = re.compile(rf"\s*+<({'|'.join(_NAMES)})>")


class Thinking:
    """Separates the reasoning of one answer. The pieces may cut the tags anywhere."""

    def __init__(self) -> None:
        self._held = ""  # text that may become a tag, or white space next to one
        self._closing = ""  # the tag that ends the reasoning
        self._is_over = False  # everything from now on is text
        self._is_begun = False  # the reasoning, or the text after it, has its first character

    def feed(self, text: str) -> tuple[str, str]:
        """Add a piece of the answer; return the text and the reasoning that are certain now."""
        if self._is_over and self._is_begun:
            return text, ""
        whole, self._held = self._held + text, ""
        if self._is_over:
            return self._first(whole), ""
        if self._closing:
            return self._think(whole)
        if opening := _OPENING.match(whole):
            self._closing = f"</{opening[1]}>"
            return self._think(whole[opening.end() :])
        begun = whole.lstrip()
        if len(whole) < MOST_HELD_CHARS and any(f"<{name}>".startswith(begun) for name in _NAMES):
            self._held = whole
            return "", ""
        self._is_over = self._is_begun = True
        return whole, ""

    def end(self) -> tuple[str, str]:
        """Return the text and the reasoning kept back, at the end of the answer."""
        held, self._held = self._held, ""
        return ("", held.rstrip()) if self._closing and not self._is_over else (held, "")

    def _think(self, whole: str) -> tuple[str, str]:
        reasoning, tag, rest = whole.partition(self._closing)
        if tag:
            self._is_over = True
            reasoning = self._first(reasoning).rstrip()
            self._is_begun = False
            return self._first(rest), reasoning
        certain = whole.rstrip()
        half = next((n for n in range(len(self._closing) - 1, 0, -1) if certain.endswith(self._closing[:n])), 0)
        certain = certain[: len(certain) - half].rstrip()
        if len(whole) - len(certain) > MOST_HELD_CHARS:
            certain = whole
        self._held = whole[len(certain) :]
        return "", self._first(certain)

    def _first(self, text: str) -> str:
        """The text without the white space that separates it from a tag."""
        if self._is_begun:
            return text
        text = text.lstrip()
        self._is_begun = bool(text)
        return text
