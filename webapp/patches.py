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
from typing import Any

from webapp.growing import GrowingText
from webapp.markdown import MAX_TEXT_CHARS, Env, blocks, parse, plain, render_block, render_blocks
from webapp.rendering.budget import Budget, OverBudget
from webapp.rendering.caret import Block, End
from webapp.rendering.difference import Patch as Patch
from webapp.rendering.difference import difference, top_level
from webapp.rendering.fence import SPAN_END, OpenFence, as_html
from webapp.rendering.finished import finished_part, line_start, opening_html
from webapp.rendering.items import StandIn, last_item, next_item
from webapp.rendering.lines import ColouredLines
from webapp.rendering.notes import NOTES, REFERENCED
from webapp.rendering.open_block import STEP_CHARS, OpenBlock
from webapp.rendering.unfinished import SPAN_CHARS, visible

LARGE_CHARS = 2_000  # an open block above this, as rare nesting makes it, is parsed at each 32nd it grows by
LOOSE_CHARS = 64  # the longest run of blanks that waits for the next word
STEP_STEPS = 2_500  # of parsing, for one piece of text: about 25 ms
FIRST_STEPS, STEPS_PER_CHAR = 20_000, 20  # for the whole message: ordinary answers take 1 to 4 a character
CHARS_PER_STEP = 20
TEXT_ENDS = ("</p>", "</li>", "</label></li>")  # of a text in which nothing is open
WHOLE_ENDS = ("</p>\n", "</p>\n</blockquote>\n")  # of a paragraph or a quote
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
        self._open = OpenBlock()
        self._steps = 0  # so far, all in all
        self._step = Budget(0)  # of the piece at hand
        self._code_seconds = 0.0
        self._lines: ColouredLines | None = None  # of the code that was parsed last and is open
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
        new = block.unshown + text
        if len(block.rest) < block.step_at and self._are_words(new):
            return self._append_plain(new)
        if block.has_caret and "\n" in new and (patches := self._end_line(new)) is not None:
            return patches
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
        self._blocks = render_blocks(self.text) if html is None else top_level(html)
        self._open, self._as_written, self._finished = OpenBlock(), False, True
        patches: list[Patch] = [("x", len(self._blocks))] if len(shown) > len(self._blocks) else []
        for index, html in enumerate(self._blocks):
            patches += difference(index, shown[index], html) if index < len(shown) else [("=", index, 0, html)]
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

    def _are_words(self, text: str) -> bool:
        block = self._open
        return (
            block.has_caret
            and _PLAIN.fullmatch(text) is not None
            and "http" not in text
            and (text[0] == " " or not block.before.endswith(">"))
        )

    def _append_plain(self, text: str) -> list[Patch]:
        loose = _LOOSE_END.search(text, max(0, len(text) - LOOSE_CHARS))
        shown = text[: loose.start()] if loose else text
        self._open.unshown = text[len(shown) :]
        return self._append(shown)

    def _end_line(self, text: str) -> list[Patch] | None:
        """Take the end of a line of words, and what follows; None if all has to be parsed."""
        block = self._open
        words, _, line = text.partition("\n")
        # A bracket may be a link that ends here or is defined below.
        if "[" in block.before or not block.after.startswith(TEXT_ENDS) or not self._are_words(words or " "):
            return None
        if _HALF_LINE.fullmatch(line):
            block.unshown = f"\n{line}"
            return self._append(words.rstrip(" "))
        if line.startswith("\n") and block.after in WHOLE_ENDS:
            return self._end_block(words, line)
        ended = next_item(block.stand_in, block.rest, line, block.after)
        return self._end_item(words, line, *ended) if ended and NOTES not in block.before else None

    def _end_block(self, words: str, rest: str) -> list[Patch]:
        """A blank line ends a paragraph or a quote: it is not parsed once more."""
        patches = self._append(words.rstrip(" "))
        self._referenced.update(REFERENCED.findall(self._open.html))
        self._blocks.append(self._open.html)
        self._open = OpenBlock(rest.lstrip("\n"))
        return patches + self._look()

    def _end_item(self, words: str, line: str, stand_in: StandIn, item_end: str) -> list[Patch]:
        """A line ends an item, and begins the next one."""
        block = self._open
        patches = self._append(words.rstrip(" "))
        list_ends = block.after.removeprefix(item_end)
        block.before += item_end
        block.leave_out(len(block.rest) - len(line), block.before, stand_in)
        block.before, block.after, block.has_caret, block.waits_for = list_ends, "", False, frozenset()
        return patches + self._look()

    def _append_code(self, code: OpenFence, text: str) -> list[Patch]:
        """Append lines of code, up to one that ends the block or leaves what the block stands in."""
        shown, unseen, is_closed = code.take(text)
        patches = self._append_to_code(code, shown)
        if unseen is None:
            return patches
        self._open.code = None
        self._open.has_caret = False
        if code.lines and code.is_alone and is_closed:  # all of it is shown as it stays
            self._blocks.append(self._open.html)
            self._open = OpenBlock(unseen)
            return patches + self._look()
        if code.lines:
            self._open.coloured[code.lines.code, code.lines.language] = code.lines.html
        if is_closed:
            patches += self._parse_again(self._open.rest[: len(self._open.rest) - len(unseen)])
        return patches + (self._look() if unseen.strip() or not is_closed else [])

    def _append_to_code(self, code: OpenFence, text: str) -> list[Patch]:
        block = self._open
        if not text or not code.lines or (block.after.startswith(SPAN_END) and "\n" not in text):
            return self._append(text)
        env: Env = {"code_seconds": self._code_seconds}
        kind, depth, html, block.before, block.after = code.coloured(block.before, block.after, text, env)
        self._code_seconds = env["code_seconds"]
        return [(kind, len(self._blocks), depth, html)]

    def _append(self, text: str) -> list[Patch]:
        if not text:
            return []
        block = self._open
        block.before += as_html(text)
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
        end = End(source, block.stand_in.loose)
        found = self._parse(source, end)
        if block.stand_in.html and not (found and end.fits and found[0].html.startswith(block.stand_in.html)):
            return self._parse_again(block.without_stand_in() + visible)
        patches = self._show(found, len(block.stand_in.html))
        finished = len(found) - 1 + (bool(found) and end.is_whole(found[-1]))
        if finished > 0:
            line = found[finished].start if finished < len(found) else found[-1].end
            cut = line_start(source, line) - len(block.stand_in.source)
            visible = visible[cut:]
            self._open = OpenBlock(block.rest[cut:])
            whole = ["".join(block.front) + found[0].html[len(block.stand_in.html) :]]
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

    def _parse(self, source: str, end: End | None = None) -> list[Block]:
        self._step.spend(len(source) // CHARS_PER_STEP)
        if self._steps > FIRST_STEPS + STEPS_PER_CHAR * len(self._source):
            raise OverBudget
        env: Env = {"references": self._references, "budget": self._step, "code_seconds": self._code_seconds}
        env.update({"growing": True, "referenced": self._referenced | self._open.referenced})
        env.update({"coloured": self._open.coloured, "columns": self._open.stand_in.columns})
        if end:
            env["before_inline"] = end.close
        found = [Block(block, render_block(block, env)) for block in blocks(parse(source, env))]
        self._code_seconds, self._lines = env["code_seconds"], env.get("lines")
        if end and end.caret and found:
            found[-1] = Block(found[-1].tokens, end.without_caret(found[-1].html))
        return found

    def _show(self, found: Sequence[Block], hidden: int) -> list[Patch]:
        block, index = self._open, len(self._blocks)
        patches: list[Patch] = []
        if not found:
            return [("x", index)] if block.html else []
        if block.html:
            patches = difference(index, block.before + block.after, found[0].html[hidden:], block.front)
        else:
            patches = [("=", index, 0, found[0].html)]
        return patches + [("=", index + number, 0, each.html) for number, each in enumerate(found) if number]

    def _settle(self, found: Sequence[Block], visible: str, end: End) -> None:
        """Remember where the next words go, and look for a finished part."""
        block = self._open
        block.seen, block.seen_chars = visible, len(block.rest)
        block.waits_for, block.waits_until = end.waits_for, len(block.rest) + end.waits_chars
        if not block.before:
            return
        block.before, block.after = block.before[: len(block.before) - len(end.after)], end.after
        words = visible.rstrip(" ")
        block.unshown = block.rest[len(words) :]
        self._leave_out_items(found[-1], visible, end)
        block.has_caret = end.has_caret and not block.unshown.strip(" ")
        if end.code:
            block.code = OpenFence.of(end.code, end.source, block.rest[len(block.seen) :]) if end.has_caret else None
            if block.code:
                block.code.lines, block.code.is_alone = self._lines, found[-1].tokens[0] is end.code
        elif len(block.seen) >= block.step_at:
            block.step_at = len(block.seen) + STEP_CHARS
            # What is open may reach back as far as a span does; before that nothing can be.
            kept = (STEP_CHARS // 4, SPAN_CHARS + STEP_CHARS)
            any(self._replace_finished_part(found[-1], visible, end, kept_chars) for kept_chars in kept)

    def _replace_finished_part(self, found: Block, visible: str, end: End, kept_chars: int) -> bool:
        """Put a stand-in for the finished part of the open block, if the HTML proves to be the same then."""
        block = self._open
        old = block.stand_in
        cut, source, closing = finished_part(found.tokens, end.source, kept_chars)
        cut -= len(end.source) - len(visible)
        if cut <= 0:
            return False
        stand_in = StandIn(source, opening_html(source, closing))
        head = self._parse(old.source + visible[:cut])
        tail = self._parse(source + visible[cut:], End(source + visible[cut:]))
        if len(head) != 1 or len(tail) != 1 or not tail[0].html.startswith(stand_in.html):
            return False
        front = head[0].html.removesuffix(closing)[len(old.html) :]
        if front + tail[0].html[len(stand_in.html) :] != block.before + block.after:
            return False
        block.leave_out(cut, front, stand_in)
        return True

    def _leave_out_items(self, found: Block, visible: str, end: End) -> None:
        """Leave out the finished items of a list, or rows of a table."""
        block = self._open
        last = last_item(found.tokens, end.source, block.stand_in)
        cut = line_start(end.source, last.line) - len(end.source) + len(visible) if last else 0
        start = last.start(block.before + block.after) if last and cut > 0 else 0
        if last and start and NOTES not in block.before[:start]:  # a note changes when one refers to it
            block.leave_out(cut, block.before[:start], last.stand_in)


_PLAIN = re.compile(r"(?:[^\s\\`*_~\[\]<>&$|#/\x00-\x1f\x7f-\xa0\ufdd0-\ufdef]| )+")
_HALF_LINE = re.compile(r"\n*+ *+(?:(?:[-+*]|\d{1,9}[.)]?) *+(?:\[[ xX]?\]? *+)?)?")
_LOOSE_END = re.compile(r"(?:[ !]|h(?:tt?)?(?=[ !]|\Z))+\Z")
_UNREADABLE = re.compile(r"[\x00\ud800-\udfff]")
