"""The few HTML tags that models write and that do no harm, without attributes; every other tag stays text.

`<br>` breaks a line, and `<sub> <sup> <kbd> <mark> <u>` surround words. `<details>` with a `<summary>` folds away the
blocks up to `</details>`, or words in a cell of a table. A tag without its partner stays text: whatever a model
forgets, the HTML is balanced and nothing is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MAX_OPEN_TAGS = 20  # within one line of text
MAX_SUMMARY_LINES = 5
MAX_LEVEL = 8  # of details in lists, quotes and each other
MAX_LAST_CHARS = 200  # of a line: its last tags
LINES_PER_STEP = 4  # to look for a closing tag

TAG = re.compile(
    r"</?br[ \t]{0,9}/?[ \t]{0,9}>|<(?P<slash>/?)(?P<name>sub|sup|kbd|mark|u|details|summary)[ \t]{0,9}>",
    re.IGNORECASE | re.ASCII,
)
FOLDING = ("details", "summary")
_BREAK_END = re.compile(r"[ \t]{0,99}\n[ \t]{0,99}")


def inline_tag(state: StateInline, silent: bool) -> bool:
    """Parser rule: a tag within a line; `pair_tags` looks for its partner."""
    tag = TAG.match(state.src, state.pos, state.posMax)
    if not tag:
        return False
    state.pos = tag.end()
    name = tag["name"]
    if not name and (rest := _BREAK_END.match(state.src, state.pos, state.posMax)):
        state.pos = rest.end()  # the tag and the end of its line are one break
    if not silent:
        token = state.push("tag" if name else "hardbreak", (name or "br").lower(), 0)
        token.content = tag[0] if name else ""
        token.info = tag["slash"] or ""
    return True


def pair_tags(tokens: Sequence[Token], *, in_cell: bool) -> Sequence[Token]:
    """Make elements of the tags that have a partner within the same element, and text of the others.

    `in_cell`: words can be folded away only in a cell of a table, which may contain blocks.
    """
    tags: list[Token | None] = []  # that are open; None stands for another element
    for token in tokens:
        if token.nesting > 0:
            tags.append(None)
        elif token.nesting < 0:
            while tags and tags.pop():
                pass
        elif token.type == "tag":
            token.type = "text"
            if token.tag not in FOLDING or in_cell:
                _open_or_close(tags, token)
    for token in tokens:
        if token.tag == "summary" and token.nesting > 0 and not token.meta["within"].nesting:
            for one in (token, token.meta["partner"]):
                one.type, one.nesting, one.content = "text", 0, one.meta["source"]
    return tokens


def _open_or_close(tags: list[Token | None], token: Token) -> None:
    if not token.info:
        if token.tag == "summary":
            if not tags or not tags[-1] or tags[-1].tag != "details":
                return
            token.meta["within"] = tags[-1]
        if len(tags) < MAX_OPEN_TAGS:
            tags.append(token)
        return
    for index in range(len(tags) - 1, -1, -1):
        opening = tags[index]
        if not opening:
            return
        if opening.tag == token.tag:
            del tags[index:]
            opening.meta |= {"partner": token, "source": opening.content}
            token.meta["source"] = token.content
            opening.nesting, token.nesting = 1, -1
            opening.type = token.type = "tag"
            opening.content = token.content = ""
            return


def details(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parser rule: what stands between a `<details>` that begins a line and a `</details>` that ends one.

    Where the text still grows, as `env["growing"]` says, the closing tag may be missing.
    """
    opening = _DETAILS.match(state.src, state.bMarks[start] + state.tShift[start], state.eMarks[start])
    if not opening or state.level > MAX_LEVEL or state.is_code_block(start):
        return False
    last, closing = _closing_tag(state, start, end)
    if not closing and not state.env.get("growing"):
        return False
    if silent:
        return True
    token = state.push("details_open", "details", 1)
    token.map = [start, last + 1]
    token.meta["open"] = not closing
    if closing:
        state.eMarks[last] = closing
    _skip_to(state, start, opening.end())
    line = _summary(state, start, last)
    old_max, old_parent = state.lineMax, state.parentType
    state.lineMax, state.parentType = last + (not state.isEmpty(last)), "details"
    state.md.block.tokenize(state, line, state.lineMax)
    state.lineMax, state.parentType, state.line = old_max, old_parent, last + 1
    state.push("details_close", "details", -1)
    return True


def _closing_tag(state: StateBlock, start: int, end: int) -> tuple[int, int]:
    """The last line of the details that begin in a line, and where their closing tag begins there; 0 if none does."""
    depth, fence, number = 0, "", start
    for number in range(start, end):
        if state.sCount[number] < state.blkIndent and not state.isEmpty(number):
            return number - 1, 0
        if number % LINES_PER_STEP == 0:
            state.env["budget"].spend()
        line = state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
        words = line[_PREFIX.match(line).end() :]  # type: ignore[union-attr]
        mark = _FENCE.match(words)
        if fence:
            fence = "" if mark and words.strip() == mark[1] and mark[1].startswith(fence) else fence
        elif mark:
            fence = mark[1]
        else:
            for tag in _details_tags(words):
                depth += -1 if tag["slash"] else 1
                if not depth:
                    is_last = not words[tag.end() :].strip()
                    return number, state.eMarks[number] - len(words) + tag.start() if is_last else 0
    return number, 0


def _details_tags(line: str) -> Iterator[re.Match[str]]:
    """The tags of details that a line or the words behind a summary begin with, and the closing ones at its end."""
    front = _FIRST_TAGS.match(line).end()  # type: ignore[union-attr]
    yield from _DETAILS_TAG.finditer(line, 0, front)
    yield from _NEXT_DETAILS.finditer(line, front)
    if last := _LAST_TAGS.search(line, max(front, len(line) - MAX_LAST_CHARS)):
        yield from _DETAILS_TAG.finditer(line, last.start())


def _skip_to(state: StateBlock, line: int, position: int) -> None:
    """Let a line begin at a position within it."""
    state.bMarks[line] = position
    rest = state.src[position : state.eMarks[line]]
    state.tShift[line] = len(rest) - len(rest.lstrip(" \t"))
    state.sCount[line] = state.blkIndent


def _summary(state: StateBlock, start: int, last: int) -> int:
    """Push the summary that the details begin with, if there is one; return the line behind it."""
    first = start
    while first < last and state.isEmpty(first):
        first += 1
    opening = _SUMMARY.match(state.src, state.bMarks[first] + state.tShift[first], state.eMarks[first])
    if not opening:
        return start
    begin, words = opening.end(), []
    for line in range(first, min(last + 1, first + MAX_SUMMARY_LINES)):
        closing = _SUMMARY_END.search(state.src, begin, state.eMarks[line])
        words.append(state.src[begin : closing.start() if closing else state.eMarks[line]].strip())
        if closing:
            _skip_to(state, line, closing.end())
            break
        if line < last:
            begin = state.bMarks[line + 1] + state.tShift[line + 1]
    else:  # its end is missing: it is one line
        line, words = first + 1, words[:1]
    state.push("summary_open", "summary", 1).map = [first, line + 1]
    token = state.push("inline", "", 0)
    token.content, token.map, token.children = "\n".join(filter(None, words)), [first, line + 1], []
    state.push("summary_close", "summary", -1)
    return line


_DETAILS = re.compile(r"<details[ \t]{0,9}>", re.IGNORECASE | re.ASCII)
_DETAILS_TAG = re.compile(r"<(?P<slash>/?)details[ \t]{0,9}>", re.IGNORECASE | re.ASCII)
_NEXT_DETAILS = re.compile(r"</summary>[ \t]*+<(?P<slash>)details>", re.IGNORECASE | re.ASCII)
_FIRST_TAGS = re.compile(r"(?:</?details[ \t]{0,9}>[ \t]*+)*+", re.IGNORECASE | re.ASCII)
_LAST_TAGS = re.compile(r"(?:</details[ \t]{0,9}>[ \t]*+)++\Z", re.IGNORECASE | re.ASCII)
_SUMMARY = re.compile(r"<summary[ \t]{0,9}>", re.IGNORECASE | re.ASCII)
_SUMMARY_END = re.compile(r"</summary[ \t]{0,9}>", re.IGNORECASE | re.ASCII)
_PREFIX = re.compile(r"(?:(?:[-*+]|\d{1,9}[.)])[ \t]++|>[ \t]*+)*+")
_FENCE = re.compile(r"(`{3,}+(?=[^`]*+\Z)|~{3,}+)")
