"""Turn what a model wrote into safe HTML: markdown, highlighted code, formulas.

The model is not trusted. The parser passes no HTML through, and a sanitiser with an allow-list cleans
each block once more. Top-level blocks are rendered one by one and independently, so a text that still
grows can be shown block by block and ends as the same HTML (see `patches`).

Markdown is https://spec.commonmark.org, with tables, strikethrough and task lists as in
https://github.github.com/gfm, bare links, and TeX between `$ $`, `$$ $$`, `\\( \\)` or `\\[ \\]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup
from mdit_py_plugins.footnote.index import footnote_def

from webapp.rendering.budget import Budget, OverBudget
from webapp.rendering.cleaner import clean
from webapp.rendering.code import MAX_CODE_SECONDS, highlighted, language_and_file, language_of
from webapp.rendering.emphasis import CjkInline
from webapp.rendering.formulas import math_block, math_inline, to_mathml
from webapp.rendering.lines import ColouredLines
from webapp.rendering.links import bare_link, links
from webapp.rendering.notes import (
    CLOSE,
    NOTES,
    NOTES_END,
    OPEN,
    gather_notes,
    label_notes,
    note_reference,
    render_label,
    render_note_open,
    render_reference,
)
from webapp.rendering.rows import further_rows, whole_rows
from webapp.rendering.rules import ask_by_character
from webapp.rendering.tags import details, inline_tag, pair_tags

RENDERER = 4
"""The version of the HTML; stored with it, and raised when the same text gives other HTML."""

MAX_TEXT_CHARS = 100_000
MAX_STEPS = 100_000  # of one text, about 1 s: as many as 100,000 marks that open nothing take
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
    A fence whose token is given `meta["open"] = True` before rendering ends with a caret and is highlighted up to its
    last line, if `meta["by_line"]` is true and its language allows that. A text that still
    grows is finished by `env["before_inline"]`: a function that changes the block tokens in place. In such a text,
    for which `env["growing"]` is true, details need no end yet.
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
    return clean(_markdown.renderer.render(tokens, _markdown.options, env))


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
    top = 0  # the level of the blocks that no others contain, or only details and notes
    for index, token in enumerate(state.tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"  # the page has the h1, each message an h2
        elif token.type in ("th_open", "td_open"):
            _align_by_class(token)
        elif token.type == "inline":
            in_cell = state.tokens[index - 1].type in ("th_open", "td_open")
            token.children = list(links(pair_tags(token.children or [], in_cell=in_cell)))
            if index >= 2 and state.tokens[index - 2].type == "list_item_open":
                _make_task(state.tokens[index - 2], token)
        if token.type in _AROUND and token.level == top:
            top += 1
        elif token.type in _AROUND_ENDS and token.level == top - 1:
            top -= 1
        elif token.level == top and token.nesting == 1 and token.type != "summary_open":
            token.attrSet("dir", "auto")
    label_notes(state.tokens)


_AROUND = frozenset({"details_open", "notes_open", OPEN})
_AROUND_ENDS = frozenset({"details_close", "notes_close", CLOSE})


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


# HTML that the parser's own renderer makes otherwise


def _render_code(_self: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, env: Env) -> str:
    token = tokens[index]
    language, file = language_and_file(token.info)
    caption = " · ".join(filter(None, [language, file]))
    language = language or language_of(file)
    code = _growing_code(token, language, env) if token.meta.get("open") else highlighted(token.content, language, env)
    return (
        f'<figure class="code"><figcaption>{escape(caption)}</figcaption>'
        f'<pre tabindex="0"><code class="hl">{code}</code></pre></figure>\n'
    )


def _growing_code(token: Token, language: str, env: Env) -> str:
    """Code up to the caret: what finishes its lines is left in `env["lines"]`, if that can be told line by line."""
    lines = ColouredLines.of(language) if token.meta.get("by_line") else None
    finished, newline, half = token.content.rpartition("\n")
    html = lines.add(finished + newline, env) if lines else None
    if html is None:
        return escape(token.content)
    env["lines"] = lines
    return f"{html}<span>{escape(half)}</span>" if len(half) > 1 else html + half


def _render_math_inline(
    _self: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, env: Env
) -> str:
    return to_mathml(tokens[index].content, tokens[index].markup, env["budget"])


def _render_math_block(
    _self: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, env: Env
) -> str:
    mathml = to_mathml(tokens[index].content, tokens[index].markup, env["budget"])
    return f'<div class="math" tabindex="0">{mathml}</div>\n'


def _render_table_open(
    self: RendererProtocol, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env
) -> str:
    opening: str = self.renderToken(tokens, index, options, env)  # type: ignore[attr-defined]
    return f'<div class="table" tabindex="0">{opening}'


def _make_markdown() -> MarkdownIt:
    markdown = MarkdownIt()
    markdown.inline = CjkInline()
    markdown.configure("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    markdown.disable(["html_block", "html_inline"])
    markdown.validateLink = lambda url: True  # type: ignore[method-assign]  # `links` decides, and says where it leads
    markdown.core.ruler.before("inline", "notes", gather_notes)
    markdown.core.ruler.before("inline", "before_inline", _before_inline)
    markdown.core.ruler.push("finish", _finish)
    anywhere = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    markdown.block.ruler.at("table", whole_rows, {"alt": ["paragraph", "reference"]})
    markdown.block.ruler.before("table", "count_line", _count_line, anywhere)  # type: ignore[arg-type]
    markdown.block.ruler.before("table", "further_rows", further_rows)
    markdown.block.ruler.before("code", "math_block", math_block, anywhere)  # type: ignore[arg-type]
    markdown.inline.ruler.after("text", "count_mark", _count_mark)
    markdown.block.ruler.before("code", "details", details, anywhere)  # type: ignore[arg-type]
    markdown.block.ruler.before("reference", "note", footnote_def, anywhere)  # type: ignore[arg-type]
    markdown.inline.ruler.before("autolink", "note_reference", note_reference)
    markdown.inline.ruler.before("autolink", "inline_tag", inline_tag)
    markdown.inline.ruler.before("escape", "math_inline", math_inline)
    markdown.inline.ruler.after("text", "bare_link", bare_link)
    ask_by_character(markdown)
    markdown.add_render_rule("note_reference", render_reference)
    markdown.add_render_rule("note_label", render_label)
    markdown.add_render_rule(OPEN, render_note_open)
    markdown.add_render_rule(CLOSE, lambda *_: "</li>\n")
    markdown.add_render_rule("notes_open", lambda *_: f"{NOTES}\n<ul>\n")
    markdown.add_render_rule("notes_close", lambda *_: NOTES_END)
    markdown.add_render_rule("fence", _render_code)
    markdown.add_render_rule("code_block", _render_code)
    markdown.add_render_rule("math_inline", _render_math_inline)
    markdown.add_render_rule("math_block", _render_math_block)
    markdown.add_render_rule("table_open", _render_table_open)
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return markdown


_markdown = _make_markdown()
