"""Turn what a model wrote into safe HTML: markdown, highlighted code, formulas.

The model is not trusted. The parser passes no HTML through, and a sanitiser with an allow-list cleans
each block once more. Top-level blocks are rendered one by one and independently, so a text that still
grows can be shown block by block and ends as the same HTML (see `patches`).

Markdown is https://spec.commonmark.org, with tables, strikethrough and task lists as in
https://github.github.com/gfm, bare links, and TeX between `$ $`, `$$ $$`, `\\( \\)` or `\\[ \\]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from time import thread_time
from typing import Any

import nh3
import pygments
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup
from math_core import LatexError, LatexToMathML
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name
from pygments.token import STANDARD_TYPES

from webapp.rendering.budget import Budget, OverBudget

RENDERER = 1
"""The version of the HTML; stored with it, and raised when the same text gives other HTML."""

MAX_TEXT_CHARS = 100_000
MAX_STEPS = 100_000  # of one text, about 1 s: as many as 100,000 marks that open nothing take
MAX_CODE_CHARS = 20_000  # 25-35 ms of Pygments
MAX_CODE_LINE_CHARS = 500  # several lexers take quadratic time on longer lines
MAX_BLANK_LINES = 100  # and on longer runs of these
MAX_CODE_SECONDS = 0.5  # of processor time for all code of one text; one lexer makes 400 MB of 20 KB
MAX_FORMULA_CHARS = 4_000
MAX_FORMULA_LINES = 100
MAX_FORMULA_DEPTH = 600  # math-core recurses without a limit, 2 KB of stack a level: past it the process dies
# For each opening bracket that nothing closes, math-core reads the rest twice: 2^n times for n of them.
MAX_FORMULA_COST = 2**20  # characters that it reads for one formula, about 11 ms
FORMULA_COST_PER_STEP = 1_000
TOKENS_PER_STEP = 4  # a cell of a table is three
PLAIN = '<p class="message__plain">'
"""What the HTML begins with of a text that is shown as it is written."""

Env = MutableMapping[str, Any]


def render(text: str) -> Markup:
    """The whole text as HTML that may stand in a page as it is. Never raises.

    A text of more than MAX_TEXT_CHARS, or one that costs more than MAX_STEPS, is shown as it is written (`plain`).
    """
    return Markup("".join(render_blocks(text)))


def render_blocks(text: str) -> list[str]:
    """The HTML of each top-level block of a text; together they are `render(text)`."""
    if len(text) > MAX_TEXT_CHARS:
        return [plain(text)]
    env: Env = {}
    try:
        return [render_block(block, env) for block in blocks(parse(text, env))]
    except OverBudget:
        return [plain(text)]


def plain(text: str) -> str:
    """The text as it is written, in one block."""
    shown = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).replace("\0", "\N{REPLACEMENT CHARACTER}")
    shown = shown.replace("\r\n", "\n").replace("\r", "\n")
    return f"{PLAIN}{escape(shown, quote=False)}</p>\n"


def parse(text: str, env: Env) -> list[Token]:
    """The tokens of a text. Link definitions are read from `env["references"]` and added to it.

    So are `env["budget"]`, the steps of this text, and `env["code_seconds"]`, the processor time for its code,
    unless they are given. Raises OverBudget when the steps are spent.

    Every change made to the text keeps its lines, so `Token.map` counts lines of the original.
    A fence whose token is given `meta["open"] = True` before rendering is not highlighted. A text that still
    grows is finished by `env["before_inline"]`: a function that changes the block tokens in place.
    """
    env.setdefault("budget", Budget(MAX_STEPS))
    env.setdefault("code_seconds", MAX_CODE_SECONDS)
    return _markdown.parse(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text), env)


def blocks(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Cut tokens at the top level: each piece renders to one element of the page."""
    start = 0
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            yield tokens[start : index + 1]
            start = index + 1


def render_block(tokens: Sequence[Token], env: Env) -> str:
    """The clean HTML of one of `blocks`; `env` is the one that its text was parsed with."""
    return _cleaner.clean(_markdown.renderer.render(tokens, _markdown.options, env))


_SURROGATE = re.compile(r"[\ud800-\udfff]")


# The parser asks its rules at each line and at each mark; the first rule of both counts, and never matches.


def _count_line(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    state.env["budget"].spend()
    return False


def _count_mark(state: StateInline, silent: bool) -> bool:
    state.env["budget"].spend()
    return False


# What the parser makes is finished here: one walk over the block tokens, one over each line of text.


def _before_inline(state: StateCore) -> None:
    state.env["budget"].spend(len(state.tokens) // TOKENS_PER_STEP)
    if change := state.env.get("before_inline"):
        change(state.tokens)


def _finish(state: StateCore) -> None:
    for index, token in enumerate(state.tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"  # the page has the h1, each message an h2
        elif token.type in ("th_open", "td_open"):
            _align_by_class(token)
        elif token.type == "inline":
            token.children = list(_links(token.children or []))
            if index >= 2 and state.tokens[index - 2].type == "list_item_open":
                _make_task(state.tokens[index - 2], token)
        if token.level == 0 and token.nesting == 1:
            token.attrSet("dir", "auto")


def _align_by_class(cell: Token) -> None:
    if style := cell.attrs.pop("style", None):
        cell.attrSet("class", f"align-{str(style).removeprefix('text-align:')}")


def _make_task(item: Token, text: Token) -> None:
    """`[ ] words` at the start of a list item becomes a checkbox that its words name."""
    children = text.children or []
    match = _TASK.match(children[0].content) if children and children[0].type == "text" else None
    if not match:
        return
    children[0].content = children[0].content[match.end() :]
    box = Token("checkbox", "input", 0, attrs={"type": "checkbox", "disabled": ""})
    if match[1] != " ":
        box.attrSet("checked", "")
    item.attrSet("class", "task")
    text.children = [Token("label_open", "label", 1), box, *children, Token("label_close", "label", -1)]


_TASK = re.compile(r"\[([ xX])\](?=\s)")


def _links(tokens: Sequence[Token]) -> Iterator[Token]:
    """Keep the links that leave this site, spell the others out, and make links of images.

    A remote image tells its host what was read and when; a relative link reaches into our own routes.
    """
    targets: list[str] = []  # of the links that are open here, the innermost last; "" once it is spelled out
    kept = 0  # how many were open when one was kept: a link holds no other link
    for index, token in enumerate(tokens):
        if token.type == "link_open":
            target = str(token.attrs["href"])
            targets.append(target)
            if not kept and _OUTSIDE.match(target):
                kept = len(targets)
                yield token
            if _is_blank(tokens, index):
                targets[-1] = ""
                yield _text(target)
        elif token.type == "link_close":
            if kept == len(targets):
                kept = 0
                yield token
            elif token.info != "auto" and targets[-1]:
                yield _text(f" ({targets[-1]})")
            targets.pop()
        elif token.type == "image":
            yield from _image_link(token, inside=bool(kept))
        else:
            yield token


# No user name before the host: https://bank.example@other.example is a disguise.
_OUTSIDE = re.compile(r"https?://[a-z0-9._-]+(?::\d{1,5})?(?=[/?#]|\Z)|mailto:[^/?#\\]", re.IGNORECASE)


def _is_blank(tokens: Sequence[Token], index: int) -> bool:
    """Whether the link that opens here has no words."""
    for position in range(index + 1, len(tokens)):
        token = tokens[position]
        if token.type == "image" or token.content.strip():
            return False
        if token.type == "link_close":
            return True
    return True


def _image_link(image: Token, *, inside: bool) -> Iterator[Token]:
    """The image's address under its description; the description alone where a link is open already."""
    source = str(image.attrs["src"])
    name = _text(image.content if image.content.strip() else source)
    if inside:
        yield name
    elif _OUTSIDE.match(source):
        yield Token("link_open", "a", 1, attrs={"href": source})
        yield name
        yield Token("link_close", "a", -1)
    else:
        yield name if name.content == source else _text(f"{name.content} ({source})")


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _bare_link(state: StateInline, silent: bool) -> bool:
    """An address that stands in the text as it is. The parser stops at its colon."""
    scheme = _SCHEME.search(state.src, max(0, state.pos - 6), state.pos)
    rest = _REST.match(state.src, state.pos, state.posMax)
    if not scheme or not rest or state.linkLevel:
        return False
    tail = rest[0].rstrip(_TRAILING)
    while tail.endswith(")") and tail.count(")") > tail.count("("):
        tail = tail[:-1].rstrip(_TRAILING)
    if len(tail) <= len("://"):
        return False
    if not silent:
        url = scheme[0] + tail
        state.pending = state.pending.removesuffix(scheme[0])
        state.push("link_open", "a", 1).attrs = {"href": state.md.normalizeLink(url)}
        state.push("text", "", 0).content = url
        state.push("link_close", "a", -1).info = "auto"
    state.pos += len(tail)
    return True


_TRAILING = "?!.,:;*_~'\""
_SCHEME = re.compile(r"(?<![^\W_])https?\Z", re.IGNORECASE)
_REST = re.compile(r"://[^\s<>\"`\[\]{}|\\^*\x00-\x1f]{1,2000}")


# Formulas


def _math_inline(state: StateInline, silent: bool) -> bool:
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
    """A formula in a line of text: its opening mark, what stands in it, and where it ends."""

    opening: str
    content: str
    end: int


def formula_at(text: str, start: int, end: int) -> Formula | None:
    """The formula that begins here, of at most MAX_FORMULA_CHARS."""
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


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula on lines of its own, up to the closing mark at the end of a line; no blank line within."""
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


def _math(source: str, opening: str, budget: Budget) -> str:
    """MathML, or the source as code where it cannot be read as a formula."""
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
        if "<a " in mathml:  # a reference to another formula: it would lead into our page
            raise LatexError
    except LatexError:
        return f"<code>{escape(whole)}</code>"
    return _MATH_STYLE.sub(_align_math, mathml)


def unclosed_brackets(source: str) -> int:
    """How many opening brackets of a formula nothing closes within their braces, as math-core sees it.

    Any closing bracket closes the last open one; those of `\\left` and `\\right` are not counted.
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


# HTML that the parser's own renderer makes otherwise


def _render_code(_self: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, env: Env) -> str:
    token = tokens[index]
    language = _LANGUAGE.match(token.info.strip())
    name = language[0] if language else ""
    code = escape(token.content) if token.meta.get("open") else _highlighted(token.content, name, env)
    return (
        f'<figure class="code"><figcaption>{escape(name)}</figcaption>'
        f'<pre tabindex="0"><code class="hl">{code}</code></pre></figure>\n'
    )


_LANGUAGE = re.compile(r"[\w+#.-]{1,30}(?!\S)")


def _highlighted(code: str, language: str, env: Env) -> str:
    lexer = _lexer(language.lower())
    if not lexer or env["code_seconds"] <= 0 or not _is_quick(code):
        return escape(code)
    begun = thread_time()
    try:
        return pygments.format(_bounded(lexer.get_tokens(code), len(code), begun + env["code_seconds"]), _formatter)
    except Exception:  # one of some 500 lexers has a bug, or gave up: colours are not worth the message
        return escape(code)
    finally:
        env["code_seconds"] -= thread_time() - begun


def _is_quick(code: str) -> bool:
    """Whether lexers take little time: a short text, no endless line, no long run of blank lines."""
    if len(code) > MAX_CODE_CHARS:
        return False
    blank = 0
    for line in code.split("\n"):
        blank = 0 if line.strip() else blank + 1
        if blank > MAX_BLANK_LINES or len(line) >= MAX_CODE_LINE_CHARS:
            return False
    return True


class _NotHighlighted(Exception):
    """The lexer took too long, or its tokens are not the code."""


def _bounded(tokens: Iterable[tuple[Any, str]], chars: int, deadline: float) -> Iterator[tuple[Any, str]]:
    for kind, value in tokens:
        chars -= len(value)
        if chars < 0 or thread_time() > deadline:
            raise _NotHighlighted
        yield kind, value
    if chars:
        raise _NotHighlighted


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language in _LANGUAGES else None


# Of Pygments' 600 lexers, the languages that people ask about: each was tried with 20 KB of hostile text.
# Others were not, and one of them thinks for 38 seconds about an ordinary file.
_LANGUAGES = frozenset(
    """
    bash sh shell zsh console bat batch powershell ps1 fish python py python3 pycon ruby rb perl pl lua tcl r julia
    javascript js jsx typescript ts tsx json json5 jsonc html xml svg css scss sass less vue php graphql http
    c h cpp c++ objective-c objc csharp c# fsharp f# vb.net java kotlin kt scala groovy swift dart go golang rust rs
    zig nim d ocaml haskell hs elixir ex erlang clojure clj lisp common-lisp elisp scheme racket prolog fortran pascal
    delphi ada cobol matlab octave sql postgresql postgres mysql plpgsql sqlite3 yaml yml toml ini cfg properties env
    nginx apache dockerfile docker make makefile cmake terraform hcl tf nix vim viml awk sed diff patch udiff
    latex tex markdown md rst jinja django erb asm nasm gas llvm wasm verilog systemverilog vhdl solidity cuda glsl
    hlsl proto protobuf thrift regex gherkin jq cypher sparql turtle
    """.split()  # noqa: SIM905
) & frozenset(alias for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases)
_formatter = HtmlFormatter(nowrap=True)


def _render_math_inline(
    _self: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, env: Env
) -> str:
    return _math(tokens[index].content, tokens[index].markup, env["budget"])


def _render_math_block(
    _self: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, env: Env
) -> str:
    return f'<div class="math" tabindex="0">{_math(tokens[index].content, tokens[index].markup, env["budget"])}</div>\n'


def _render_table_open(
    self: RendererProtocol, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env
) -> str:
    opening: str = self.renderToken(tokens, index, options, env)  # type: ignore[attr-defined]
    return f'<div class="table" tabindex="0">{opening}'


def _render_table_close(
    _self: RendererProtocol, _tokens: Sequence[Token], _index: int, _options: OptionsDict, _env: Env
) -> str:
    return "</table></div>\n"


def _make_markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    markdown.disable(["html_block", "html_inline"])
    markdown.validateLink = lambda url: True  # type: ignore[method-assign]  # `_links` decides, and says where it leads
    markdown.core.ruler.before("inline", "before_inline", _before_inline)
    markdown.core.ruler.push("finish", _finish)
    interrupts = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    anywhere = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    markdown.block.ruler.before("table", "count_line", _count_line, anywhere)  # type: ignore[arg-type]
    markdown.block.ruler.before("fence", "math_block", _math_block, interrupts)  # type: ignore[arg-type]
    markdown.inline.ruler.after("text", "count_mark", _count_mark)
    markdown.inline.ruler.before("escape", "math_inline", _math_inline)
    markdown.inline.ruler.after("text", "bare_link", _bare_link)
    markdown.add_render_rule("fence", _render_code)
    markdown.add_render_rule("code_block", _render_code)
    markdown.add_render_rule("math_inline", _render_math_inline)
    markdown.add_render_rule("math_block", _render_math_block)
    markdown.add_render_rule("table_open", _render_table_open)
    markdown.add_render_rule("table_close", _render_table_close)
    return markdown


def _make_cleaner() -> nh3.Cleaner:
    sides = {"align-left", "align-center", "align-right"}
    return nh3.Cleaner(
        tags=TAGS,
        attributes={
            "a": {"href", "title"},
            "ol": {"start"},
            "mo": {"stretchy", "lspace", "rspace", "minsize", "maxsize", "symmetric", "largeop", "movablelimits"},
            "mspace": {"width"},
            "mpadded": {"width", "height", "depth", "lspace", "voffset"},
            "mfrac": {"linethickness"},
            "mi": {"mathvariant"},
            "mtd": {"columnspan"},
            "menclose": {"notation"},
        },
        tag_attribute_values={
            **{tag: {"dir": {"auto"}} for tag in ("p", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table")},
            "div": {"tabindex": {"0"}},
            "pre": {"tabindex": {"0"}},
            "input": {"type": {"checkbox"}, "disabled": {""}, "checked": {""}},
            "math": {"display": {"block"}},
            "mover": {"accent": {"true"}},
            "munder": {"accentunder": {"true"}},
            "mo": {"form": {"prefix", "infix", "postfix"}},
            **{tag: {"displaystyle": {"true", "false"}, "scriptlevel": {"0", "1", "2"}} for tag in ("mrow", "mtable")},
        },
        allowed_classes={
            "figure": {"code"},
            "code": {"hl"},
            "span": set(STANDARD_TYPES.values()) - {""},
            "div": {"table", "math"},
            "li": {"task"},
            "th": sides,
            "td": sides,
            "mtd": sides,
        },
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        generic_attribute_prefixes=set(),
    )


TAGS = frozenset(
    """
    p h3 h4 h5 h6 ul ol li blockquote hr br a em strong s b i code pre figure figcaption span div label input
    table thead tbody tr th td
    math mrow mi mn mo ms mtext mspace msup msub msubsup mfrac msqrt mroot mover munder munderover mmultiscripts
    mprescripts mtable mtr mtd mpadded mphantom menclose mstyle merror
    """.split()  # noqa: SIM905
)
"""Every tag that can come out of here."""

_markdown = _make_markdown()
_cleaner = _make_cleaner()
