"""A block of code whose closing fence has not come yet."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from html import escape, unescape
from typing import Any, Literal

from markdown_it.token import Token

from webapp.rendering.lines import ColouredLines

SPAN, SPAN_END = "<span>", "</span>"  # around the line that grows
HALF_FENCE_CHARS = 200  # a longer line of fence marks is a line of code


@dataclass(slots=True)
class OpenFence:
    """A fenced block that is open. Its lines are shown as they are, or in colour when they are finished.

    With colours the line that grows stands in a span of its own.
    """

    indent: int
    mark: str
    half_line: str  # it may still become the closing fence
    in_line: bool  # a line is shown in part
    lines: ColouredLines | None = None
    is_alone: bool = False  # in no list or quote

    @classmethod
    def of(cls, fence: Token, source: str, half_line: str) -> OpenFence | None:
        """None where a line begins with more than blanks, as in a quote."""
        line = source.split("\n")[(fence.map or [0])[0]]
        indent = len(line) - len(line.lstrip(" "))
        if not line.startswith(fence.markup, indent) or "\n" in half_line:
            return None
        return cls(indent, fence.markup, half_line, not source.endswith("\n"))

    def is_fence(self, line: str) -> bool:
        words = line.strip(" \t")
        # No deeper than three blanks, from where the block stands.
        is_near = line[: 4 if self.is_alone else self.indent + 4].lstrip(" ").startswith(self.mark[0])
        return is_near and words.startswith(self.mark) and not words.strip(self.mark[0])

    def is_outside(self, line: str) -> bool:
        """Whether the line stands outside of the list item that the block stands in."""
        return bool(line.strip(" ")) and not line.startswith(" " * self.indent)

    def is_half(self, line: str) -> bool:
        return len(line) < HALF_FENCE_CHARS and not line.strip(" \t").strip(self.mark[0])

    def unindented(self, line: str) -> str:
        return line[min(self.indent, len(line) - len(line.lstrip(" "))) :]

    def take(self, text: str) -> tuple[str, str | None, bool]:
        """Take more text. Return the code in it; what follows the end of the code, None while it goes on; and
        whether a fence ended it."""
        *lines, last = (self.half_line + text).split("\n")
        self.half_line = ""
        shown: list[str] = []
        for number, line in enumerate(lines):
            if not self.in_line and (self.is_fence(line) or self.is_outside(line)):
                return "".join(shown), "\n".join([*lines[number + 1 :], last]), self.is_fence(line)
            shown.append((line if self.in_line else self.unindented(line)) + "\n")
            self.in_line = False
        if not self.in_line and self.is_outside(last):
            return "".join(shown), last, False
        if self.in_line or not self.is_half(last):
            shown.append(last if self.in_line else self.unindented(last))
            self.in_line = bool(last) or self.in_line
        else:
            self.half_line = last
        return "".join(shown), None, False

    def coloured(
        self, before: str, after: str, text: str, env: MutableMapping[str, Any]
    ) -> tuple[Literal["+", "="], int, str, str, str]:
        """Append text between `before` and `after`, and colour the lines that it finishes.

        Return the kind, the depth and the HTML of the patch, and both anew.
        """
        assert self.lines
        in_span = after.startswith(SPAN_END)
        start = before.rindex(SPAN) if in_span else len(before)
        line = unescape(before[start + len(SPAN) :]) if in_span else ""
        after = after.removeprefix(SPAN_END)
        depth = after.count("</")
        finished, newline, half = (line + text).rpartition("\n")
        html = self.lines.add(finished + newline, env) if newline else ""
        if html is None:
            self.lines = None
            html = as_html(finished + newline + half)
        elif half:
            html += SPAN + as_html(half)
            return ("=" if in_span else "+"), depth, html + SPAN_END, before[:start] + html, SPAN_END + after
        return ("=" if in_span else "+"), depth, html, before[:start] + html, after


def as_html(text: str) -> str:
    """Escape text as the sanitiser writes it."""
    return escape(text, quote=False).replace("\xa0", "&nbsp;")
