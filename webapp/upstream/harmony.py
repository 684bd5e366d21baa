"""The channels of gpt-oss, where the server passes them on as text.

    <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...<|return|>

https://cookbook.openai.com/articles/openai-harmony
"""

from __future__ import annotations

import re

MOST_HEADER_CHARS = 1000

_MESSAGE = "<|message|>"
_MARK = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_MARKS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")
_LONGEST_MARK = max(map(len, _MARKS))
_CHANNEL = re.compile(r"<\|channel\|>\s{0,9}(\w+)")


class Harmony:
    """Parts the final channel from the others, however the marks are cut."""

    STARTS = ("<|channel|>", "<|start|>")

    def __init__(self) -> None:
        self._held = ""
        self._is_header = True
        self._is_final = False
        self._passed = 0  # characters of the body that are no mark, though they look like one

    def feed(self, text: str) -> tuple[str, str]:
        """Take more of the answer; return text and reasoning that are certain now."""
        whole, self._held = self._held + text, ""
        said: tuple[list[str], list[str]] = ([], [])  # in the final channel, and in the others
        while whole:
            if self._is_header:
                whole = self._read_header(whole)
            else:
                part, whole = self._read_body(whole)
                said[not self._is_final].append(part)
        return "".join(said[0]), "".join(said[1])

    def end(self) -> tuple[str, str]:
        """The answer has ended: return what was held back, but for marks."""
        held, self._held = self._held, ""
        if self._is_header or held.startswith("<|"):
            return "", ""
        return (held, "") if self._is_final else ("", held)

    def _read_header(self, whole: str) -> str:
        """Read up to a message's first character; return the rest."""
        header, mark, rest = whole.partition(_MESSAGE)
        if not mark and len(whole) <= MOST_HEADER_CHARS:
            self._held = whole
            return ""
        channel = _CHANNEL.search(header)
        self._is_final = not channel or channel[1] == "final"
        self._is_header = False
        if mark:
            return rest
        self._passed = 1  # no header after all: its own mark is text, and would begin it again
        return whole

    def _read_body(self, whole: str) -> tuple[str, str]:
        """Return a part of the message, and what begins with the mark behind it."""
        passed, self._passed = self._passed, 0
        if mark := _MARK.search(whole, passed):
            self._is_header = True
            keeps_mark = mark[0] in self.STARTS
            return whole[: mark.start()], whole[mark.start() if keeps_mark else mark.end() :]
        start = whole.rfind("<")
        if start >= 0 and len(whole) - start < _LONGEST_MARK and any(one.startswith(whole[start:]) for one in _MARKS):
            whole, self._held = whole[:start], whole[start:]
        return whole, ""
