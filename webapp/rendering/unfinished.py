"""The part of a growing markdown text that can be shown: all but a half-typed mark at its end.

`visible` answers for the open block, `ripe` for its last line. A wrong answer does no harm: the finished text is
rendered as a whole (see `patches`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from webapp.rendering.budget import OverBudget
from webapp.rendering.emphasis import flanking
from webapp.rendering.formulas import (
    MATH_CLOSING,
    MATH_OPENING,
    MAX_FORMULA_CHARS,
    SENTENCE_MARKS,
    closing_of,
    formula_at,
    may_be_formula,
)
from webapp.rendering.links import ADDRESS_CHAR
from webapp.rendering.tags import FOLDING, TAG

HELD_CHARS = 400  # longer text does not wait for its closing mark
MAX_OPEN = 9  # fewer nested spans than this get closing marks
SPAN_CHARS = 600  # the longest unclosed emphasis or code that is shown
LOOKED_AT_CHARS = 2_400  # after a mark: the longest link, or span of code, that is found
MAX_MARKS = 2_000  # of one line; each may cost a search of LOOKED_AT_CHARS


# The open block: whole lines, and the last one unless it is only half a mark


def visible(rest: str, *, in_table: bool) -> str:
    """The start of an open block's source that can be parsed now; `in_table` says that a table is open there."""
    if half := _HALF_DETAILS.search(rest, max(0, len(rest) - HALF_DETAILS_CHARS)):
        rest = rest[: half.start()]
    line = rest.rfind("\n") + 1
    if _HALF_LINE.fullmatch(rest, line):
        rest = rest[:line]
    part = rest.rfind("\n\n", max(0, len(rest) - MAX_FORMULA_CHARS), len(rest) - 1) + 1
    if "$$" in rest or "\\" in rest:
        rest = rest[: _half_formula(rest, part)]
    is_in_table = in_table and not part and not rest.startswith("\n")
    if "|" in rest and not is_in_table:
        rest = rest[: _half_table(rest, part)]
    return rest


_PREFIX = r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++|>[ \t]*+)*+"
_HALF_LINE = re.compile(
    _PREFIX
    + r"""(?: [-*_+=:~`$\\|\s]* | \#{1,6}[ \t]* | \d{1,9}[.)]?     # a mark that may become another
      | `{3,}[^`]* | ~{3,}.*                                       # the language of a fence
      | !?\[[^\]]{0,200}\]? | \[[ xX]\][ \t]*                      # a task
      | \[(?!\^)[^\]]+\]:.* | \[\^[^\]\s]{1,200}\]:[ \t]*          # a link definition, the label of a note
      | </?[a-zA-Z]{0,9}[ \t]*+                                        # a tag that closes details
      | \\[a-z]{0,9}\{?[a-zA-Z]{0,12}\*?\}? )""",
    re.VERBOSE,
)
HALF_DETAILS_CHARS = 99
_HALF_DETAILS = re.compile(
    r"(?:<details[ \t]*+>\s*+(?:</?[a-z]{0,9}(?:>\s*+)?)?|(?<=</details>)</?[a-z]{0,9})\Z", re.IGNORECASE
)


def _half_formula(rest: str, start: int) -> int:
    """Where an unfinished formula of several lines begins; the end of `rest` if there is none."""
    unclosed: set[str] = set()  # closing marks that do not occur after here
    while opening := _FORMULA_LINE.search(rest, start):
        closing = closing_of(opening)
        lines = () if closing in unclosed else _CLOSING_LINE.finditer(rest, opening.end())
        end = next((line for line in lines if line[1] == closing), None)
        if not end:
            unclosed.add(closing)
        line = rest.find("\n", opening.end())
        if not end and closing not in rest[opening.end() : max(line, opening.end())]:
            return opening.start()
        start = end.end() if end else opening.end()
    return len(rest)


_FORMULA_LINE = re.compile(rf"^{_PREFIX}{MATH_OPENING}", re.MULTILINE)
_CLOSING_LINE = re.compile(rf"{MATH_CLOSING}[{SENTENCE_MARKS}]?[ \t]*+\n")


def _half_table(rest: str, start: int) -> int:
    """Where a line begins that may become the head of a table; the end of `rest` if there is none."""
    if _TABLE_RULE.search(rest, start):
        return len(rest)
    start = max(start, rest.rfind("\n", 0, len(rest) - 1) + 1)
    bar = _BAR.match(rest[start:])
    if not bar:
        return len(rest)
    if not bar[1].strip():
        return start
    return start + bar.end(1) if len(rest) - start - bar.end() < 80 else len(rest)


_TABLE_RULE = re.compile(rf"^{_PREFIX}(?=[^\n|]*+\|)(?=[^\n-]*+-)[|:\- \t]++\n", re.MULTILINE)
# Possessive: otherwise a line with n spans of code is matched in 2^n ways.
_BAR = re.compile(rf"({_PREFIX}(?:[^|`\\\n]|\\.|`[^`\n]*+`?+)*+)\|")


# The last line of text: all but a link, formula or span that waits for its end


@dataclass(slots=True)
class _Run:
    """An unclosed run of `*`, `_` or `~`, or a tag."""

    mark: str  # what closes it
    start: int
    chars: int
    left: int
    is_inside: bool  # it could close as well as open


def ripe(text: str, *, in_cell: bool = False) -> tuple[str, str, frozenset[str]]:
    """Return the text of a growing line that can be shown, the marks that close it, and what the rest waits for.

    `in_cell`: the line is a cell of a table. Raises OverBudget for a line of more than MAX_MARKS marks.
    """
    runs: list[_Run] = []
    position = marks = 0
    while mark := _MARK.search(text, position):
        start, position = mark.span()
        if (marks := marks + 1) > MAX_MARKS:
            raise OverBudget
        end = _end_of_whole(text, start)
        if end and (end < len(text) or mark[0] != "$"):
            position = end
            continue
        tag = TAG.match(text, start)
        if tag and tag["name"] and (in_cell or tag["name"].lower() not in FOLDING):
            position = tag.end()
            _pair_tag(runs, tag)
            continue
        waits = _waits_for(text, start, mark[0])
        if waits is not None:
            return *_closed(text[:start], runs), waits
        if mark[0][0] == "`" and len(text) - start < SPAN_CHARS:
            shown, closing = _closed(text.rstrip("`"), runs)
            return shown, mark[0] + closing, frozenset()
        if mark[0][0] in "*_~" and not _pair(runs, text, start, position):
            return *_closed(text[:start], runs), frozenset()
    return *_closed(text, runs), frozenset()


def _end_of_whole(text: str, start: int) -> int:
    """Where the formula, link, span of code, escape or address at `start` ends; 0 if none begins there."""
    if formula := formula_at(text, start, len(text)):
        return formula.end
    whole = _WHOLE.match(text, start, start + LOOKED_AT_CHARS)
    return whole.end() if whole else 0


def _closed(text: str, runs: list[_Run]) -> tuple[str, str]:
    while runs and not text[runs[-1].start + runs[-1].chars :].strip("*_~ \n"):
        text = text[: runs.pop().start]
    return text, "".join(run.mark * run.left for run in runs[:-MAX_OPEN:-1] if len(text) - run.start < SPAN_CHARS)


def _waits_for(text: str, start: int, mark: str) -> frozenset[str] | None:
    """The characters that may end the mark at `start`; empty if any may, None if it waits for none."""
    if mark[-1] == "[" and _HALF_FILE.fullmatch(text, start):
        return frozenset(") \n")
    if len(text) - start > LOOKED_AT_CHARS:
        return None
    rest = text[start:]
    if half := _HALF.fullmatch(rest):
        return frozenset(_ENDS.get(half.lastgroup or "", ""))
    if len(rest) > HELD_CHARS:
        return None
    if mark[0] == "$":
        return _half_dollars(text, start, mark)
    if mark[-1] == "[" and rest[len(_LINK_TEXT.match(rest)[0]) :][:1] != "]":  # type: ignore[index]
        return frozenset("])\n")
    return None


def _half_dollars(text: str, start: int, mark: str) -> frozenset[str] | None:
    behind = text[start + len(mark) :]
    other = _KEPT_DOLLAR.sub(lambda kept: " " * len(kept[0]), behind).find("$")
    if other >= 0 and other + 1 < len(behind):
        return None
    if mark == "$" and not may_be_formula(text[max(0, start - 1) : start], behind):
        return None
    return frozenset("$\n") if behind and other < 0 and not _UNSURE.match(behind) else frozenset()


def _pair(runs: list[_Run], text: str, start: int, end: int) -> bool:
    """Close earlier runs with this one, or open it, by CommonMark's rules; False if that depends on more text."""
    mark, chars = text[start], end - start
    after = text[end : end + 1]
    if not after and not any(run.mark == mark and run.left <= chars for run in runs):
        return False
    if mark == "~" and chars != 2:
        return True
    opens, closes = flanking(text[max(0, start - 2) : start], after or " ", splits_word=mark != "_")
    left = chars
    for index in range(len(runs) - 1, max(-1, len(runs) - 100), -1) if closes else ():
        run = runs[index]
        odd = (run.is_inside or opens) and (run.chars + chars) % 3 == 0 and (run.chars % 3 or chars % 3)
        if run.mark == mark and not odd and left:
            used = min(run.left, left)
            run.left, left = run.left - used, left - used
            del runs[index + (run.left > 0) :]
    if opens and left:
        runs.append(_Run(mark, start, chars, left, closes))
    return True


def _pair_tag(runs: list[_Run], tag: re.Match[str]) -> None:
    """Open a tag, or close the last one of its name with all that was opened since."""
    mark = f"</{tag['name'].lower()}>"
    if not tag["slash"]:
        runs.append(_Run(mark, tag.start(), len(tag[0]), 1, is_inside=False))
        return
    for index in range(len(runs) - 1, max(-1, len(runs) - 100), -1):
        if runs[index].mark == mark:
            del runs[index:]
            return


_SCHEME = r"(?<![a-zA-Z0-9])https?://"
_MARK = re.compile(r"`+|\*+|_+|~+|\$\$?|!?\[|[\\<&]|!\Z|(?<![a-zA-Z0-9])h(?=t{0,2}\Z|ttps?(?::|\Z))")
_LINK_TEXT = re.compile(r"!?\[(?:[^\[\]\\`]|\\.|`[^`]*`|!?\[[^\[\]]*\](?:\((?:[^()\s]|\([^()\s]*\))*\))?)*+", re.DOTALL)
_TARGET = r"\(\s*+(?:<[^<>\n]*>|(?:[^\s()\\<]|\\.|\([^\s()]*\))*+)"
_WHOLE = re.compile(
    rf"""\\[!-'*-/:-@\\\]-`{{-~] | &(?:\#\d{{1,7}}|\#[xX][\da-fA-F]{{1,6}}|\w{{1,31}});
      | (?P<ticks>`++) .+? (?<!`)(?P=ticks)(?!`)
      | <(?:[A-Za-z][\w+.-]{{1,31}}:[^\s<>]*|[\w.+-]+@[\w.-]+)>
      | {_SCHEME}{ADDRESS_CHAR}++(?!\Z)
      | {_LINK_TEXT.pattern}\](?:{_TARGET}(?:\s++(?:"[^"]*+"|'[^']*+'|\([^()]*+\)))?\s*+\)|\[[^\[\]]*\])""",
    re.VERBOSE | re.DOTALL,
)
_HALF = re.compile(
    rf"""\\\n? | `+ | ! | \$\$? | &\#?\w{{0,31}} | h(?:t(?:t(?:ps?(?::/?)?)?)?)? | https?://{ADDRESS_CHAR}{{0,2000}}
      | (?P<tag><(?:[A-Za-z/!?][^\s<>]{{0,{HELD_CHARS}}}|br[ \t]{{0,9}}/?[ \t]{{0,9}})?)
      | (?P<round>\\\((?:[^\\]|\\(?!\))){{0,{HELD_CHARS}}}) | (?P<square>\\\[(?:[^\\]|\\(?!\])){{0,{HELD_CHARS}}})
      | (?P<link>{_LINK_TEXT.pattern}\](?:{_TARGET}
          (?:\([^\s()]*|\s++(?:"[^"]*"?|'[^']*'?|\([^()]*\)?)?)?\s*|\[[^\[\]]*)?)""",
    re.VERBOSE | re.DOTALL,
)
_HALF_FILE = re.compile(r"!?\[[^\]\n]{0,200}\]\(<?data:[^\s)>]*+", re.IGNORECASE)
_ENDS = {"tag": "<> \n", "round": ")\n", "square": "]\n", "link": "()[]\n"}
_KEPT_DOLLAR = re.compile(
    r"\\\$|\\(?:text[a-z]{0,6}+|mbox)\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*+\}?+)*+\}?+)*+\}?"
)  # it ends no formula
_UNSURE = re.compile(r"[\d\s]")  # money, or a dollar by itself
