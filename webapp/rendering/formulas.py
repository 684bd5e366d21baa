"""Formulas in TeX: find them in a text, limit their cost, turn them into MathML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from math_core import LatexError, LatexToMathML

from webapp.rendering.budget import Budget
from webapp.rendering.tex import MACROS, readable

MAX_FORMULA_CHARS = 4_000
MAX_FORMULA_LINES = 100
MAX_FORMULA_DEPTH = 600  # math-core recurses without a limit, 2 KB of stack a level: deeper ones crash the process
# math-core reads the rest twice for each unclosed bracket: 2^n times for n of them.
MAX_FORMULA_COST = 2**20  # characters that math-core reads for one formula, about 11 ms
FORMULA_COST_PER_STEP = 1_000
CHARS_PER_STEP = 20  # to rewrite a formula


def math_inline(state: StateInline, silent: bool) -> bool:
    """Parser rule: a formula within a line."""
    formula = formula_at(state.src, state.pos, state.posMax)
    if not formula:
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = formula.content
        token.markup = formula.opening
    state.pos = formula.end
    return True


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula in a line of text: its opening mark, its content, and the position after it."""

    opening: str
    content: str
    end: int


def formula_at(text: str, start: int, end: int) -> Formula | None:
    """The formula that begins at `start`, of at most MAX_FORMULA_CHARS; None if there is none."""
    end = min(end, start + MAX_FORMULA_CHARS)
    opening = text[start : start + 2]
    if closing := {"\\(": "\\)", "\\[": "\\]"}.get(opening):
        found = text.find(closing, start + 3, end)
        return Formula(opening, text[start + 2 : found], found + 2) if found >= 0 else None
    match = _DOLLARS.match(text, start, end)
    if not match:
        return None
    double, single = match.groups()
    if double is None and not _is_formula(text[max(0, start - 1) : start], single, text[match.end() : match.end() + 1]):
        return None
    return Formula("$" if double is None else "$$", double or single, match.end())


# Words within a formula may hold another between dollars.
_WORDS = r"\\(?:text[a-z]{0,6}+|mbox)\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*+\})*+\})*+\}"
_DOLLARS = re.compile(
    rf"""\$\$ ((?: \\. | [^\\$] )++) \$\$
      | \$ (?!\$) ((?: {_WORDS} | \\(?!text\{{|mbox\{{). | [^\\$] )++) \$""",
    re.VERBOSE | re.DOTALL,
)


def _is_formula(before: str, content: str, after: str) -> bool:
    """Whether `$content$` between these characters is a formula, rather than money or variables of a shell."""
    if not may_be_formula(before, content):
        return False
    if content[0].isspace():  # as people write it; pandoc takes it as text
        return content[-1].isspace() and _TEX_SIGN.search(content) is not None
    if content[-1].isspace():
        return False
    if _TEX_START.match(content):
        return True
    if after.isdigit():  # $5-$10; 3$\times$5 is a formula
        return False
    if _WORD.match(after) or after in ("(", "{"):
        return _LAST_CHARACTER.search(content) is not None and not _VARIABLE.fullmatch(content)
    return True


def may_be_formula(before: str, content: str) -> bool:
    """Whether `$content` behind this character can be a formula, if more content and a dollar follow."""
    if not content:
        return True
    if _WORD.match(before) or before == "$":
        return _TEX_START.match(content) is not None  # 25$^\circ$C, but not US$5
    if content[0].isspace():
        return not _PROSE.search(_COMMAND.sub("", content))
    return not _MONEY.match(content)


_WIDE = r"\u0e00-\u0eff\u1100-\u11ff\u2e80-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
"""Letters and signs of scripts that put no blanks between words."""
_TEX_START = re.compile(r"[\\^]|_(?![A-Z]{2})")  # not $_GET
_COMMAND = re.compile(r"\\[a-zA-Z]++(?:\{[^{}]*+\}?)?+")
_TEX_SIGN = re.compile(r"[\\^_=]")
_WORD = re.compile(rf"[^\W{_WIDE}]")  # of a script with blanks
_LAST_CHARACTER = re.compile(r"[a-zA-Z0-9)}\]]\Z")  # not $PATH:$HOME
_VARIABLE = re.compile(r"[({].*|(?![a-zA-Z]_)[a-zA-Z]\w+", re.DOTALL)
_PROSE = re.compile(rf"[^\W\d_]{{2}}\s+[^\W\d_]{{2}}|[{_WIDE}]|\n")
_AMOUNT = r"\d[\d.,]{0,20}(?:[kKmMB]|bn)?"
_MONEY = re.compile(
    rf"""{_AMOUNT} (?: [)\]–—-]{{0,9}}[.,;:!?]{{0,9}}\s{{1,9}}[(\[]?(?!mod?(?!\w))(?:[^\W\d_]{{2}}|[aI]\s)
      | \s? [{_WIDE}] )""",
    re.VERBOSE,
)


def math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parser rule: a formula on its own lines. It ends with a closing mark at a line's end and has no blank line."""
    opening = _MATH_BLOCK.match(state.src, state.bMarks[start] + state.tShift[start], state.eMarks[start])
    if not opening or (state.is_code_block(start) and opening.end() != state.eMarks[start]):
        return False
    closing = closing_of(opening)
    lines: list[str] = []
    for number in range(start, min(end, start + MAX_FORMULA_LINES)):
        first = opening.end() if number == start else state.bMarks[number] + state.tShift[number]
        line = state.src[first : state.eMarks[number]].rstrip()
        if number > start and (not line or state.sCount[number] < state.blkIndent):
            return False
        inside, mark, behind = line.partition(closing)
        if len(behind) > 1 or behind not in SENTENCE_MARKS:
            return False
        lines.append(inside + behind)
        if mark:
            break
    else:
        return False
    if silent:
        return True
    token = state.push("math_block", "math", 0)
    token.block = True
    token.map = [start, number + 1]
    token.content = "\n".join(lines)
    token.markup = opening[0]
    state.line = number + 1
    return True


def closing_of(opening: re.Match[str]) -> str:
    """What closes a formula that MATH_OPENING begins."""
    return {"$$": "$$", "\\[": "\\]"}.get(opening["mark"], f"\\end{{{opening['environment']}}}")


_NAMES = "(?:align(?:at|ed)?|flalign|equation|gather|multline|eqnarray)\\*?|gathered|split|d?cases|[pbBvV]?matrix|array"
MATH_OPENING = rf"(?P<mark>\$\$|\\\[|\\begin\{{(?P<environment>{_NAMES}|displaymath|subequations)\}})"
MATH_CLOSING = rf"(?P<closing>\$\$|\\\]|\\end\{{(?:{_NAMES}|displaymath|subequations)\}})"
SENTENCE_MARKS = ".,;:!?。，；"
"""One of these may follow a formula; it is shown within."""
_MATH_BLOCK = re.compile(MATH_OPENING)


def to_mathml(source: str, opening: str, budget: Budget) -> str:
    """Return MathML; return the source as code if math-core cannot read it or it costs too much."""
    closing = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}.get(opening)
    whole = opening + source + (closing or opening.replace("begin", "end"))
    budget.spend(2 + len(source) // CHARS_PER_STEP)
    try:
        if len(source) > MAX_FORMULA_CHARS or _DEFINES.search(source):
            raise LatexError
        tex = _shielded(readable(source if closing else whole))
        budget.spend(_cost(tex) // FORMULA_COST_PER_STEP)
        mathml = _formulas.convert_with_local_state(tex, displaystyle=opening not in ("$", "\\("))
    except LatexError:
        return f"<code>{escape(whole)}</code>"
    return _MATH_STYLE.sub(_align_math, mathml)


# A macro of the model's own could grow a formula beyond its limits.
_DEFINES = re.compile(r"\\(?:(?:re)?newcommand|providecommand|g?def|let)(?![a-zA-Z])")


def _shielded(tex: str) -> str:
    """Keep closing brackets from being read as arguments, as in `(\\sqrt)`, where there are many brackets.

    Empty groups, which show nothing, stand before them: as many as a command may lack.
    """
    opens = sum(mark.lastgroup == "opens" for mark in _BRACKET.finditer(tex))
    if opens < 20 and len(tex) << opens <= MAX_FORMULA_COST:
        return tex
    return _BRACKET.sub(lambda mark: "{}" * 5 * (mark.lastgroup == "closes") + mark[0], tex)


def _cost(tex: str) -> int:
    """The characters that math-core reads. Raises LatexError for a formula beyond the limits."""
    unclosed = unclosed_brackets(tex)
    if len(_DEEPER.findall(tex)) > MAX_FORMULA_DEPTH or unclosed >= 20:
        raise LatexError
    if (cost := len(tex) << unclosed) > MAX_FORMULA_COST:
        raise LatexError
    return cost


def unclosed_brackets(source: str) -> int:
    """Count the unclosed brackets of a formula as math-core does, each within its pair of braces.

    Any closing bracket closes the last open one. Brackets of `\\left` and `\\right` do not count.
    """
    unclosed, groups = 0, [0]
    for mark in _BRACKET.finditer(source):
        if mark.lastgroup == "opens":
            groups[-1] += 1
        elif mark.lastgroup == "closes":
            groups[-1] = max(groups[-1] - 1, 0)
        elif mark[0] == "{":
            groups.append(0)
        elif mark[0] == "}" and len(groups) > 1:
            unclosed += groups.pop()
        elif mark.lastgroup == "option":  # its brackets close none outside of it
            unclosed += len(_MAY_OPEN.findall(mark["option"]))
    return unclosed + sum(groups)


_BRACKETS = "angle|floor|ceil|vert|Vert|group|moustache|brack|brace|paren|Brace|Angle|ang"
_BRACKET = re.compile(
    rf"""\\(?:left|right|middle|[bB]igg?m?)(?![a-zA-Z]) \s*+ (?: \\[a-zA-Z]++ | \\?. )
      | \\(?:sqrt|x[a-zA-Z]++|cramped|smash) \s*+ (?P<option>\[[^\]]*+\])
      | (?P<opens> \\[bB]igg?l(?![a-zA-Z]) \s*+ (?: \\[a-zA-Z]++ | \\?. )
          | \\(?:l(?:{_BRACKETS}|langle|lbracket|lcorner|lparenthesis)|ulcorner)(?![a-zA-Z]) | \\\{{
          | [(\[⌈⌊⌜⌞⎰❲⟅⟦⟨⟪⟬⟮⦃⦅⦇⦉⦋⦍⦏⦑⦓⦕⦗⧘⧚⧼] )
      | (?P<closes> \\[bB]igg?r(?![a-zA-Z]) \s*+ (?: \\[a-zA-Z]++ | \\?. )
          | \\(?:r(?:{_BRACKETS}|rangle|rbracket|rparenthesis)|urcorner|lrcorner)(?![a-zA-Z]) | \\\}}
          | [)\]⌉⌋⌝⌟⎱❳⟆⟧⟩⟫⟭⟯⦄⦆⦈⦊⦌⦎⦐⦒⦔⦖⦘⧙⧛⧽] )
      | \\[a-zA-Z]++ | \\. | [{{}}]""",
    re.VERBOSE | re.DOTALL,
)
_formulas = LatexToMathML(max_expansions=MAX_FORMULA_CHARS, macros=MACROS, allow_unreliable_rendering=True)
_MAY_OPEN = re.compile(r"[(\\]|[^\x00-\x7f]|(?<!\A)\[")
_DEEPER = re.compile(r"[\\{\[]")
_MATH_STYLE = re.compile(r' style="([^"]*)"')


def _align_math(style: re.Match[str]) -> str:
    side = re.search(r"text-align: (left|right)", style[1])
    return f' class="align-{side[1]}"' if side else ""
