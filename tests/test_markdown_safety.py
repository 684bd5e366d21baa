"""Whatever a model writes, a browser's parser finds only harmless elements in what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygments.token import STANDARD_TYPES

from tests.samples import some
from webapp.markdown import render

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.md"))
HTML = "{http://www.w3.org/1999/xhtml}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"

# Written out here once more: a tag that is allowed by mistake has to be allowed twice.
ATTRIBUTES = {
    **{tag: {"dir"} for tag in ("p", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table")},
    **{tag: set() for tag in ("hr", "br", "em", "strong", "s", "b", "i", "label", "figcaption")},
    **{tag: set() for tag in ("sub", "kbd", "mark", "u", "details", "summary")},
    **{tag: set() for tag in ("thead", "tbody", "tr")},
    **{tag: {"class"} for tag in ("code", "span", "figure", "th", "td")},
    "li": {"class", "id"},
    "sup": {"id"},
    "section": {"class", "role"},
    "ol": {"dir", "start"},
    "div": {"class", "tabindex"},
    "pre": {"tabindex"},
    "input": {"type", "disabled", "checked"},
    "a": {"href", "title", "rel", "role"},
}
MATH_TAGS = set(
    """
    math mrow mi mn mo ms mtext mspace msup msub msubsup mfrac msqrt mroot mover munder munderover mmultiscripts
    mprescripts mtable mtr mtd mpadded mphantom menclose mstyle merror
    """.split()  # noqa: SIM905
)
MATH_ATTRIBUTES = set(
    """
    display displaystyle scriptlevel stretchy lspace rspace minsize maxsize symmetric largeop movablelimits form
    width height depth voffset linethickness mathvariant columnspan notation accent accentunder class
    """.split()  # noqa: SIM905
)
CLASSES = {"notes", "code", "hl", "table", "math", "task", "align-left", "align-center", "align-right"}
CLASSES |= set(STANDARD_TYPES.values())


def assert_harmless(html: str) -> None:
    parser = html5lib.HTMLParser()
    for element in elements(parser.parseFragment(html)):
        check_element(element)


def elements(fragment: Element) -> Iterator[Element]:
    found = fragment.iter()
    next(found)
    return found


def check_element(element: Element) -> None:
    tag = element.tag
    assert isinstance(tag, str), "a comment"
    if tag.startswith(MATHML):
        assert tag.removeprefix(MATHML) in MATH_TAGS
        assert set(element.attrib) <= MATH_ATTRIBUTES
    else:
        assert tag.startswith(HTML)
        assert set(element.attrib) <= ATTRIBUTES[tag.removeprefix(HTML)]
    assert set(element.get("class", "").split()) <= CLASSES
    assert re.fullmatch(r"(fn(ref)?-[0-9a-f]{8})?", element.get("id", ""))
    assert element.get("role", "") in ("", "doc-noteref", "doc-backlink", "doc-endnotes")
    if tag == f"{HTML}a":
        check_link(element)
    if tag == f"{HTML}input":
        assert element.get("type") == "checkbox"
        assert element.get("disabled") == ""


def check_link(link: Element) -> None:
    href = link.get("href", "https://x.org")  # the second fence takes away what is no address at all
    assert re.match(r"(?i)(https?://[^/?#\\]|mailto:[^/]|#fn(ref)?-[0-9a-f]{8}\Z)", href)
    assert not re.search(r"[\s\x00-\x20\\]", href)
    assert link.get("rel") == "noopener noreferrer nofollow"
    assert "".join(link.itertext()).strip() or list(link), "a link that nobody can read"


ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//x.org/y.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<math href='javascript:alert(1)'>x</math>",
    "<form action=/logout><button>go</button></form>",
    "<a href='javascript:alert(1)'>x</a>",
    "<p style='background:url(//x.org)' id=main class=error data-stream=/m/1>",
    "<details open ontoggle=alert(1)>",
    "<br onclick=alert(1)><br/onload=alert(1)><br style=x>",
    "<sub onclick=alert(1)>x</sub><kbd/onclick=alert(1)>x</kbd><mark id=main>x</mark><u class=error>x</u>",
    "<sub><sup><kbd><mark><u>x</sub></sup></kbd></mark></u>",
    "</sub></p></div></article><script>alert(1)</script>",
    "<sub><script>alert(1)</script></sub><u><img src=x onerror=alert(1)></u>",
    "<details>\n<summary><script>alert(1)</script></summary>\n\n<img src=x onerror=alert(1)>\n\n</details>",
    "<details><summary>x<details></summary></details></details>\n</summary></details>",
    "<details>\n<summary>\n<details>\n\n</div></article>\n</details",
    "<details>\n\n```html\n</details><script>alert(1)</script>",
    "| <details><summary>x</td><script>alert(1)</script> | </details> |\n|-|-|\n| </summary> | <sub> |",
    "<summary>x</summary> <\u017fub>x</\u017fub> <\u212abd>x</\u212abd> <sub\n>x</sub\n>",
    "[<sub></sub>](https://x.org) <sub>[x</sub>](https://x.org) [<br>](https://x.org)",
    "a[^main] b[^<script>] c[^m-1]\n\n[^main]: <script>alert(1)</script>\n[^<script>]: x\n[^m-1]: javascript:alert(1)",
    "a[^\"onclick=alert(1)] b[^'>]\n\n[^\"onclick=alert(1)]: x\n[^'>]: <img src=x onerror=alert(1)>",
    "[^1]: [^2]: [^3]: > - [^4]: <script>alert(1)</script>\n[a[^1]](javascript:x) ![a[^1]](https://x.org) [^1][^2]",
    '<a href="#fn-00000000" id="fnref-00000000">x</a><li id="fn-00000000">x</li>',
    "<style>@import '//x.org'</style><link rel=stylesheet href=//x.org><base href=//x.org><meta http-equiv=refresh>",
    "<!-- --><!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?><!DOCTYPE html><template><script>",
    "</div></article></main><script>alert(1)</script>",
    "</code></pre></figure><script>alert(1)</script>",
    "<div\n\nonclick=alert(1)>\n\n</div>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
    "\\<script\\>alert(1)\\</script\\>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A&#x61vascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](<java\nscript:alert(1)>)",
    "[x](<\x01javascript:alert(1)>)",
    "[x](\u00a0javascript:alert(1))",
    "[x](<  javascript:alert(1)>)",
    "[x](java%0ascript:alert(1))",
    "[x](javascript://https://x.org/%0aalert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd) [x](blob:https://x.org/1) [x](intent://x) [x](tel:1) [x](about:blank)",
    "[x](view-source:https://x.org) [x](feed:javascript:alert(1)) [x](jar:https://x.org!/)",
    "[x](//x.org) [x](/\\x.org) [x](\\\\x.org) [x](https:x.org) [x](https:/x.org) [x](https:\\\\x.org) [x](http:///x)",
    "[x](/logout) [x](logout) [x](?a) [x](#a) [x](.) [x](../admin)",
    '[x](https://x.org/" onmouseover="alert(1))',
    "[x](https://x.org/&quot; onmouseover=&quot;alert(1))",
    "[x](https://x.org 'a\" onmouseover=\"alert(1)')",
    '[x](https://x.org "&quot; onmouseover=&quot;alert(1)")',
    "[x](https://x.org/<script>alert(1)</script>)",
    "[<script>alert(1)</script>](https://x.org)",
    "[x](https://x.org\u202e/gro.y) [\u202egro.y//:sptth](https://x.org)",
    "[x](ｊavascript:alert(1)) [x](javaſcript:alert(1)) [x](https：//x.org)",
    "[x][a]\n\n[a]: javascript:alert(1)",
    "[x][a]\n\n[a]: https://x.org '\"><script>alert(1)</script>'",
    "[x][<script>]\n\n[<script>]: https://x.org",
    "[a]: <javascript:alert(1)> 'x'\n[a] ![a]",
    "<javascript:alert(1)> <data:text/html,x> <vbscript:x> <JAVASCRIPT:alert(1)>",
    "<https://x.org/\"onmouseover=alert(1)> <https://x.org/'><script>",
    "https://x.org/\"onmouseover=alert(1) https://x.org/<script> https://x.org/'onclick='alert(1)",
    "javascript:https://x.org/ https://javascript:alert(1)@x.org/ https://",
    "![x](javascript:alert(1)) ![x](data:image/svg+xml,<svg onload=alert(1)>) ![x](//x.org/y.png) ![x](y.png)",
    "![<img src=x onerror=alert(1)>](https://x.org/y.png)",
    '![" onerror="alert(1)](https://x.org/y.png "\\" onload=alert(1)")',
    "![![a](https://x.org)](https://y.org) [![a](javascript:x)](javascript:y) [[a](https://x.org)](https://y.org)",
    "[![a](https://x.org) <https://y.org> https://z.org](https://w.org)",
    "![](https://x.org) [](https://x.org) [ ](https://x.org) [![](https://x.org)](https://y.org)",
    '```"><script>alert(1)</script>\nx\n```',
    "```html onload=alert(1)\n<script>alert(1)</script>\n```",
    '```python" class="error\n1\n```',
    "```html\n</code></pre></figure><script>alert(1)</script>\n```",
    "```php\n<?php echo '<script>'; ?><img src=x onerror=alert(1)>\n```",
    "~~~&quot;&gt;&lt;script&gt;\nx\n~~~",
    "    </code><script>alert(1)</script>",
    "`</code><script>alert(1)</script>`",
    "| <script>alert(1)</script> | `</td><script>` |\n|:-:|--:|\n| <img src=x onerror=alert(1)> | [x](javascript:y) |",
    '| a |\n|:-" onclick="alert(1)|\n| b |',
    "- [x] <script>alert(1)</script>\n- [ ] [x](javascript:y)\n- [x]</label><img src=x onerror=alert(1)>",
    "> > > <script>alert(1)</script>\n> > - > ```\n> > - > <script>",
    "# <script>alert(1)</script> {#id .class onclick=alert(1)}",
    "$<script>alert(1)</script>$ $$<img src=x onerror=alert(1)>$$",
    "$\\text{<script>alert(1)</script>}$ $\\text{</mtext></math><img src=x onerror=alert(1)>}$",
    "$\\href{javascript:alert(1)}{x}$ $\\url{javascript:alert(1)}$ $\\includegraphics{//x.org/y.png}$",
    "$\\class{error}{x}$ $\\style{color:red}{x}$ $\\cssId{main}{x}$ $\\htmlData{stream=/m/1}{x}$ $\\htmlId{a}{x}$",
    '$\\color{red" onclick="alert(1)}x$ $\\textcolor{javascript:alert(1)}{x}$ $\\color{red}{x}$',
    '$\\operatorname{<script>}$ $\\mathrm{<img>}$ $\\textbf{<b onclick=alert(1)>}$ $\\hspace{1em" onclick="x}$',
    "$\\eqref{a}$ $\\eqref{javascript:alert(1)}$ \\begin{equation}\nx\\label{main}\\tag{<script>}\n\\end{equation}",
    "\\begin{equation}\nx \\label{main}\n\\end{equation}",
    "\\(<script>alert(1)</script>\\) \\[<svg onload=alert(1)>\\] $\\unicode{60}$ $\\char60 script>$",
    "$$\n</math></div><script>alert(1)</script>\n$$",
    '$\\begin{array}{c" onclick="x}1\\end{array}$ $\\genfrac{<}{>}{1pt" onclick="x}{}{a}{b}$',
    "\u202e<script>\u202c \u2066[x](javascript:alert(1))\u2069 \ufeff<img src=x>",
    "\ud83d\ude00 \ud800<script>\udc00 \x00<script\x00>alert(1)</script\x00>",
    "<scr\x00ipt>alert(1)</scr\x00ipt> [x](java\x00script:alert(1))",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_is_only_text(text: str) -> None:
    assert_harmless(render(text))


@pytest.mark.parametrize(
    "around", ["> {}", "- {}", "# {}", "**{}**", "[{}](https://x.org)", "|{}|\n|-|\n|{}|", "${}$", "`{}"]
)
@pytest.mark.parametrize("text", some(ATTACKS, 3))
def test_an_attack_inside_something_else_is_only_text(text: str, around: str) -> None:
    assert_harmless(render(around.replace("{}", text)))


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_that_is_cut_anywhere_is_only_text(text: str) -> None:
    for end in range(len(text)):
        assert_harmless(render(text[:end]))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_real_answer_is_harmless_too(path: Path) -> None:
    assert_harmless(render(path.read_text(encoding="utf-8")))


def test_html_is_shown_as_it_was_written() -> None:
    text = "<script>alert(1)</script>"

    assert render(text) == f'<p dir="auto">{text.replace("<", "&lt;").replace(">", "&gt;")}</p>\n'


def test_the_checker_itself_notices_what_it_must() -> None:
    for html in (
        "<script></script>",
        "<p onclick=x>",
        "<p id=x>",
        "<img>",
        "<!-- -->",
        "<svg></svg>",
        '<a href="/x" rel="noopener noreferrer nofollow">x</a>',
        '<a href="https://x.org">x</a>',
        '<span class="error">x</span>',
        "<input type=text disabled>",
        "<math><maction>x</maction></math>",
        "<math href=x>x</math>",
        "<sup id=main>x</sup>",
        '<a href="#main" rel="noopener noreferrer nofollow">x</a>',
    ):
        with pytest.raises((AssertionError, KeyError)):
            assert_harmless(html)


FRAGMENTS = st.sampled_from(
    [
        *("<script>", "</script>", "<img src=x onerror=alert(1)>", "<svg/onload=x>", "<!--", "-->", "<a href=", ">"),
        *(
            "javascript:",
            "data:text/html,",
            "https://x.org",
            "http://",
            "mailto:a",
            "//x.org",
            "/x",
            "&colon;",
            "&#106;",
        ),
        *("[", "]", "(", ")", "](", "![", "[a]: ", "[a]", "<", '"', "'", "`", "```", "~~~", "*", "**", "_", "~~", "\\"),
        *(
            "$",
            "$$",
            "\\(",
            "\\)",
            "\\[",
            "\\]",
            "\\text{",
            "\\href{",
            "{",
            "}",
            "\\begin{align}",
            "\\end{align}",
            "^2",
        ),
        *(
            "|",
            "|-|",
            "\n",
            "\n\n",
            "    ",
            "> ",
            "- ",
            "1. ",
            "# ",
            "- [x] ",
            "html",
            "python",
            "&lt;",
            "&quot;",
            "\x00",
        ),
        *("[^1]", "[^1]: ", "[^", "\n[^a]: ", "    "),
        *("<br>", "<sub>", "</sub>", "<u>", "</u>", "<details>", "</details>", "<summary>", "</summary>", "</"),
        *("\u202e", "\u2028", "\ud800", "é", "я", "ש", "a", " ", "\t", "onclick=x", "</code>", "</math>", "<mtext>"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(FRAGMENTS, max_size=40).map("".join))
def test_no_mixture_of_fragments_gets_through(text: str) -> None:
    assert_harmless(render(text))
