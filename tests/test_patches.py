"""A growing text in patches: never raw marks, never other HTML than the whole text gives at the end."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.samples import some
from tests.test_markdown_safety import ATTACKS, FRAGMENTS, assert_harmless
from webapp.markdown import render
from webapp.patches import LiveRenderer, Patch
from webapp.rendering.lines import ColouredLines

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.md"))
LONGEST = {"code_many_languages", "guide"}  # what they hold the other answers hold too
EACH_ANSWER = [pytest.param(path, marks=pytest.mark.long if path.stem in LONGEST else ()) for path in CORPUS]
SPEC = json.loads((Path(__file__).parent / "corpus" / "commonmark.json").read_text(encoding="utf-8"))["examples"]
# As models cut words: a blank goes with the word that follows.
TOKEN = re.compile(r"\n+|[ \t]{2,}|[ ]?[^\W\d_]{1,6}|[ ]?\d{1,3}|[ ]?[^\w\s]{1,2}|.", re.DOTALL)


# A page, as static/app.js changes it


@dataclass
class Element:
    tag: str
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    nodes: list[Element | str] = field(default_factory=list)

    @property
    def elements(self) -> list[Element]:
        return [node for node in self.nodes if isinstance(node, Element)]

    def append(self, nodes: Iterable[Element | str]) -> None:
        for node in nodes:
            if isinstance(node, str) and self.nodes and isinstance(self.nodes[-1], str):
                self.nodes[-1] += node
            elif node:
                self.nodes.append(node)

    def replace(self, element: Element, nodes: Iterable[Element | str]) -> None:
        index = next(index for index, node in enumerate(self.nodes) if node is element)
        all_nodes = [*self.nodes[:index], *nodes, *self.nodes[index + 1 :]]
        self.nodes = []
        self.append(all_nodes)

    def text(self) -> str:
        return "".join(node if isinstance(node, str) else node.text() for node in self.nodes)


class Builder(HTMLParser):
    """What comes out of the renderer is well-formed: each tag is closed, each `<` escaped."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("body")]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = Element(tag, attributes)
        self.open[-1].append([element])
        if tag not in ("br", "hr", "input"):
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].append([data])


def nodes_of(html: str) -> list[Element | str]:
    builder = Builder()
    builder.feed(html)
    builder.close()
    (body,) = builder.open
    return body.nodes


class Page:
    def __init__(self) -> None:
        self.body = Element("body")

    def apply(self, patch: Patch) -> None:
        json.dumps(patch)
        if patch[0] == "x":
            kept = self.body.elements[: patch[1]]
            self.body.nodes = [
                node for node in self.body.nodes if isinstance(node, str) or any(node is one for one in kept)
            ]
            return
        kind, index, depth, content = patch
        if kind == "=" and not depth and index == len(self.body.elements):
            self.body.append(nodes_of(content))
            return
        parent, node = self.body, self.body.elements[index]
        for _ in range(0 if kind == "=" else 1, depth):
            parent, node = node, node.elements[-1]
        if kind == "=":
            parent.replace(node, nodes_of(content))
        else:
            node.append([content] if kind == "a" else nodes_of(content))

    def elements(self) -> list[Element]:
        return self.body.elements


def elements_of(html: str) -> list[Element]:
    return [node for node in nodes_of(html) if isinstance(node, Element)]


def steps(pieces: Iterable[str]) -> Iterator[LiveRenderer]:
    """Feed the pieces; at each step the page must be what `html` says."""
    live, page = LiveRenderer(), Page()
    for piece in pieces:
        patches = live.feed(piece)
        for patch in patches:
            page.apply(patch)
        assert not patches or page.elements() == elements_of(live.html)
        yield live
    for patch in live.finish():
        page.apply(patch)
    assert live.html == render("".join(pieces))
    assert page.elements() == elements_of(live.html)
    assert live.finish() == []


def tokens(text: str) -> list[str]:
    return TOKEN.findall(text)


def cuts(text: str, seed: int = 0) -> list[list[str]]:
    """The text whole, by the character, as a model makes it, by four of these, and cut at random."""
    fine = tokens(text)
    rng = random.Random(seed)
    places = sorted(rng.choices(range(len(text) + 1), k=min(len(text), 12)))
    return [
        [text],
        list(text[:2_000]),
        fine,
        ["".join(fine[index : index + 4]) for index in range(0, len(fine), 4)],
        [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)],
    ]


def run(pieces: list[str]) -> None:
    for _ in steps(pieces):
        pass


@pytest.mark.parametrize("path", EACH_ANSWER, ids=lambda path: path.stem)
def test_an_answer_ends_as_if_rendered_whole(path: Path) -> None:
    for pieces in cuts(path.read_text(encoding="utf-8")):
        run(pieces)


@pytest.mark.parametrize("text", some(SPEC, 4))
def test_so_does_each_example_of_commonmark(text: str) -> None:
    for pieces in cuts(text):
        run(pieces)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=40))
def test_so_does_any_mixture_of_fragments(fragments: list[str]) -> None:
    run(fragments)
    run(list("".join(fragments)))


def text_of(html: str) -> str:
    """What a reader sees, without blanks."""
    return re.sub(r"\s", "", unescape(re.sub(r"<[^>]*>", "", html)))


REL = ' rel="noopener noreferrer nofollow"'
LATE = {"links"}  # its links are defined below the text that uses them


@pytest.mark.parametrize("path", EACH_ANSWER, ids=lambda path: path.stem)
def test_what_is_shown_stays(path: Path) -> None:
    """Each step shows the beginning of the final text: nothing half typed, nothing taken back, no block less."""
    text = path.read_text(encoding="utf-8")
    if path.stem in LATE:
        text = "\n".join(sorted(text.split("\n"), key=lambda line: not line.startswith("[")))
    for pieces in [list(text), *cuts(text)[2:]]:
        assert_stays(pieces)


def assert_stays(pieces: list[str]) -> None:
    final, live = text_of(render("".join(pieces))), LiveRenderer()
    for piece in pieces:
        if patches := live.feed(piece):
            assert final.startswith(text_of(live.html))
            assert "x" not in [kind for kind, *_ in patches]


def test_a_picture_in_the_text_never_shows_its_bytes() -> None:
    text = f"a ![b](data:image/png;base64,{'iVBORw0KGgo+/=' * 700}) c\n\nd"
    live = LiveRenderer()

    seen = set()
    for piece in tokens(text):
        live.feed(piece)
        seen.add(live.html)
    live.finish()

    assert not [html for html in seen if "iVBOR" in html or "base64" in html]
    assert live.html == p("a [b] c") + p("d") == render(text)


def test_a_table_after_a_long_table_stays() -> None:
    table = "| a | b |\n|---|---|\n" + "| one | two |\n" * 30

    assert_stays(list(table + "\n" + table + "\nWords | and bars\n\n" + table))


def test_a_table_whose_rows_have_too_many_cells_grows_to_the_same() -> None:
    text, live = "| a | b |\n|---|---|\n" + "| `x || y` | or |\n| 1 | 2 | 3 |\n" * 10, LiveRenderer()
    for character in text:
        live.feed(character)
    live.finish()

    assert live.html == render(text)


def shown(text: str) -> str:
    live = LiveRenderer()
    live.feed(text)
    return live.html


def p(html: str) -> str:
    return f'<p dir="auto">{html}</p>\n'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a **b", p("a <strong>b</strong>")),
        ("a **b\nc", p("a <strong>b<br>\nc</strong>")),
        ("a **b*", p("a <strong>b</strong>")),
        ("a ***b", p("a <em><strong>b</strong></em>")),
        ("a *b **c `d", p("a <em>b <strong>c <code>d</code></strong></em>")),
        ("a __b _c", p("a <strong>b <em>c</em></strong>")),
        ("a ~~b~", p("a <s>b</s>")),
        ("a **", p("a")),
        ("a 2 * 3", p("a 2 * 3")),
        ("a `", p("a")),
        ("a ``b `c", p("a <code>b `c</code>")),
        ("a [b", p("a")),
        ("a [b](https://x.or", p("a")),
        ("a [b](https://x.org/F_(", p("a")),
        ("a [b](https://x.org/F_(c", p("a")),
        ("a [b](https://x.org) c [d] e", p(f'a <a href="https://x.org"{REL}>b</a> c [d] e')),
        ("a ![b](https://x.or", p("a")),
        ("a!", p("a")),
        ("a https://x.or", p("a")),
        ("a <https://x.or", p("a")),
        ("a < b", p("a &lt; b")),
        ("a &am", p("a")),
        ("a \\", p("a")),
        ("a $x^2", p("a")),
        ("a \\(x", p("a")),
        ("a $5 to spend", p("a $5 to spend")),
        ("a $5, then $10, and", p("a $5, then $10, and")),
        ("a\n#", p("a")),
        ("a\n---", p("a")),
        ("a\n- ", p("a")),
        ("a\n12.", p("a")),
        ("a\n```py", p("a")),
        ("a\n>", p("a")),
        ("a\n$$\nx\n", p("a")),
        ("a\n\n[b]: https://x.or", p("a")),
        ("| a | b", ""),
        ("| a | b |\n|--", ""),
        ("- [x", ""),
        ("- **a", '<ul dir="auto">\n<li><strong>a</strong></li>\n</ul>\n'),
        ("> **a\n> b", '<blockquote dir="auto">\n<p><strong>a<br>\nb</strong></p>\n</blockquote>\n'),
        ("**a\n\nb", p("**a") + p("b")),
    ],
)
def test_what_is_half_typed_is_closed_or_held_back(text: str, html: str) -> None:
    assert shown(text) == html


def test_a_table_grows_by_rows_and_cells() -> None:
    live = LiveRenderer()
    live.feed("| a | b |\n|---|---|\n| 1 | ")

    assert live.feed("2") == [("a", 0, 5, "2")]
    assert live.feed(" |\n| 3") == [("+", 0, 3, "<tr>\n<td>3</td>\n<td></td>\n</tr>\n")]


def test_words_are_appended_where_they_stand() -> None:
    live = LiveRenderer()

    assert live.feed("Hello") == [("=", 0, 0, p("Hello"))]
    assert live.feed(", world") == [("a", 0, 1, ", world")]
    assert live.feed("\n\n- one **two") == [("=", 1, 0, '<ul dir="auto">\n<li>one <strong>two</strong></li>\n</ul>\n')]
    assert live.feed(" three") == [("a", 1, 3, " three")]
    assert live.feed("**\n- four") == [("+", 1, 1, "<li>four</li>\n")]


def test_code_is_coloured_line_by_line() -> None:
    live = LiveRenderer()
    live.feed("```python\n")

    assert live.feed("x =") == [("+", 0, 3, "<span>x =</span>")]
    assert live.feed(" 1") == [("a", 0, 4, " 1")]
    ((*place, first),) = live.feed("\n``")
    assert (place, first[:-1]) == (["=", 0, 3], shown("```python\nx = 1\n```").split('"hl">')[1].split("\n")[0])
    assert live.feed("`\n") == []
    assert live.finish() == []


def test_code_without_known_lines_is_coloured_when_it_ends() -> None:
    live = LiveRenderer()
    live.feed("```cpp\n")

    assert live.feed("x = 1") == [("a", 0, 3, "x = 1")]
    assert live.feed("\n``") == [("a", 0, 3, "\n")]
    (patch,) = live.feed("`\n")
    assert patch[:3] in [("=", 0, 0), ("=", 0, 1), ("=", 0, 2)]
    assert '<span class="n">x</span>' in live.html


OPEN_LINES = {
    "python": 'def f():\n    """One\n\n    two "three" `four`.\n    """\n    return f"{x!r}"  # it\'s\n',
    "javascript": "/**\n * it's `one`\n */\nconst a = `b\n ${c} \"d`;\n// e\n",
    "css": "/* one\n   two */\na > b {\n  color: red;\n}\n",
    "bash": "cat <<EOF\none\nEOF\necho \"two\nthree\" 'four'\n# five\n",
    "json": '{\n  "a": [1, true],\n  "b": {"c": null}\n}\n',
    "sql": "select 'it''s' -- one\nfrom a /* two\nthree */ where b = 1;\n",
    "go": "/* one\n*/\nfunc f() string {\n\treturn `two\nthree`\n}\n",
    "rust": '/// one\nfn f() -> &str {\n    /* two\n    */ "three"\n}\n',
    "ruby": '=begin\none\n=end\ndef f\n  "two #{x}"\nend\n',
    "xml": "<a b='c'>\n  <!-- one\n  two -->\n  text &amp; more\n</a>\n",
}


@pytest.mark.parametrize("language", OPEN_LINES)
def test_a_finished_line_keeps_its_colours(language: str) -> None:
    """Also in the middle of a comment or a string."""
    code = OPEN_LINES[language]
    final = render(f"```{language}\n{code}```\n").split('"hl">')[1].split("</code>")[0].split("\n")
    live = LiveRenderer()
    live.feed(f"```{language}\n")

    for number, line in enumerate(code.splitlines(keepends=True), 1):
        for piece in tokens(line):
            live.feed(piece)
        assert live.html.split('"hl">')[1].split("</code>")[0].split("\n")[:number] == final[:number]
    live.feed("```\n")

    assert live.finish() == []


def test_lines_of_code_are_lexed_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    lexed = []
    real = ColouredLines._lexed
    monkeypatch.setattr(ColouredLines, "_lexed", lambda self, code: (lexed.append(len(code)), real(self, code))[1])

    for code in ("x = f(1, 'a & b')  # <c>\n" * 400, '"""\n' + "words of a long string\n" * 400, "x\n" * 5_000):
        live = LiveRenderer()
        lexed.clear()
        for piece in tokens("```python\n" + code):
            live.feed(piece)
        assert sum(lexed) < 60 * len(code)


def test_a_link_defined_late_appears_at_the_end() -> None:
    live = LiveRenderer()
    live.feed("See [a].\n\nMore.\n\n")
    live.feed("[a]: https://x.org\n")

    assert live.finish() == [("=", 0, 0, p(f'See <a href="https://x.org"{REL}>a</a>.'))]


def test_nothing_is_repaired_at_the_end_of_a_corpus_answer() -> None:
    for path in CORPUS:
        if path.stem not in LATE:
            live = LiveRenderer()
            for token in tokens(path.read_text(encoding="utf-8")):
                live.feed(token)
            last = len(elements_of(live.html)) - 1
            assert all(index >= last for _, index, *_ in live.finish()), path.stem


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_is_harmless_at_each_step(text: str) -> None:
    for live in steps(list(text)):
        assert_harmless(live.html)


@settings(max_examples=50, deadline=None)
@given(st.lists(FRAGMENTS, max_size=20))
def test_a_mixture_of_fragments_is_harmless_at_each_step(fragments: list[str]) -> None:
    for live in steps(fragments):
        assert_harmless(live.html)


@pytest.mark.parametrize("path", EACH_ANSWER, ids=lambda path: path.stem)
def test_an_answer_is_harmless_at_each_step(path: Path) -> None:
    for number, live in enumerate(steps(tokens(path.read_text(encoding="utf-8")))):
        if number % 7 == 0:
            assert_harmless(live.html)


@pytest.mark.parametrize(
    "pieces", [["a\r", "\nb\r", "c"], ["a\0", "\ud800"], ["", "", "a", ""], ["```\n\0\r", "\n\ud83d", "\ude00"]]
)
def test_odd_characters_and_empty_pieces_are_fine(pieces: list[str]) -> None:
    run(pieces)


def test_a_caret_of_the_text_itself_stays() -> None:
    run(["a\ufdd0 ", "b **c", "\ufdd0 d", " e** \ufdd0", "\n```\n\ufdd0", "x\n"])
    assert shown("a \ufdd0b") == p("a \ufdd0b")


@pytest.mark.parametrize(
    "line",
    [
        "word [unclosed and *open and `open and $open\n",
        "- a loose item\n\n",
        "| a | b |\n|---|:-:|\n",
        *some(
            [
                "> a quote\n",
                "   ```python\n   x = 1\n",
                "word **word** and `code` and [a link](https://x.org) for ever ",
                "- an item with **words**\n",
                "3) an item\n   - with another\n",
                "   - nested\n",
                "    code\n",
            ],
            7,
        ),
    ],
)
def test_a_long_block_ends_as_if_rendered_whole(line: str) -> None:
    for pieces in cuts(line * 100)[2:]:
        run(pieces)


def test_a_list_that_becomes_loose_late_is_shown_loose() -> None:
    tight = "".join(f"- item number {number} of the list\n" for number in range(60))
    for pieces in cuts(f"{tight}\n- a loose one\n- the last")[2:]:
        run(pieces)


def test_a_text_may_go_on_after_its_end() -> None:
    live = LiveRenderer()
    live.feed("a **b")
    live.finish()

    live.feed("** c")
    live.finish()

    assert live.html == render("a **b** c")


def test_a_text_beyond_all_measure_goes_on_as_it_is_written() -> None:
    run(["**bold** and\r\n" * 7_000, "![" * 4_000, "plain & <simple>\0\r\n", "", "end"])
