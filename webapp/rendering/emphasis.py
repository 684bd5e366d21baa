"""Emphasis beside Chinese, Japanese and Korean text, which puts no blanks around its punctuation.

By CommonMark `**「重要」**です` opens two spans and closes none. The amendment followed here is
https://github.com/tats-u/markdown-cjk-friendly/blob/main/specification.md; its ranges are those of Unicode 17.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token
from markdown_it.utils import EnvType


class CjkInline(ParserInline):
    """The parser of a line, with the amendment."""

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803
        end, mark = start, self.src[start]
        while end < self.posMax and self.src[end] == mark:
            end += 1
        after = self.src[end] if end < self.posMax else " "
        return Scanned(*flanking(self.src[max(0, start - 2) : start], after, splits_word=canSplitWord), end - start)


def flanking(before: str, after: str, *, splits_word: bool) -> tuple[bool, bool]:
    """Whether a run of marks can open, and whether it can close.

    `before` is the two characters in front of it, fewer at the start of a line; `after` is the one behind it, a
    blank at the end. `splits_word` says that the mark also counts within a word, as `*` and `~` do.
    """
    last = before[-1:] or " "
    selector = last if "\ufe00" <= last <= "\ufe0e" and not before[:1].isspace() else ""
    base = before[:1] if selector else last
    if isWhiteSpace(ord(base)) or isWhiteSpace(ord(after)):
        return not isWhiteSpace(ord(after)), not isWhiteSpace(ord(base))
    opens, closes = isPunctChar(base), isPunctChar(after)
    if splits_word:
        is_wide_quote = selector == "\ufe01" and base in "‘’“”"
        is_cjk = bool(_CJK.match(after) or _CJK.match(base) or is_wide_quote or "\U000e0100" <= last <= "\U000e01ef")
        return opens or is_cjk or not closes, closes or is_cjk or not opens
    return opens, closes


# East Asian width W, F or H without emoji, and the script Hangul.
_CJK = re.compile(
    "[\u1100-\u11ff\u20a9\u2329\u232a\u2630-\u2637\u268a-\u268f\u2e80-\u2e99\u2e9b-\u2ef3\u2f00-\u2fd5\u2ff0-\u303e"
    "\u3041-\u3096\u3099-\u30ff\u3105-\u312f\u3131-\u318e\u3190-\u31e5\u31ef-\u321e\u3220-\u3247\u3250-\ua48c"
    "\ua490-\ua4c6\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7c6\ud7cb-\ud7fb\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe52"
    "\ufe54-\ufe66\ufe68-\ufe6b\uff01-\uffbe\uffc2-\uffc7\uffca-\uffcf\uffd2-\uffd7\uffda-\uffdc\uffe0-\uffe6"
    "\uffe8-\uffee\U00016fe0-\U00016fe4\U00016ff0-\U00016ff6\U00017000-\U00018cd5\U00018cff-\U00018d1e"
    "\U00018d80-\U00018df2\U0001aff0-\U0001aff3\U0001aff5-\U0001affb\U0001affd\U0001affe\U0001b000-\U0001b122"
    "\U0001b132\U0001b150-\U0001b152\U0001b155\U0001b164-\U0001b167\U0001b170-\U0001b2fb\U0001d300-\U0001d356"
    "\U0001d360-\U0001d376\U0001f200\U0001f202\U0001f210-\U0001f219\U0001f21b-\U0001f22e\U0001f230\U0001f231"
    "\U0001f237\U0001f23b\U0001f240-\U0001f248\U0001f260-\U0001f265\U00020000-\U0003fffd]"
)
