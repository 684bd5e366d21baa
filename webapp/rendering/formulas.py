"""Formulas in TeX: find them in a text, limit their cost, turn them into MathML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from math_core import LatexError, LatexToMathML

from webapp.rendering.budget import Budget

MAX_FORMULA_CHARS = 4_000
MAX_FORMULA_LINES = 100
MAX_FORMULA_DEPTH = 600  # math-core recurses without a limit, 2 KB of stack a level: deeper ones crash the process
# math-core reads the rest twice for each unclosed bracket: 2^n times for n of them.
MAX_FORMULA_COST = 2**20  # characters that math-core reads for one formula, about 11 ms
FORMULA_COST_PER_STEP = 1_000


def math_inline(state: StateInline, silent: bool) -> bool:
    """Parser rule: a formula within a line."""
    formula = formula_at(state.src, state.pos, state.posMax)
    if not formula or (formula.opening == "$" and state.src[state.pos - 1 : state.pos].isalnum()):
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
    if match := _DOLLARS.match(text, start, end):
        double, single = match.groups()
        return Formula("$" if double is None else "$$", double or single, match.end())
    return None


# As in pandoc: no space inside the dollars, no letter or digit around them. "$5 and $10" is money.
_DOLLARS = re.compile(
    r"""\$\$ ((?: \\. | [^\\$] )++) \$\$
      | \$ (?![\s$]) ((?: \\. | [^\\$] )++) (?<!\s) \$ (?![\w$])""",
    re.VERBOSE | re.DOTALL,
)


def math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parser rule: a formula on its own lines. It ends with a closing mark at a line's end and has no blank line."""
    if state.is_code_block(start):
        return False
    opening = _MATH_BLOCK.match(state.src, state.bMarks[start] + state.tShift[start], state.eMarks[start])
    if not opening:
        return False
    closing = {"$$": "$$", "\\[": "\\]"}.get(opening[0], f"\\end{{{opening[1]}}}")
    lines: list[str] = []
    for number in range(start, min(end, start + MAX_FORMULA_LINES)):
        first = opening.end() if number == start else state.bMarks[number] + state.tShift[number]
        line = state.src[first : state.eMarks[number]].rstrip()
        if number > start and (not line or state.sCount[number] < state.blkIndent):
            return False
        if line.endswith(closing):
            break
        if number == start and closing in line:
            return False
        lines.append(line)
    else:
        return False
    if silent:
        return True
    token = state.push("math_block", "math", 0)
    token.block = True
    token.map = [start, number + 1]
    token.content = "\n".join([*lines, line.removesuffix(closing)])
    token.markup = opening[0]
    state.line = number + 1
    return True


_MATH_BLOCK = re.compile(r"\$\$|\\\[|\\begin\{((?:align|equation|gather|multline)\*?)\}")


def to_mathml(source: str, opening: str, budget: Budget) -> str:
    """Return MathML; return the source as code if math-core cannot read it or it costs too much."""
    closing = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}.get(opening)
    whole = opening + source + (closing or opening.replace("begin", "end"))
    budget.spend(2)
    try:
        if len(source) > MAX_FORMULA_CHARS or len(_DEEPER.findall(source)) > MAX_FORMULA_DEPTH:
            raise LatexError
        unclosed = unclosed_brackets(source)
        if unclosed >= 20 or (cost := len(source) << unclosed) > MAX_FORMULA_COST:
            raise LatexError
        budget.spend(cost // FORMULA_COST_PER_STEP)
        mathml = _formulas.convert_with_local_state(
            source if closing else whole, displaystyle=opening not in ("$", "\\(")
        )
        if "<a " in mathml:  # a reference to another formula would link into our page
            raise LatexError
    except LatexError:
        return f"<code>{escape(whole)}</code>"
    return _MATH_STYLE.sub(_align_math, mathml)


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
    return unclosed + sum(groups)


_NAMES = "angle|floor|ceil|vert|Vert|group|moustache|brack|brace|paren|Brace|Angle|ang"
_BRACKET = re.compile(
    rf"""\\(?:left|right)(?![a-zA-Z]) \s*+ (?: \\[a-zA-Z]++ | \\?. )
      | (?P<opens> \\(?:l(?:{_NAMES}|langle|lbracket|lcorner|lparenthesis)|ulcorner)(?![a-zA-Z]) | \\\{{
          | [(\[⌈⌊⌜⌞⎰❲⟅⟦⟨⟪⟬⟮⦃⦅⦇⦉⦋⦍⦏⦑⦓⦕⦗⧘⧚⧼] )
      | (?P<closes> \\(?:r(?:{_NAMES}|rangle|rbracket|rparenthesis)|urcorner|lrcorner)(?![a-zA-Z]) | \\\}}
          | [)\]⌉⌋⌝⌟⎱❳⟆⟧⟩⟫⟭⟯⦄⦆⦈⦊⦌⦎⦐⦒⦔⦖⦘⧙⧛⧽] )
      | \\[a-zA-Z]++ | \\. | [{{}}]""",
    re.VERBOSE | re.DOTALL,
)
_formulas = LatexToMathML(max_expansions=0)  # a macro could grow a formula beyond its limits
_DEEPER = re.compile(r"[\\{\[]")
_MATH_STYLE = re.compile(r' style="([^"]*)"')


def _align_math(style: re.Match[str]) -> str:
    side = re.search(r"text-align: (left|right)", style[1])
    return f' class="align-{side[1]}"' if side else ""
