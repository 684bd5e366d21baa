"""The end of a source that still grows: what is open there is closed, and a caret shows where the next words go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it.token import Token

from webapp.rendering.difference import CLOSERS
from webapp.rendering.items import Loose, keep_loose
from webapp.rendering.unfinished import HELD_CHARS, ripe

CARET = "\ufdd0"  # a noncharacter: set aside by Unicode for the inner use of programs
CELL_CHARS = 40  # a growing table cell comes in pieces of these

_MARKS = frozenset("*_~`)]>$;")


@dataclass(frozen=True, slots=True)
class Block:
    tokens: Sequence[Token]
    html: str

    @property
    def start(self) -> int:
        return (self.tokens[0].map or [0])[0]

    @property
    def end(self) -> int:
        return (self.tokens[0].map or [0, 0])[1]


class End:
    """The end of a source that still grows: what is open there, closed while the parser runs."""

    def __init__(self, source: str, loose: Loose = ()) -> None:
        self.source = source
        self._loose = loose
        self.fits = True  # the finished part, which the source leaves out
        self._newlines = source.count("\n")
        self._is_line = source.endswith("\n")
        self._holds = False
        self.caret = ""
        self.has_caret = False
        self.after = ""
        self.code: Token | None = None
        self.waits_for: frozenset[str] = frozenset()
        self.waits_chars = HELD_CHARS

    def close(self, tokens: list[Token]) -> None:
        """Close the last line of text, or leave the last block of code open."""
        self.fits = keep_loose(tokens, self._loose, self.source)
        is_last_cell = True
        for index in reversed(range(len(tokens))):
            token = tokens[index]
            if token.type == "td_open":
                is_last_cell = False
            elif token.type == "fence":
                return self._open_code(token)
            elif token.type == "inline" and (token.content or tokens[index - 1].type != "td_open"):
                return self._close_text(tokens, index, is_last_cell)
            elif token.nesting >= 0 and token.type != "inline":
                return None
        return None

    def is_whole(self, block: Block) -> bool:
        """Whether the last block can have no more lines."""
        kinds = ("fence", "hr", "math_block", "heading_open", "details_open")
        first = block.tokens[0]
        return first.type in kinds and not first.meta.get("open") and not self.code and block.end <= self._newlines

    def without_caret(self, html: str) -> str:
        before, _, after = html.rpartition(self.caret)
        if CLOSERS.fullmatch(after):
            self.after = after
            self.has_caret = not self._holds
        return before + after

    def _reaches(self, token: Token) -> bool:
        return (token.map or [0, 0])[1] >= self._newlines + (not self._is_line)

    def _open_code(self, token: Token) -> None:
        lines = token.content.count("\n") + (token.content[-1:] not in ("", "\n"))
        start, end = token.map or [0, 0]
        if self._reaches(token) and end - start - 1 <= lines:  # else its last line is the closing fence
            self.code = token
            self.caret = CARET
            token.content += CARET
            token.meta["open"] = True
            token.meta["by_line"] = self.source.split("\n")[start].lstrip(" ").startswith(token.markup)

    def _close_text(self, tokens: list[Token], index: int, is_last_cell: bool) -> None:
        token, kind = tokens[index], tokens[index - 1].type
        if not self._reaches(token) or (self._is_line and kind != "paragraph_open"):
            return
        whole = token.content + "\n" * self._is_line
        text, closing, self.waits_for = ripe(whole, in_cell=kind in ("th_open", "td_open"))
        self._holds = self._is_line or text != whole
        if not text.strip() and kind == "paragraph_open":
            del tokens[index - 1 : index + 2]
            return
        if not is_last_cell and kind == "td_open" and not self.source.rstrip(" ").endswith("|"):
            self.waits_for, self.waits_chars = frozenset("|\n"), CELL_CHARS
        text = text.rstrip()
        self.caret = " " + CARET if text[-1:] in _MARKS else CARET
        token.content = text + ("" if self._is_line else self.caret) + closing
