"""HTML tags that models write: those that do no harm work, and nothing that a model forgets hides the rest."""

from __future__ import annotations

import time

import pytest

from tests.samples import some
from tests.test_patches import assert_stays, cuts, elements_of, run, shown
from webapp.markdown import render
from webapp.patches import LiveRenderer


def p(html: str) -> str:
    return f'<p dir="auto">{html}</p>\n'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a<br>b<br/>c<BR />d</br>e<br >f", "a<br>\nb<br>\nc<br>\nd<br>\ne<br>\nf"),
        ("a<br>\nb", "a<br>\nb"),
        ("a<br><br>b", "a<br>\n<br>\nb"),
        ("H<sub>2</sub>O, x<sup>2</sup>", "H<sub>2</sub>O, x<sup>2</sup>"),
        ("<kbd>Ctrl</kbd>+<KBD>C</KBD>", "<kbd>Ctrl</kbd>+<kbd>C</kbd>"),
        ("<mark>a *b*</mark> <u>c</u>", "<mark>a <em>b</em></mark> <u>c</u>"),
        ("**<u>a</u>** 字**<u>「字」</u>**字", "<strong><u>a</u></strong> 字<strong><u>「字」</u></strong>字"),
        ("x<sub>i<sup>2</sup></sub>", "x<sub>i<sup>2</sup></sub>"),
        ("<sub>a\nb</sub>", "<sub>a<br>\nb</sub>"),
        ("<sub>a", "&lt;sub&gt;a"),
        ("a</sub>", "a&lt;/sub&gt;"),
        ("<sub>a<sup>b</sub>", "<sub>a&lt;sup&gt;b</sub>"),
        ("*a <sub>b* c</sub>", "<em>a &lt;sub&gt;b</em> c&lt;/sub&gt;"),
        ("<sub>*a</sub>*", "&lt;sub&gt;<em>a&lt;/sub&gt;</em>"),
        ("`<sub>a</sub><br>`", "<code>&lt;sub&gt;a&lt;/sub&gt;&lt;br&gt;</code>"),
        ("\\<br> &lt;br&gt;", "&lt;br&gt; &lt;br&gt;"),
        ('<sub class="a">b</sub>', '&lt;sub class="a"&gt;b&lt;/sub&gt;'),
        ("<sub/>a <b>c</b> <span>d</span>", "&lt;sub/&gt;a &lt;b&gt;c&lt;/b&gt; &lt;span&gt;d&lt;/span&gt;"),
        ("<summary>a</summary></details>", "&lt;summary&gt;a&lt;/summary&gt;&lt;/details&gt;"),
        ("a <details> b", "a &lt;details&gt; b"),
    ],
)
def test_tags_within_a_line(text: str, html: str) -> None:
    assert render(text) == p(html)


def test_tags_work_in_a_table_a_list_a_heading_and_a_link() -> None:
    html = render("| a<br>b | H<sub>2</sub> |\n|-|-|\n\n- <kbd>c</kbd>\n\n# x<sup>2</sup>\n\n[<u>d</u>](https://x.org)")

    for part in (
        "<th>a<br>\nb</th>",
        "<th>H<sub>2</sub></th>",
        "<li><kbd>c</kbd></li>",
        "x<sup>2</sup></h3>",
        "><u>d</u></a>",
    ):
        assert part in html


def details(summary: str, content: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n{content}</details>\n"


FOLDED = [
    ("<details>\n<summary>More</summary>\n\nhidden *text*\n\n</details>", details("More", p("hidden <em>text</em>"))),
    ("<details><summary>a</summary>b</details>", details("a", p("b"))),
    ("<details>\n<summary>a *b*</summary>\nc\n</details>", details("a <em>b</em>", p("c"))),
    ("<details>\n  <summary>\n    a\n  </summary>\n  b\n</details>", details("a", p("b"))),
    ("<DETAILS>\n<Summary>a</summary>\n\nb</Details>", details("a", p("b"))),
    ("<details>\n\nb\n\n</details>", f"<details>\n{p('b')}</details>\n"),
    ("<details>\n<summary>a</summary>\n</details>", details("a", "")),
    ("a\n<details><summary>b</summary>c</details>\nd", p("a") + details("b", p("c")) + p("d")),
    ("<details>\n<summary>a\n\nb\n</details>", details("a", p("b"))),
    (
        "<details>\n<summary>a</summary>\n<details>\n<summary>b</summary>\nc\n</details>\n</details>\nd",
        details("a", details("b", p("c"))) + p("d"),
    ),
    (
        "<details><summary>a</summary><details><summary>b</summary>c</details></details>",
        details("a", details("b", p("c"))),
    ),
    (
        "<details>\n<summary>a</summary>\n\n- b\n- c\n</details>\nd",
        details("a", '<ul dir="auto">\n<li>b</li>\n<li>c</li>\n</ul>\n') + p("d"),
    ),
    (
        "<details>\n<summary>a</summary>\n\n~~~\n</details>\n~~~\n</details>",
        details(
            "a",
            '<figure class="code"><figcaption></figcaption><pre tabindex="0"><code class="hl">&lt;/details&gt;\n'
            "</code></pre></figure>\n",
        ),
    ),
    (
        "<details>\n<summary>a</summary>\n\nSay `<details>` or <details> here.\n\n</details>\nd",
        details("a", p("Say <code>&lt;details&gt;</code> or &lt;details&gt; here.")) + p("d"),
    ),
    (
        "- a\n\n  <details>\n  <summary>b</summary>\n\n  c\n\n  </details>\n- d",
        f'<ul dir="auto">\n<li>\n<p>a</p>\n{details("b", "<p>c</p>" + chr(10))}</li>\n<li>\n<p>d</p>\n</li>\n</ul>\n',
    ),
    (
        "> <details>\n> <summary>a</summary>\n>\n> b\n> </details>\n\nc",
        f'<blockquote dir="auto">\n{details("a", "<p>b</p>" + chr(10))}</blockquote>\n' + p("c"),
    ),
    (
        "|a|\n|-|\n|<details><summary>b</summary>c<br>d</details>|",
        '<div class="table" tabindex="0"><table dir="auto">\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n'
        "<tbody>\n<tr>\n<td><details><summary>b</summary>c<br>\nd</details></td>\n</tr>\n</tbody>\n</table></div>\n",
    ),
]


@pytest.mark.parametrize(("text", "html"), FOLDED)
def test_details_fold_blocks_away(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize("text", [text for text, _html in FOLDED])
def test_details_grow_as_they_end(text: str) -> None:
    for pieces in cuts(text + "\n"):
        run(pieces)
    assert_stays(list(text + "\n"))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<details>\n<summary>a</summary>\n\nb", p("&lt;details&gt;<br>\n&lt;summary&gt;a&lt;/summary&gt;") + p("b")),
        ("a\n\n</details>\n\nb", p("a") + p("&lt;/details&gt;") + p("b")),
        (
            "<details>\n<summary>a</summary>\n\n<details>\n<summary>b</summary>\nc\n</details>\n\nd",
            p("&lt;details&gt;<br>\n&lt;summary&gt;a&lt;/summary&gt;") + details("b", p("c")) + p("d"),
        ),
        (
            "- <details>\n\na\n\n</details>\n",
            '<ul dir="auto">\n<li>&lt;details&gt;</li>\n</ul>\n' + p("a") + p("&lt;/details&gt;"),
        ),
        ("<details open>\n\na\n\n</details>", p("&lt;details open&gt;") + p("a") + p("&lt;/details&gt;")),
    ],
)
def test_details_without_an_end_hide_nothing(text: str, html: str) -> None:
    assert render(text) == html
    run(list(text))


def test_no_word_is_lost_however_deep_details_are() -> None:
    html = render("<details>\n" * 30 + "deep\n" + "</details>\n" * 30)

    assert "deep" in html
    assert html.count("<details>") == html.count("</details>") > 5
    elements_of(html)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a<b", "a"),
        ("a<br", "a"),
        ("a<br /", "a"),
        ("H<sub", "H"),
        ("H<sub>", "H"),
        ("H<sub>2", "H<sub>2</sub>"),
        ("H<sub>2</su", "H<sub>2</sub>"),
        ("**<u>a", "<strong><u>a</u></strong>"),
        ("<u>**a", "<u><strong>a</strong></u>"),
    ],
)
def test_a_half_typed_tag_is_closed_or_held_back(text: str, html: str) -> None:
    assert shown(text) == p(html)


@pytest.mark.parametrize("text", ["<", "<deta", "<details>", "<details>\n", "<details>\n<summ", "<details>\n<summary>"])
def test_details_are_shown_from_their_summary_on(text: str) -> None:
    assert shown(f"a\n\n{text}") == p("a")


def test_words_go_into_open_details_one_by_one() -> None:
    live = LiveRenderer()
    live.feed("<details>\n<summary>a")

    assert live.feed(" b") == [("a", 0, 2, " b")]
    assert live.feed("</summary>\n\nc") == [("+", 0, 1, p("c"))]
    assert live.feed(" d") == [("a", 0, 2, " d")]
    assert live.feed("\n</det") == []
    assert live.feed("ails>\n\ne") == [("=", 1, 0, p("e"))]


def test_long_details_end_as_if_rendered_whole() -> None:
    text = "<details>\n<summary>a</summary>\n\n" + "A paragraph of *some* words.\n\n" * 60 + "</details>\n\nb\n"
    for pieces in cuts(text)[2:]:
        run(pieces)
    assert_stays(cuts(text)[2])


@pytest.mark.parametrize(
    "piece", some(["<details>\n", "<details>", "</details>", "<sub>", "<br>", "<details>\n<summary>\n"], 3)
)
def test_many_tags_take_seconds_at_most(piece: str) -> None:
    started = time.thread_time()

    render((piece * 100_000)[:100_000])

    assert time.thread_time() - started < 8
