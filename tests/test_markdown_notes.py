"""Footnotes: references and notes lead to each other, in every message of a page, while the text grows too."""

from __future__ import annotations

import re
import time

import pytest

from tests.samples import some
from tests.test_patches import assert_stays, cuts, run, shown
from tests.upstream import body, token
from webapp.markdown import render
from webapp.patches import LiveRenderer
from webapp.rendering.notes import id_of, scoped, scoped_patches

REL = ' rel="noopener noreferrer nofollow"'


def p(html: str) -> str:
    return f'<p dir="auto">{html}</p>\n'


def reference(label: str, *, is_first: bool = True) -> str:
    place = f' id="fnref-{id_of(label)}"' if is_first else ""
    return f'<sup{place}><a href="#fn-{id_of(label)}" role="doc-noteref"{REL}>{label}</a></sup>'


def note(label: str, html: str) -> str:
    back = f'<a href="#fnref-{id_of(label)}" role="doc-backlink"{REL}>{label}</a>'
    return f'<li id="fn-{id_of(label)}">{html.replace("LABEL", back)}</li>\n'


def notes(*items: str) -> str:
    return f'<section class="notes" role="doc-endnotes">\n<ul>\n{"".join(items)}</ul>\n</section>\n'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Fact[^1].\n\n[^1]: Smith", p(f"Fact{reference('1')}.") + notes(note("1", p("LABEL Smith")))),
        (
            "a[^1][^b]\n[^1]: *c*\n[^b]: d\ne",
            p(f"a{reference('1')}{reference('b')}")
            + notes(note("1", p("LABEL <em>c</em>")), note("b", p("LABEL d<br>\ne"))),
        ),
        (
            "a[^1] b[^1]\n\n[^1]: c",
            p(f"a{reference('1')} b{reference('1', is_first=False)}") + notes(note("1", p("LABEL c"))),
        ),
        (
            "a[^1]\n\n[^1]: b\n\nc[^2]\n\n[^2]: d",
            p(f"a{reference('1')}") + p(f"c{reference('2')}") + notes(note("1", p("LABEL b")), note("2", p("LABEL d"))),
        ),
        (
            "a[^1]\n\n[^1]: b\n\n    c\n\nd",
            p(f"a{reference('1')}") + p("d") + notes(note("1", p("LABEL b") + p("c"))),
        ),
        (
            "a[^1]\n\n[^1]:\n    - b",
            p(f"a{reference('1')}") + notes(note("1", 'LABEL <ul dir="auto">\n<li>b</li>\n</ul>\n')),
        ),
        (
            "> a[^1]\n>\n> [^1]: b",
            f'<blockquote dir="auto">\n<p>a{reference("1")}</p>\n'
            f"{notes(note('1', '<p>LABEL b</p>' + chr(10)))}</blockquote>\n",
        ),
        ("[^1]: a", notes(f'<li id="fn-{id_of("1")}">{p("1 a")}</li>\n')),
        ("a[^1]", p("a[^1]")),
        ("[^a-z] [^]", p("[^a-z] [^]")),
        (
            "`a[^1]` \\[^1]\n\n[^1]: b",
            p("<code>a[^1]</code> [^1]") + notes(f'<li id="fn-{id_of("1")}">{p("1 b")}</li>\n'),
        ),
    ],
)
def test_footnotes(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "Fact[^1].\n\n[^1]: Smith\n",
        "a[^1][^b]\n[^1]: *c*\n[^b]: d\ne\n",
        "a[^1]\n\n- b[^1]\n\n[^1]: c\n\n    d\n",
        "> a[^1]\n>\n> [^1]: b\n\nc",
        "a[^1]\n\n[^1]:\n    - b\n    - c\n",
        pytest.param(
            "".join(f"Words number {n} of a line[^{n}], and " for n in range(60))
            + "\n\n"
            + "".join(f"[^{n}]: a *b*\n" for n in range(60)),
            marks=pytest.mark.long,
        ),
    ],
)
def test_they_grow_as_they_end(text: str) -> None:
    for pieces in cuts(text):
        run(pieces)
    assert_stays(list(text))


def test_notes_amid_a_text_go_to_its_end_when_it_is_whole() -> None:
    run(list("a[^1]\n\n[^1]: b\n\nc[^2] and [^x]\n\n[^2]: d\n\ne"))


@pytest.mark.parametrize("half", ["[", "[^", "[^1", "[^1]", "\n\n[^", "\n\n[^1]", "\n\n[^1]:", "\n\n[^1]: "])
def test_a_half_typed_footnote_is_held_back(half: str) -> None:
    assert shown(f"a{half}") == p("a")


def test_a_note_is_linked_back_from_the_first_reference_however_it_grows() -> None:
    live = LiveRenderer()
    for piece in ["a[^1] b\n\nc[^1] d\n\n", "[^1]: e"]:
        live.feed(piece)

    assert live.html == render("a[^1] b\n\nc[^1] d\n\n[^1]: e")


def test_the_ids_of_two_messages_differ() -> None:
    html = str(render('Say `<li id="fn-` and "#fn-1"[^1]\n\n[^1]: a'))

    one, other = (re.findall(r'<\w+ id="([^"]*)"', scoped(html, message)) for message in ("m1", "m2"))

    assert len(one) == len(set(one)) == 2
    assert not set(one) & set(other)
    links = re.findall(r'<a href="#([^"]*)"', scoped(html, "m1"))
    assert sorted(links) == sorted(one)
    assert 'Say <code>&lt;li id="fn-</code> and "#fn-1"' in scoped(html, "m1")


def test_the_ids_in_patches_are_those_of_the_page() -> None:
    live = LiveRenderer()
    patches = scoped_patches([*live.feed('a <li id="fn-[^1] b'), *live.feed(' <a href="#fn-')], "m")

    assert f'id="fnref-m-{id_of("1")}"' in patches[0][3]
    assert all("fn-m" not in patch[3] for patch in patches if patch[0] == "a")


@pytest.mark.parametrize("piece", some(["a[^1]\n\n", "[^1]: ", "[^1]", "[^", "[^1]: a\n", "> [^1]: a\n"], 3))
def test_many_footnotes_take_seconds_at_most(piece: str) -> None:
    started = time.thread_time()

    render((piece * 100_000)[:100_000])

    assert time.thread_time() - started < 8


def test_a_page_has_each_id_once_and_each_link_leads_somewhere(alice, upstream) -> None:
    answer = body(token("a[^1]\n\n[^1]: b"), b"data: [DONE]\n\n")
    upstream.answer(*answer)
    first = alice.new_chat("Say it")
    streamed = "".join(event.data for event in alice.events(first))
    upstream.answer(*answer)
    alice.end(alice.say("Once more"))

    page = alice.page()

    ids = re.findall(r'\bid="(fn[^"]*)"', page)
    assert len(ids) == len(set(ids)) == 4
    assert sorted(re.findall(r'href="#(fn[^"]*)"', page)) == sorted(ids)
    assert not streamed or f"fn-{first}-" in streamed
