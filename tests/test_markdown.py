"""What each piece of markdown becomes; expectations are written by hand."""

from __future__ import annotations

import re
import time
from html import unescape
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.samples import some
from webapp.markdown import RENDERER, blocks, parse, render, render_block
from webapp.patches import LiveRenderer
from webapp.rendering.code import MAX_CODE_CHARS

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.md"))
REL = ' rel="noopener noreferrer nofollow"'


def p(html: str) -> str:
    return f'<p dir="auto">{html}</p>\n'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("Hello", p("Hello")),
        ("*a* **b** ***c*** ~~d~~", p("<em>a</em> <strong>b</strong> <em><strong>c</strong></em> <s>d</s>")),
        ("snake_case_word 2*3", p("snake_case_word 2*3")),
        (r"\*a\* \`b\`", p("*a* `b`")),
        ("`a < b`", p("<code>a &lt; b</code>")),
        ("a\nb", p("a<br>\nb")),
        ("a  \nb\\\nc", p("a<br>\nb<br>\nc")),
        ("a\n\nb", p("a") + p("b")),
        ("a\r\nb\rc", p("a<br>\nb<br>\nc")),
        ("&copy; &lt; <", p("© &lt; &lt;")),
        ("---", "<hr>\n"),
        ("> a", '<blockquote dir="auto">\n<p>a</p>\n</blockquote>\n'),
        ("- a\n- b", '<ul dir="auto">\n<li>a</li>\n<li>b</li>\n</ul>\n'),
        ("3. a\n4. b", '<ol start="3" dir="auto">\n<li>a</li>\n<li>b</li>\n</ol>\n'),
        ("- a\n\n- b", '<ul dir="auto">\n<li>\n<p>a</p>\n</li>\n<li>\n<p>b</p>\n</li>\n</ul>\n'),
        ("a\u2028b", p("a\u2028b")),
        ("a\0b", p("a\ufffdb")),
        ("a\ud800b", p("a\ufffdb")),
    ],
)
def test_common_markdown(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize(("level", "tag"), [(1, "h3"), (2, "h4"), (3, "h5"), (4, "h6"), (5, "h6"), (6, "h6")])
def test_headings_stand_two_levels_down(level: int, tag: str) -> None:
    assert render("#" * level + " a") == f'<{tag} dir="auto">a</{tag}>\n'


def test_headings_by_underline_do_too() -> None:
    assert render("a\n=\n\nb\n-") == '<h3 dir="auto">a</h3>\n<h4 dir="auto">b</h4>\n'


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("| 1 | 2 | 3 |", ["1", "2 | 3"]),
        ("1|2|3|4", ["1", "2|3|4"]),
        ("| 1 |", ["1", ""]),
        ("| `a || b` | or |", ["<code>a || b</code>", "or"]),
        ("| ``a|`|b`` | `c|d` |", ["<code>a|`|b</code>", "<code>c|d</code>"]),
        (r"| `a \| b | or | c |", ["`a | b", "or | c"]),
        ("| `a | b` |", ["`a", "b`"]),  # just enough: https://github.github.com/gfm/#example-200
    ],
)
def test_a_table_loses_no_word_of_a_row_with_too_many_cells(row: str, cells: list[str]) -> None:
    html = render(f"| A | B |\n|---|---|\n| x | y |\n{row}\n")

    assert re.findall(r"<td>(.*)</td>", html)[2:] == cells


def test_a_table_scrolls_and_aligns_by_class() -> None:
    html = render("| a | b | c | d |\n|---|:--|:-:|--:|\n| 1 | 2 | 3 | 4 |")

    assert html.startswith('<div class="table" tabindex="0"><table dir="auto">\n<thead>')
    assert html.endswith("</tbody>\n</table></div>\n")
    for tag, cells in (("th", "abcd"), ("td", "1234")):
        assert (
            f"<{tag}>{cells[0]}</{tag}>\n"
            f'<{tag} class="align-left">{cells[1]}</{tag}>\n'
            f'<{tag} class="align-center">{cells[2]}</{tag}>\n'
            f'<{tag} class="align-right">{cells[3]}</{tag}>\n'
        ) in html


def test_tasks_are_checkboxes_named_by_their_words() -> None:
    assert render("- [x] a *b*\n- [ ] c\n- [X] d\n- [] e\n- [y] f") == (
        '<ul dir="auto">\n'
        '<li class="task"><label><input type="checkbox" disabled="" checked=""> a <em>b</em></label></li>\n'
        '<li class="task"><label><input type="checkbox" disabled=""> c</label></li>\n'
        '<li class="task"><label><input type="checkbox" disabled="" checked=""> d</label></li>\n'
        "<li>[] e</li>\n"
        "<li>[y] f</li>\n"
        "</ul>\n"
    )


def test_a_task_outside_a_list_is_text() -> None:
    assert render("[x] a") == p("[x] a")


def figure(language: str, code: str) -> str:
    return (
        f'<figure class="code"><figcaption>{language}</figcaption>'
        f'<pre tabindex="0"><code class="hl">{code}</code></pre></figure>\n'
    )


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (
            "```python\nx = 1\n```",
            figure("python", '<span class="n">x</span> <span class="o">=</span> <span class="mi">1</span>\n'),
        ),
        ("```klingon\na < b\n```", figure("klingon", "a &lt; b\n")),
        ("```rita\nif\n```", figure("rita", "if\n")),
        ("```\na\n```", figure("", "a\n")),
        ("~~~\n```\n~~~", figure("", "```\n")),
        ("    a\n      b", figure("", "a\n  b\n")),
        ("```\n\n\na\n\n\n```", figure("", "\n\na\n\n\n")),
        ("```c++ title\n```", figure("c++", "")),
        ("```<b>\n```", figure("", "")),
        ("```a&quot;b\n```", figure("", "")),
        ("```" + "x" * 31 + "\n```", figure("", "")),
        ("```python", figure("python", "")),
    ],
)
def test_code_is_a_figure_with_its_language(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize(
    ("info", "caption", "is_python"),
    [
        ("python:app/main.py", "python · app/main.py", True),
        ("py:main.py", "py · main.py", True),
        ("app.py", "app.py", True),
        ("app/main.py", "app/main.py", True),
        ("./app/main.pyi", "./app/main.pyi", True),
        ("python app.py", "python · app.py", True),
        ("python # app.py", "python · app.py", True),
        ("python title=app.py", "python · app.py", True),
        ('python title="my app.py"', "python · my app.py", True),
        ("py filename='app.py' linenums=1", "py · app.py", True),
        ("python showLines file=app.py", "python · app.py", True),
        ("{.python filename=app.py}", "python · app.py", True),
        ("{python}", "python", True),
        ("python{1,3-5}", "python", True),
        ("python {1,3-5}", "python", True),
        ("python,ignore", "python", True),
        ("12:40:src/app.py", "src/app.py", True),
        ("python:приложение.py", "python · приложение.py", True),
        ("python:", "python", True),
        ("python 3.11", "python", True),
        ("python:Dockerfile", "python · Dockerfile", True),
        ("vb.net", "vb.net", False),
        ("notes.txt", "notes.txt", False),
        ("python:<b>", "python · &lt;b&gt;", True),
        ("python:" + "x" * 201, "python", True),
    ],
)
def test_a_fence_may_name_a_file(info: str, caption: str, is_python: bool) -> None:
    coloured = '<span class="n">x</span> <span class="o">=</span> <span class="mi">1</span>\n'

    html = render(f"```{info}\nx = 1\n```")

    assert f"<figcaption>{caption}</figcaption>" in html
    assert (coloured in html) == is_python


def test_an_open_fence_is_not_highlighted() -> None:
    env: dict[str, Any] = {}
    tokens = parse("```python\nx = 1", env)

    tokens[0].meta["open"] = True

    assert render_block(tokens, env) == figure("python", "x = 1")


@pytest.mark.parametrize(
    "code",
    [
        "x = 1\n" * (MAX_CODE_CHARS // 6 + 1),
        "a" * 600 + "\n",
        "x" + "\n" * 200,
        "x\n" + "  \n" * 120,
    ],
)
def test_code_that_would_hold_up_the_server_is_not_highlighted(code: str) -> None:
    assert render(f"```python\n{code}```") == figure("python", code)


@pytest.mark.parametrize(("language", "line"), [("java", "x\n"), ("terraform", "<<E\n"), ("yaml", '"' * 490 + "\n")])
def test_a_lexer_that_takes_for_ever_is_stopped(language: str, line: str) -> None:
    code = line * (19_000 // len(line))
    started = time.thread_time()

    html = render(f"```{language}\n{code}```")

    assert time.thread_time() - started < 2
    assert shown(html) == language + code


@pytest.mark.parametrize(
    "language", ["python", "js", "html", "rust", "c++", "sh", "sql", "diff", "php", "java", "json"]
)
@pytest.mark.parametrize(
    "code", ["\n\n  a\t= 'b' # c\n\n\n", '<?php\n""" $x `y` {{ \\\n', "\ufeffa\n", "x\x0b\x0cy\x85z\n"]
)
def test_highlighting_keeps_the_code_as_it_is(language: str, code: str) -> None:
    assert shown(render(f"```{language}\n{code}```")) == language + code


def shown(html: str) -> str:
    """The text of the HTML of a code block."""
    return unescape(re.sub("<[^>]+>", "", html)).removesuffix("\n")


def link(url: str, text: str, title: str = "") -> str:
    return f'<a href="{url}"{title}{REL}>{text}</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[a](https://x.org/y)", link("https://x.org/y", "a")),
        ('[a](http://x.org "b")', link("http://x.org", "a", ' title="b"')),
        ("[a](HTTPS://x.org)", link("HTTPS://x.org", "a")),
        ("[a](mailto:b@x.org)", link("mailto:b@x.org", "a")),
        ("<b@x.org>", link("mailto:b@x.org", "b@x.org")),
        ("<https://x.org>", link("https://x.org", "https://x.org")),
        ("[**a** `b`](https://x.org)", link("https://x.org", "<strong>a</strong> <code>b</code>")),
        ("[a][b]\n\n[b]: https://x.org", link("https://x.org", "a")),
        ("[](https://x.org)", link("https://x.org", "https://x.org")),
        ("[a](https://пример.рф/путь)", link("https://xn--e1afmkfd.xn--p1ai/%D0%BF%D1%83%D1%82%D1%8C", "a")),
        ("[a](/logout)", "a (/logout)"),
        ("[a](//x.org)", "a (//x.org)"),
        ("[a](b)", "a (b)"),
        ("[a](#b)", "a (#b)"),
        ("[a]()", "a"),
        ("[](/b)", "/b"),
        ("[a](javascript:b)", "a (javascript:b)"),
        ("<javascript:b>", "javascript:b"),
        ("[a](ftp://x.org)", "a (ftp://x.org)"),
        ("[a](https:/x.org)", "a (https:/x.org)"),
        ("[a](https:///x.org)", "a (https:///x.org)"),
        ("[ ](https://x.org)", link("https://x.org", "https://x.org ")),
        ("[a](https://x.org@y.org)", "a (https://x.org@y.org)"),
        ("[a](https://x.org:port/)", "a (https://x.org:port/)"),
        ("[<https://y.org>](https://x.org)", link("https://x.org", "https://y.org")),
        ("[<javascript:b>](https://x.org)", link("https://x.org", "javascript:b")),
        ("[a][b]", "[a][b]"),
    ],
)
def test_links_lead_to_other_sites_or_are_spelled_out(text: str, html: str) -> None:
    assert render(text) == p(html)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("![a](https://x.org/b.png)", link("https://x.org/b.png", "a")),
        ('![a](https://x.org/b.png "c")', link("https://x.org/b.png", "a")),
        ("![](https://x.org/b.png)", link("https://x.org/b.png", "https://x.org/b.png")),
        ("![a](/b.png)", "a (/b.png)"),
        ("![](/b.png)", "/b.png"),
        ("![a](data:image/png;base64,AAAA)", "[a]"),
        ("![](DATA:image/png;base64,AAAA)", "[image]"),
        ("[![a](data:image/png;base64,AAAA)](https://x.org)", link("https://x.org", "a")),
        ("[a](data:text/html;base64,AAAA)", "a (data:text/html;base64,…)"),
        ("[](data:text/html,<b>)", "data:text/html,…"),
        ("[![a](https://x.org/b.svg)](https://x.org)", link("https://x.org", "a")),
        ("[![a](https://x.org/b.svg)](/c)", link("https://x.org/b.svg", "a") + " (/c)"),
    ],
)
def test_images_are_links(text: str, html: str) -> None:
    assert render(text) == p(html)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("see https://x.org/a_b.", f"see {link('https://x.org/a_b', 'https://x.org/a_b')}."),
        ("(https://x.org/a)", f"({link('https://x.org/a', 'https://x.org/a')})"),
        ("https://x.org/a_(b)).", link("https://x.org/a_(b)", "https://x.org/a_(b)") + ")."),
        ("**https://x.org**", f"<strong>{link('https://x.org', 'https://x.org')}</strong>"),
        ("https://x.org/?a=1&b=2#c", link("https://x.org/?a=1&amp;b=2#c", "https://x.org/?a=1&amp;b=2#c")),
        ("http://localhost:8000/", link("http://localhost:8000/", "http://localhost:8000/")),
        ("[https://x.org](https://y.org)", link("https://y.org", "https://x.org")),
        ("`https://x.org`", "<code>https://x.org</code>"),
        ("xhttps://x.org", "xhttps://x.org"),
        ("https:// ftp://x.org javascript://x", "https:// ftp://x.org javascript://x"),
    ],
)
def test_bare_addresses_are_links(text: str, html: str) -> None:
    assert render(text) == p(html)


X = "<math><mi>x</mi></math>"
BLOCK_X = '<math display="block"><mi>x</mi></math>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("$x$", p(X)),
        ("\\(x\\)", p(X)),
        ("a $x$-b, ($x$).", p(f"a {X}-b, ({X}).")),
        ("**$x$**", p(f"<strong>{X}</strong>")),
        ("$x^2$", p("<math><msup><mi>x</mi><mn>2</mn></msup></math>")),
        ("a $$x$$ b", p(f"a {BLOCK_X} b")),
        ("a \\[x\\] b", p(f"a {BLOCK_X} b")),
        ("$$x$$", f'<div class="math" tabindex="0">{BLOCK_X}</div>\n'),
        ("$$\nx\n$$", f'<div class="math" tabindex="0">{BLOCK_X}</div>\n'),
        ("\\[\nx\n\\]", f'<div class="math" tabindex="0">{BLOCK_X}</div>\n'),
        ("a\n$$\nx\n$$\nb", p("a") + f'<div class="math" tabindex="0">{BLOCK_X}</div>\n' + p("b")),
        ("$\\nope$", p("<code>$\\nope$</code>")),
        ("\\(\\nope\\)", p("<code>\\(\\nope\\)</code>")),
        ("$$\n\\nope\n$$", '<div class="math" tabindex="0"><code>$$\n\\nope\n$$</code></div>\n'),
        ("$5 and $10", p("$5 and $10")),
        ("$5–$10, US$20 and 3$", p("$5–$10, US$20 and 3$")),
        ("$ x $", p("$ x $")),
        ("$PATH:$HOME", p("$PATH:$HOME")),
        ("\\$x\\$", p("$x$")),
        ("`$x$`", p("<code>$x$</code>")),
        ("$$", p("$$")),
        ("$$\na", p("$$<br>\na")),
        ("$$\na\n\nb\n$$", p("$$<br>\na") + p("b<br>\n$$")),
    ],
)
def test_formulas(text: str, html: str) -> None:
    assert render(text) == html


def test_a_formula_in_a_list_may_look_like_markdown() -> None:
    html = render("- a\n\n  $$\n  x\n  = y\n  - z\n  $$\n")

    assert "<mi>x</mi><mo>=</mo><mi>y</mi><mo>−</mo><mi>z</mi>" in html
    assert html.count("<li>") == 1


def test_aligned_equations_align_by_class() -> None:
    html = render("\\begin{align*}\na &= b \\\\\nc &= d\n\\end{align*}")

    assert '<mtd class="align-right"><mi>a</mi></mtd>' in html
    assert " style=" not in html


@pytest.mark.parametrize("formula", ["{" * 50_000, "\\sqrt" * 2_000 + "x", "{" * 900 + "}" * 900, "1+" * 3_000 + "1"])
def test_a_formula_beyond_the_limits_is_shown_as_its_source(formula: str) -> None:
    assert "<math" not in render(f"$${formula}$$")
    assert "<math" not in render(f"$$\n{formula}\n$$")


def test_an_ordinary_formula_is_far_from_the_limits() -> None:
    lines = r"\frac{\partial f_{i}}{\partial x_{j}} &= \sum_{k=1}^{n} \alpha_{k} \cdot \sqrt{x_{k}^{2} + 1} \\ " * 20

    assert "<math" in render(f"\\begin{{align}}\n{lines}\n\\end{{align}}")


def test_blocks_are_rendered_one_by_one() -> None:
    env: dict[str, Any] = {}
    pieces = list(blocks(parse("# a\n\nb\n\n- c\n\n  d\n\n***\n\n```\ne\n```\n\n$$f$$\n\n|g|\n|-|", env)))

    assert [piece[0].type for piece in pieces] == [
        "heading_open",
        "paragraph_open",
        "bullet_list_open",
        "hr",
        "fence",
        "math_block",
        "table_open",
    ]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_each_block_of_a_document_is_one_element_and_independent(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    env: dict[str, Any] = {}
    pieces = list(blocks(parse(text, env)))
    rendered = [render_block(piece, env) for piece in pieces]

    assert list(chain.from_iterable(pieces)) == parse(text, {})
    assert "".join(reversed([render_block(piece, env) for piece in reversed(pieces)])) == render(text)
    for html in rendered:
        tag = re.match(r"<(\w+)", html)
        assert tag
        assert html.endswith(f"</{tag[1]}>\n") or html == "<hr>\n"


def test_definitions_of_links_are_shared_through_the_environment() -> None:
    env: dict[str, Any] = {}
    parse("[a]: https://x.org\n", env)

    tokens = parse("[a]", env)

    assert render_block(tokens, env) == p(link("https://x.org", "a"))


# From public reports about other chat pages.
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("| Step | Do |\n|---|---|\n| 1 | open<br>close<br/>stop |", ["<td>open<br>\nclose<br>\nstop</td>"]),
        ("H<sub>2</sub>O, x<sup>2</sup>, <kbd>Ctrl</kbd>", ["<sub>2</sub>", "<sup>2</sup>", "<kbd>Ctrl</kbd>"]),
        (
            "<details>\n<summary>More</summary>\n\nhidden *text*\n\n</details>",
            ["<details>\n<summary>More</summary>", "hidden <em>text</em>"],
        ),
        (
            "**「重要」**です。**注意：**请不要。这是**“重点”**内容。",
            ["<strong>「重要」</strong>", "<strong>注意：</strong>", "<strong>“重点”</strong>"],
        ),
        (
            "请看 https://example.com/docs（说明）了解，或 https://example.com/guide，详见",
            [">https://example.com/docs</a>（说明）了解，", ">https://example.com/guide</a>，详见"],
        ),
        ("Fact[^1].\n\n[^1]: Smith", [">1</a></sup>.</p>", ">1</a> Smith</p>"]),
        ("```python:app/main.py\nprint(1)\n```", ["python · app/main.py", '<span class="nb">print</span>']),
        ("![pic](data:image/png;base64,iVBORw0KGgo=)", ["[pic]"]),
    ],
)
def test_what_models_write_is_shown_as_they_mean_it(text: str, parts: list[str]) -> None:
    html = render(text)

    assert [part for part in parts if part not in html] == []
    assert not [raw for raw in ("&lt;", "**", "[^", "base64", "https://example.com/docs（") if raw in html]


def test_the_version_is_a_number() -> None:
    assert RENDERER >= 1


@settings(deadline=None)
@given(st.text())
def test_any_text_renders_the_same_twice(text: str) -> None:
    assert render(text) == render(text)


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_lone_surrogates_do_no_harm(text: str) -> None:
    render(text).encode()


def each_long(*pieces: str) -> list[Any]:
    """Parameters that only `--long` tries."""
    return [pytest.param(piece, marks=pytest.mark.long) for piece in pieces]


@pytest.mark.parametrize(
    "piece",
    [
        *some('[]*_`~$!<>&\\|#-\n\t:("{', 3),
        *("\\[\n", "|a", "- a\n  - b\n"),
        *each_long("![", "> ", "```\n"),
        *each_long(
            "[](", "](", "**a ", "\\(", "\\[", "$$\n", "$a ", "- ", "1. ", "[a]: b\n", "[a](<", "https://", "http://a "
        ),
        *each_long(
            "https://)", "|a|b|\n|-|-|\n", "~~~\n", "\\begin{align}\n", "$a$", "- [ ] a\n", "&#", "\u202e", "\0"
        ),
        *each_long("\ud800", "<!--", "a\n=\n", "![a](http://a)"),
    ],
)
def test_a_hundred_kilobytes_of_anything_take_seconds_at_most(piece: str) -> None:
    started = time.thread_time()

    render((piece * 100_000)[:100_000])

    assert time.thread_time() - started < 8  # 2.4 s for the slowest of them, on one busy core


@pytest.mark.parametrize(
    "text",
    [
        ">" * 50_000 + "a",
        "".join(" " * depth + "- a\n" for depth in range(600)),
        "[" * 20_000 + "a" + "](b)" * 20_000,
        "*a **b " * 10_000,
        "|a" * 500 + "|\n" + "|-" * 500 + "|\n" + "|b\n" * 5_000,
        "".join(f"[a{n}]: https://x.org\n" for n in range(2_000)) + "[a1]" * 2_000,
    ],
)
def test_deep_nesting_and_wide_tables_are_bounded(text: str) -> None:
    started = time.thread_time()

    render(text)

    assert time.thread_time() - started < 8


@pytest.mark.parametrize(
    "text",
    [
        "".join("  " * depth + f"- word{depth}.\n" for depth in range(30)) + "\nafter",
        "".join("   " * depth + f"1. word{depth}.\n" for depth in range(30)) + "\nafter",
        "".join("> " * (depth + 1) + f"word{depth}.\n>\n" for depth in range(30)) + "\nafter",
        ">" * 30 + " word0.\n\nafter",
        "  " * 8 + "\n".join("> - " * depth + f"word{depth}." for depth in range(30)) + "\n\nafter",
        "<details>\n\n" * 30 + "word0.\n\n" + "</details>\n\n" * 30 + "after",
        "".join("  " * depth + f"- x\n\n  {'  ' * depth}[^{depth}]: word{depth}.\n\n" for depth in range(30)) + "after",
    ],
)
def test_deep_nesting_loses_no_word(text: str) -> None:
    live = LiveRenderer()

    html = render(text)
    live.feed(text)
    live.finish()

    assert re.findall(r"word\d+\.|after", html) == re.findall(r"word\d+\.|after", text)
    assert live.html == html


def test_a_text_beyond_all_measure_stays_as_it_is_written():
    text = "![<b>" * 20_001

    html = render(text)

    assert html == '<p class="message__plain">' + "![&lt;b&gt;" * 20_001 + "</p>\n"
