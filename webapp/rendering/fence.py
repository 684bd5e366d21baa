"""A block of code whose closing fence has not come yet."""

from __future__ import annotations

from dataclasses import dataclass

from markdown_it.token import Token

HALF_FENCE_CHARS = 200  # a longer line of fence marks is a line of code


@dataclass(slots=True)
class OpenFence:
    """A fenced block that is open; its lines are shown as they are."""

    indent: int
    mark: str
    half_line: str  # it may still become the closing fence
    in_line: bool  # a line is shown in part

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
        return words.startswith(self.mark) and not words.strip(self.mark[0])

    def is_outside(self, line: str) -> bool:
        """Whether the line stands outside of the list item that the block stands in."""
        return bool(line.strip(" ")) and not line.startswith(" " * self.indent)

    def is_half(self, line: str) -> bool:
        return len(line) < HALF_FENCE_CHARS and not line.strip(" \t").strip(self.mark[0])

    def unindented(self, line: str) -> str:
        return line[min(self.indent, len(line) - len(line.lstrip(" "))) :]
