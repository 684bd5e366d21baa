"""Turn a text that grows into patches of its HTML, so that each new word costs the server and the page little.

All top-level blocks but the last are finished. The last one is parsed again, without what is half typed at its
end and with what is open there closed. A caret, a character that no text is made of, is parsed along: where it
comes out, plain words are then appended without any parsing. The finished part of a long paragraph, list or
table is replaced by a short stand-in. All of this may err without harm: `finish` renders the whole.

All of it is done in the loop that serves everybody, so it has a budget: of each step, and of the message as a whole.
A text that costs more goes on as it is written, until `finish` shows what the whole is rendered to.

A patch changes the element number `i` of the message's body; `d` counts down the chain of last elements:

    ("a", i, d, text)   append text; d=1: to the block itself, d=2: to its last child element, and so on
    ("+", i, d, html)   append HTML there
    ("=", i, d, html)   put HTML in the place of the block (d=0; a new one where there is none), of its last
                        child element (d=1), and so on
    ("x", n)            keep n blocks
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape, unescape
from typing import Any

from markdown_it.token import Token

from webapp.growing import GrowingText
from webapp.markdown import MAX_TEXT_CHARS, Env, blocks, parse, plain, render_block, render_blocks
from webapp.rendering.budget import Budget, OverBudget
from webapp.rendering.notes import NOTES_END, OPEN, REFERENCED
from webapp.rendering.unfinished import HELD_CHARS, SPAN_CHARS, ripe, visible

Patch = tuple[str, int, int, str] | tuple[str, int]

CARET = "\ufdd0"  # a noncharacter: set aside by Unicode for the inner use of programs
STEP_CHARS = 300  # each time an open block has grown by these, its finished part is looked for
LARGE_CHARS = 2_000  # an open block above this, as rare nesting makes it, is parsed at each 32nd it grows by
CELL_CHARS = 40  # a growing table cell comes in pieces of these
MAX_DEPTH = 9  # so many elements, one in another, are searched for a difference
LOOSE_CHARS = 64  # the longest run of blanks that waits for the next word
HALF_FENCE_CHARS = 200  # a longer line of fence marks is a line of code
STEP_STEPS = 2_500  # of parsing, for one piece of text: about 25 ms
FIRST_STEPS, STEPS_PER_CHAR = 20_000, 20  # for the whole message: ordinary answers take 1 to 4 a character
CHARS_PER_STEP = 20
CODE_SECONDS = 0.02  # of processor time, to highlight the code that ends in one piece of text


class LiveRenderer:
    """The HTML of one growing message, as the page of one follower has it."""

    def __init__(self) -> None:
        self._source = GrowingText()
        self._cr = ""
        self._blocks: list[str] = []
        self._references: dict[str, Any] = {}
        self._referenced: set[str] = set()  # the notes that finished blocks refer to
        self._finished = False
        self._open = _Open()
        self._steps = 0  # so far, all in all
        self._step = Budget(0)  # of the piece at hand
        self._code_seconds = 0.0
        self._as_written = False

    @property
    def text(self) -> str:
        """All text so far, as it was fed."""
        return self._source.since(0)

    @property
    def html(self) -> str:
        """The whole HTML that the page has now."""
        return plain(self.text) if self._as_written else "".join([*self._blocks, self._open.html])

    def feed(self, text: str) -> list[Patch]:
        """Take more text; return what changes in the page."""
        self._source.add(text)
        self._finished = False
        text = self._normal(text)
        if self._as_written or len(self._source) > MAX_TEXT_CHARS:
            return self._append_as_written(text)
        self._step, self._code_seconds = Budget(STEP_STEPS), CODE_SECONDS
        try:
            return self._feed(text)
        except OverBudget:
            return self._append_as_written(text)
        finally:
            self._steps += STEP_STEPS - self._step.left

    def _feed(self, text: str) -> list[Patch]:
        block = self._open
        block.rest += text
        if not text:
            return []
        if block.code:
            return self._append_code(block.code, text)
        if self._is_plain(block.unshown + text):
            return self._append_plain(block.unshown + text)
        block.has_caret = False
        if block.waits_for and block.waits_for.isdisjoint(text) and len(block.rest) < block.waits_until:
            return []
        return self._look()

    def finish(self, html: str | None = None) -> list[Patch]:
        """The text is whole: return what makes the page equal to `markdown.render`. A second call returns nothing.

        `html` is what the whole text is rendered to, where that is known already.
        """
        if self._finished:
            return []
        shown = [self.html] if self._as_written else [*self._blocks, *filter(None, [self._open.html])]
        self._blocks = render_blocks(self.text) if html is None else _top_level(html)
        self._open, self._as_written, self._finished = _Open(), False, True
        patches: list[Patch] = [("x", len(self._blocks))] if len(shown) > len(self._blocks) else []
        for index, html in enumerate(self._blocks):
            patches += _difference(index, shown[index], html) if index < len(shown) else [("=", index, 0, html)]
        return patches

    def give_up(self) -> list[Patch]:
        """Go on as written, until `finish`: the text comes faster than it can be rendered."""
        return [] if self._as_written else self._append_as_written("")

    def _append_as_written(self, text: str) -> list[Patch]:
        """Give up on markup, as `markdown.render` does with a text that is too long or costs too much."""
        if self._as_written:
            return [("a", 0, 1, text)] if text else []
        self._as_written = True
        return [("x", 0), ("=", 0, 0, self.html)]

    def _normal(self, text: str) -> str:
        """The text as the parser will see it. A CR may end one piece and its LF open the next."""
        text = self._cr + text
        self._cr = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        return _UNREADABLE.sub("\N{REPLACEMENT CHARACTER}", text)

    # Words and code need no parsing

    def _is_plain(self, text: str) -> bool:
        block = self._open
        return (
            block.has_caret
            and len(block.rest) < block.step_at
            and _PLAIN.fullmatch(text) is not None
            and "http" not in text
            and (text[0] == " " or not block.before.endswith(">"))
        )

    def _append_plain(self, text: str) -> list[Patch]:
        loose = _LOOSE_END.search(text, max(0, len(text) - LOOSE_CHARS))
        shown = text[: loose.start()] if loose else text
        self._open.unshown = text[len(shown) :]
        return self._append(shown)

    def _append_code(self, code: _Code, text: str) -> list[Patch]:
        """Append lines of code, up to one that ends the block or leaves what the block stands in."""
        *lines, last = (code.half_line + text).split("\n")
        code.half_line = ""
        shown: list[str] = []
        for number, line in enumerate(lines):
            if not code.in_line and (code.is_fence(line) or code.is_outside(line)):
                unseen = len("\n".join([*lines[number + 1 :], last]))
                return self._end_code("".join(shown), len(self._open.rest) - unseen if code.is_fence(line) else 0)
            shown.append((line if code.in_line else code.unindented(line)) + "\n")
            code.in_line = False
        if not code.in_line and code.is_outside(last):
            return self._end_code("".join(shown), 0)
        if code.in_line or not code.is_half(last):
            shown.append(last if code.in_line else code.unindented(last))
            code.in_line = bool(last) or code.in_line
        else:
            code.half_line = last
        return self._append("".join(shown))

    def _end_code(self, text: str, end: int) -> list[Patch]:
        """Append the last lines; highlight the block if its fence ends there."""
        self._open.code = None
        self._open.has_caret = False
        patches = self._append(text)
        if end:
            patches += self._parse_again(self._open.rest[:end])
        return patches + self._look()

    def _append(self, text: str) -> list[Patch]:
        if not text:
            return []
        block = self._open
        block.before += escape(text, quote=False).replace("\xa0", "&nbsp;")
        return [("a", len(self._blocks), block.after.count("</"), text)]

    # All else is parsed, from the start of the open block or from where its finished part ends

    def _look(self) -> list[Patch]:
        block = self._open
        if len(block.rest) > LARGE_CHARS and len(block.rest) - block.seen_chars < min(len(block.rest) // 32, 2_000):
            return []
        shown = visible(block.rest, in_table="<table" in block.stand_in.html)
        return [] if shown == block.seen else self._parse_again(shown)

    def _parse_again(self, visible: str) -> list[Patch]:
        """Show `visible`, the beginning of what is not finished."""
        block = self._open
        source = block.stand_in.source + visible
        end = _End(source)
        found = self._parse(source, end)
        if block.stand_in.source and not (found and found[0].html.startswith(block.stand_in.html)):
            return self._parse_again(block.without_stand_in() + visible)
        patches = self._show(found, len(block.stand_in.html))
        finished = len(found) - 1 + (bool(found) and end.is_whole(found[-1]))
        if finished > 0:
            line = found[finished].start if finished < len(found) else found[-1].end
            cut = _offset(source, line) - len(block.stand_in.source)
            visible = visible[cut:]
            self._open = _Open(block.rest[cut:])
            whole = [block.front_html + found[0].html[len(block.stand_in.html) :]]
            whole += [each.html for each in found[1:finished]]
            self._referenced.update(*map(REFERENCED.findall, whole))
            self._blocks += whole
            if finished < len(found):
                self._open.before = found[-1].html
        elif found:
            block.before, block.after = found[0].html[len(block.stand_in.html) :], ""
        else:
            block.before = block.after = ""
        self._settle(found, visible, end)
        return patches

    def _parse(self, source: str, end: _End | None = None) -> list[_Block]:
        self._step.spend(len(source) // CHARS_PER_STEP)
        if self._steps > FIRST_STEPS + STEPS_PER_CHAR * len(self._source):
            raise OverBudget
        env: Env = {"references": self._references, "budget": self._step, "code_seconds": self._code_seconds}
        env.update({"growing": True, "referenced": self._referenced | self._open.referenced})
        if end:
            env["before_inline"] = end.close
        found = [_Block(block, render_block(block, env)) for block in blocks(parse(source, env))]
        self._code_seconds = env["code_seconds"]
        if end and end.caret and found:
            found[-1] = _Block(found[-1].tokens, end.without_caret(found[-1].html))
        return found

    def _show(self, found: Sequence[_Block], hidden: int) -> list[Patch]:
        block, index = self._open, len(self._blocks)
        patches: list[Patch] = []
        if not found:
            return [("x", index)] if block.html else []
        if block.html:
            patches = _difference(index, block.before + block.after, found[0].html[hidden:], block.front)
        else:
            patches = [("=", index, 0, found[0].html)]
        return patches + [("=", index + number, 0, each.html) for number, each in enumerate(found) if number]

    def _settle(self, found: Sequence[_Block], visible: str, end: _End) -> None:
        """Remember where the next words go, and look for a finished part."""
        block = self._open
        block.seen, block.seen_chars = visible, len(block.rest)
        block.waits_for, block.waits_until = end.waits_for, len(block.rest) + end.waits_chars
        if not block.before:
            return
        block.before, block.after = block.before[: len(block.before) - len(end.after)], end.after
        words = visible.rstrip(" ")
        block.unshown = block.rest[len(words) :]
        block.has_caret = end.has_caret and not block.unshown.strip(" ")
        if end.code:
            block.code = _Code.of(end.code, end.source, block.rest[len(visible) :]) if end.has_caret else None
        elif len(visible) >= block.step_at:
            block.step_at = len(visible) + STEP_CHARS
            # What is open may reach back as far as a span does; before that nothing can be.
            kept = (STEP_CHARS // 4, SPAN_CHARS + STEP_CHARS)
            any(self._replace_finished_part(found[-1], visible, end, kept_chars) for kept_chars in kept)

    def _replace_finished_part(self, found: _Block, visible: str, end: _End, kept_chars: int) -> bool:
        """Put a stand-in for the finished part of the open block, if the HTML proves to be the same then."""
        block = self._open
        old = block.stand_in
        cut, source, closing = _finished_part(found.tokens, end.source, kept_chars)
        cut -= len(end.source) - len(visible)
        if cut <= 0:
            return False
        stand_in = _StandIn(source, _opening_html(source, closing))
        head = self._parse(old.source + visible[:cut])
        tail = self._parse(source + visible[cut:], _End(source + visible[cut:]))
        if len(head) != 1 or len(tail) != 1 or not tail[0].html.startswith(stand_in.html):
            return False
        front = head[0].html.removesuffix(closing)[len(old.html) :]
        if front + tail[0].html[len(stand_in.html) :] != block.before + block.after:
            return False
        block.stand_in = stand_in
        block.front.append(front)
        block.referenced.update(REFERENCED.findall(front))
        block.before = block.before[len(front) :]
        block.replaced.append(visible[:cut])
        block.rest, block.seen = block.rest[cut:], visible[cut:]
        block.seen_chars = len(block.rest)
        block.step_at = len(block.seen) + STEP_CHARS
        block.waits_until -= cut
        return True


@dataclass(slots=True)
class _StandIn:
    source: str = ""
    html: str = ""  # what the source begins


@dataclass(slots=True)
class _Open:
    """The last block: what is shown of it, and what may be done with the next piece of text."""

    rest: str = ""  # the source, from the stand-in on
    stand_in: _StandIn = field(default_factory=_StandIn)
    replaced: list[str] = field(default_factory=list)  # the source that the stand-in replaces
    front: list[str] = field(default_factory=list)  # the HTML that it replaces
    referenced: set[str] = field(default_factory=set)  # the notes that this HTML refers to
    before: str = ""  # the HTML up to the caret
    after: str = ""
    has_caret: bool = False  # words can be appended between `before` and `after`
    unshown: str = ""  # the source behind the caret
    code: _Code | None = None
    waits_for: frozenset[str] = frozenset()  # nothing changes before one of these comes
    waits_until: int = 0  # or `rest` is as long as this
    seen: str = ""  # what of `rest` was parsed last
    seen_chars: int = 0  # how long `rest` was then
    step_at: int = STEP_CHARS

    @property
    def front_html(self) -> str:
        return "".join(self.front)

    @property
    def html(self) -> str:
        return "".join([*self.front, self.before, self.after])

    def without_stand_in(self) -> str:
        """Take the stand-in away; return the source that it replaced."""
        source = "".join(self.replaced)
        self.rest = source + self.rest
        self.before, self.after = self.html, ""
        self.stand_in, self.replaced, self.front, self.referenced = _StandIn(), [], [], set()
        return source


@dataclass(frozen=True, slots=True)
class _Block:
    tokens: Sequence[Token]
    html: str

    @property
    def start(self) -> int:
        return (self.tokens[0].map or [0])[0]

    @property
    def end(self) -> int:
        return (self.tokens[0].map or [0, 0])[1]


@dataclass(slots=True)
class _Code:
    """A fenced block that is open; its lines are shown as they are."""

    indent: int
    mark: str
    half_line: str  # it may still become the closing fence
    in_line: bool  # a line is shown in part

    @classmethod
    def of(cls, fence: Token, source: str, half_line: str) -> _Code | None:
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


class _End:
    """The end of a source that still grows: what is open there, closed while the parser runs."""

    def __init__(self, source: str) -> None:
        self.source = source
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

    def is_whole(self, block: _Block) -> bool:
        """Whether the last block can have no more lines."""
        kinds = ("fence", "hr", "math_block", "heading_open", "details_open")
        first = block.tokens[0]
        return first.type in kinds and not first.meta.get("open") and not self.code and block.end <= self._newlines

    def without_caret(self, html: str) -> str:
        before, _, after = html.rpartition(self.caret)
        if _CLOSERS.fullmatch(after):
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


_MARKS = frozenset("*_~`)]>$;")
_PLAIN = re.compile(r"(?:[^\s\\`*_~\[\]<>&$|#/\x00-\x1f\x7f-\xa0\ufdd0-\ufdef]| )+")
_LOOSE_END = re.compile(r"(?:[ !]|h(?:tt?)?(?=[ !]|\Z))+\Z")
_UNREADABLE = re.compile(r"[\x00\ud800-\udfff]")


# The patch between two states of a block


def _difference(index: int, old: str, new: str, front: Sequence[str] = ()) -> list[Patch]:
    """The smallest change that makes `new` of `old`; both stand behind `front`."""
    if old == new:
        return []
    cuts = _closing_tags(old)
    depths = range(len(cuts), max(0, len(cuts) - MAX_DEPTH), -1)
    for depth in depths:
        cut = cuts[depth - 1]
        added = _between(new, old[:cut], old[cut:])
        if added is not None and "</math>" not in old[cut:]:
            return [("+", index, depth, added) if "<" in added else ("a", index, depth, unescape(added))]
    for depth in depths:
        start, end = _last_element(old, cuts[depth - 1])
        content = _between(new, old[:start], old[end:]) if end else None
        if content is not None and "</math>" not in old[end:]:
            return [("=", index, depth, content)]
    return [("=", index, 0, "".join([*front, new]))]


def _closing_tags(html: str) -> list[int]:
    """Where the tags begin that close the last elements, the outermost first."""
    found: list[int] = []
    end = len(html)
    while (start := html.rfind("</", 0, end)) >= 0 and _CLOSERS.fullmatch(html, start, end):
        found.append(start)
        end = start
    return found


def _between(html: str, head: str, tail: str) -> str | None:
    """What stands between a head and a tail, if these are elements and text, whole and not nothing."""
    middle = html[len(head) : len(html) - len(tail)]
    fits = len(html) > len(head) + len(tail) and html.startswith(head) and html.endswith(tail)
    return middle if fits and _is_balanced(middle) else None


def _is_balanced(html: str) -> bool:
    depth = 0
    for tag in _TAG.finditer(html):
        if tag[2] not in _VOID:
            depth += -1 if tag[1] else 1
        if depth < 0:
            return False
    return depth == 0


def _last_element(html: str, end: int) -> tuple[int, int]:
    """Where the last element before `end` begins and ends; (0, 0) if its parent has none."""
    depth, stop = 0, 0
    for tag in reversed(list(_TAG.finditer(html, 0, end))):
        stop = stop or tag.end()
        if tag[2] not in _VOID:
            depth += 1 if tag[1] else -1
        if depth < 0:
            return 0, 0
        if depth == 0:
            return tag.start(), stop
    return 0, 0


def _top_level(html: str) -> list[str]:
    """The elements of which clean HTML consists, one by one, as `markdown.render_blocks` gives them."""
    found: list[str] = []
    start = depth = 0
    for tag in _TAG.finditer(html):
        if tag[2] not in _VOID:
            depth += -1 if tag[1] else 1
        if not depth:
            end = tag.end() + html.startswith("\n", tag.end())
            found.append(html[start:end])
            start = end
    return found


_TAG = re.compile(r"<(/?)([a-z0-9]++)[^<>]*+>")
_VOID = frozenset({"br", "hr", "input"})
_CLOSERS = re.compile(r"(?:</[a-z0-9]+>\s*)*")


# The part of a long block that can have no more text


def _finished_part(tokens: Sequence[Token], source: str, kept_chars: int) -> tuple[int, str, str]:
    """Where it ends in the source, a stand-in for it, and the HTML that closes the block; 0 if there is none."""
    first = tokens[0]
    if first.type == "paragraph_open":
        limit = max(0, len(source) - kept_chars)
        cut = max(source.rfind(" ", 0, limit), source.rfind("\n", 0, limit))
        is_alone = cut > 0 and not source[cut - 1].isspace() and not source[cut + 1].isspace()
        return cut if is_alone and source[cut - 1] != "\\" else 0, "x", "</p>\n"
    if first.type in ("bullet_list_open", "ordered_list_open"):
        item = [token for token in tokens if token.type == "list_item_open" and token.level == 1][-1]
        cut = _offset(source, (item.map or [0])[0])
        indent = " " * (len(source) - cut - len(source[cut:].lstrip(" ")))
        stub = f"{indent}{'1' if first.tag == 'ol' else ''}{first.markup} x\n"
        is_loose = any(token.type == "paragraph_open" and token.level == 2 and not token.hidden for token in tokens)
        return cut, f"{stub}\n{stub}" if is_loose else stub, f"</{first.tag}>\n"
    if first.type == "table_open":
        row = [token for token in tokens if token.type == "tr_open"][-1]
        line = source.split("\n")[(first.map or [0])[0] + 1]
        columns = sum(token.type == "th_open" for token in tokens)
        stub = "|" + "x|" * columns + f"\n{line}\n|x|\n"
        return _offset(source, (row.map or [0])[0]), stub, "</tbody>\n</table></div>\n"
    if first.type == "notes_open":
        last = [token for token in tokens if token.type == OPEN and token.level == 1][-1]
        return _offset(source, (last.map or [0])[0]), "[^x]: x\n", NOTES_END
    if first.type == "details_open":
        inner = [token for token in tokens if token.level == 1 and token.nesting >= 0 and token.tag != "summary"]
        cut = _offset(source, (inner[-1].map or [0])[0]) if inner else 0
        return cut, "<details>\n\nx\n\n", "</details>\n"
    return 0, "", ""


@lru_cache(maxsize=64)
def _opening_html(source: str, closing: str) -> str:
    """The HTML of a stand-in, left open."""
    env: Env = {"growing": True}
    return "".join(render_block(block, env) for block in blocks(parse(source, env))).removesuffix(closing)


def _offset(source: str, line: int) -> int:
    """Where a line begins."""
    position = 0
    for _ in range(line):
        position = source.index("\n", position) + 1
    return position
