"""Reasoning that a model writes into its answer: between tags, before the answer itself.

DeepSeek R1, QwQ and their kind write `<think>...</think>` where the server does not take it out:
https://huggingface.co/deepseek-ai/DeepSeek-R1. Only tags at the very beginning count: an answer may talk about them.
"""

from __future__ import annotations

import re

MOST_HELD_CHARS = 1000  # white space that waits for a tag

_NAMES = ("think", "thinking", "thought")
_OPENING = re.compile(rf"\s*+<({'|'.join(_NAMES)})>")


class Thinking:
    """Parts the reasoning from one answer, however its tags are cut."""

    def __init__(self) -> None:
        self._held = ""  # may become a tag, or is white space beside one
        self._closing = ""  # the tag that ends the reasoning
        self._is_over = False  # all that comes is text
        self._is_begun = False  # the reasoning, or the text behind it, has its first character

    def feed(self, text: str) -> tuple[str, str]:
        """Take more of the answer; return text and reasoning that are certain now."""
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
        """The answer has ended: return what was held back."""
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
