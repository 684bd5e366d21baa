"""The finished items of a growing list and the finished rows of a growing table: only the last one is parsed again.

What stands before it is left out of the source, but for a stub: the marks of the items around it, the head of the
table. Whether a list is loose, which each of its items may tell, is kept beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from markdown_it.token import Token

from webapp.markdown import Env, blocks, parse, render_block
from webapp.rendering import rows
from webapp.rendering.difference import closing_tags, last_element

Loose = tuple[bool, ...]
"""Of each list, the outermost first, whether it is loose."""

MAX_STUB_CHARS = 1_000
LISTS = frozenset({"bullet_list_open", "ordered_list_open"})
LIST_ENDS = frozenset({"bullet_list_close", "ordered_list_close"})


@dataclass(frozen=True, slots=True)
class StandIn:
    """What stands in the source for the finished part of a block."""

    source: str = ""
    html: str = ""  # what the HTML of the whole begins with
    loose: Loose = ()
    columns: tuple[str, ...] | None = None  # their classes, where the head of a table is left out


@dataclass(frozen=True, slots=True)
class LastItem:
    """The last item of the innermost list, or the last row: where it begins, and what stands in for all before it."""

    line: int
    depth: int  # in how many elements it is
    stand_in: StandIn
    is_finished: bool = False  # a row: it goes with those before it

    def start(self, html: str) -> int:
        """Where it begins in the HTML of its block; 0 if it is not found."""
        closing = closing_tags(html)
        if self.depth >= len(closing):
            return 0
        return closing[self.depth] if self.is_finished else last_element(html, closing[self.depth])[0]


def last_item(tokens: Sequence[Token], source: str, known: StandIn) -> LastItem | None:
    """None if the block is neither a list nor a table, or an unusual one. `known` is its stand-in."""
    if tokens[0].type == "table_open":
        return _last_row(tokens, source, known)
    return _last_of_list(tokens, source.split("\n"), known.loose) if tokens[0].type in LISTS else None


def _last_row(tokens: Sequence[Token], source: str, known: StandIn) -> LastItem | None:
    row = next((index for index in range(len(tokens) - 1, -1, -1) if tokens[index].type == "tr_open"), 0)
    if not row or tokens[row - 1].type == "thead_open":
        return None
    columns = rows.columns_of(tokens) or known.columns
    is_finished = source.endswith("\n")
    return LastItem(_start(tokens[row]) + is_finished, 2, StandIn(rows.SOURCE, rows.HTML, columns=columns), is_finished)


def _last_of_list(tokens: Sequence[Token], lines: Sequence[str], known: Loose) -> LastItem | None:
    stubs: list[str] = []
    loose: list[bool] = []
    line = -1
    for first, item in _open_lists(tokens):
        mark = _ITEM_MARK.match(lines[_start(tokens[item])])
        if not mark or _start(tokens[item]) == line:
            break
        line = _start(tokens[item])
        stubs.append(_stub(mark[0]))
        level = len(loose)
        was_loose = level < len(known) and known[level] and first == _first_list(tokens, 2 * level)
        loose.append(was_loose or is_loose(tokens, first, lines))
    if not stubs or sum(map(len, stubs)) > MAX_STUB_CHARS:
        return None
    opening = _opening("".join(stubs), "<li", tuple(loose))
    if opening.count("<li") != len(stubs) - 1:
        return None
    return LastItem(line, 2 * len(stubs) - 2, StandIn("".join(stubs[:-1]), opening, tuple(loose)))


def next_item(known: StandIn, rest: str, line: str, after: str) -> tuple[StandIn, str] | None:
    """The stand-in for all before the item that `line` begins, and the HTML that ends the item that `rest` begins.

    `after` is the HTML behind the words of that one. None if the line begins another thing, or may.
    """
    old, new, end = _ITEM_MARK.match(rest), _NEXT.match(line), _ITEM_END.match(after)
    if not old or not new or not end or not known.loose:
        return None
    if old["indent"] != new["indent"] or old["kind"] != new["kind"] or old["bullet"] != new["bullet"]:
        return None
    if not _LIST_ENDS.fullmatch(after, end.end()) or after.count("l>", end.end()) != len(known.loose):
        return None
    return replace(known, html=_opening(known.source + _stub(new[0]), "<li", known.loose)), end[0]


def _stub(mark: str) -> str:
    """An item: its words tell whether the list is loose, and behind a line across each block can begin."""
    return f"{mark}x\n{' ' * len(mark)}___\n"


def _start(token: Token) -> int:
    return (token.map or [0])[0]


_ITEM_MARK = re.compile(r"(?P<indent> *)(?:\d{1,9}(?P<kind>[.)])|(?P<bullet>[-+*])) {1,4}(?=\S)")
_NEXT = re.compile(rf"{_ITEM_MARK.pattern}(?=[\w\[`])")
_ITEM_END = re.compile(r"(?:</label>)?(?:</p>\n)?</li>\n")
_LIST_ENDS = re.compile(r"</[uo]l>\n(?:</li>\n</[uo]l>\n)*+")


def _open_lists(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """The last list, the list that ends its last item, and so on: where each and its last item begin in `tokens`."""
    level, end = 0, len(tokens) - 1
    while tokens[end - 2].type in LIST_ENDS:
        level, end = level + 2, end - 2
    found, item = [], 0
    for index in range(end, -1, -1):
        token = tokens[index]
        if token.type == "list_item_open" and token.level == level + 1:
            item = item or index
        elif token.type in LISTS and token.level == level:
            found.append((index, item))
            level, item = level - 2, 0
    return found[::-1]


def is_loose(tokens: Sequence[Token], first: int, lines: Sequence[str]) -> bool:
    """Whether the list that begins at `first` shows its paragraphs as such, or would: two things in it are apart."""
    level, end, is_apart = tokens[first].level, 0, False
    for index in range(first + 1, len(tokens)):
        token = tokens[index]
        if token.level == level:
            break
        if token.type == "paragraph_open" and token.level == level + 2:
            return not token.hidden
        if token.map and token.nesting >= 0 and token.level <= level + 2:
            is_apart = is_apart or (end > 0 and not all(map(str.strip, lines[end - 1 : token.map[0]])))
            end = token.map[0] + 1 if token.level == level + 1 else token.map[1]
    return is_apart


def keep_loose(tokens: Sequence[Token], loose: Loose, source: str) -> bool:
    """Make the lists loose that began so. False if one was tight and now is loose."""
    for depth, was_loose in enumerate(loose):
        first = _first_list(tokens, 2 * depth)
        if first < 0:
            break
        if was_loose:
            _make_loose(tokens, first)
        elif is_loose(tokens, first, source.split("\n")):
            return False
    return True


def _first_list(tokens: Sequence[Token], level: int) -> int:
    found = (index for index, token in enumerate(tokens) if token.level == level and token.type in LISTS)
    return next(found, -1)


def _make_loose(tokens: Sequence[Token], first: int) -> None:
    level = tokens[first].level
    for index in range(first + 1, len(tokens)):
        token = tokens[index]
        if token.level == level:
            return
        if token.type in ("paragraph_open", "paragraph_close") and token.level == level + 2:
            token.hidden = False


@lru_cache(maxsize=256)
def _opening(source: str, tag: str, loose: Loose) -> str:
    """The HTML of a source before the last such tag."""

    def change(tokens: list[Token]) -> None:
        keep_loose(tokens, loose, source)

    env: Env = {"growing": True, "before_inline": change}
    return "".join(render_block(block, env) for block in blocks(parse(source, env))).rpartition(tag)[0]
