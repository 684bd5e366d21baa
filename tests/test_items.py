"""A list grows by items and a table by rows: only the last one is parsed again, and the page is the same."""

from __future__ import annotations

import pytest

from tests.test_patches import cuts, run, tokens
from webapp.markdown import render
from webapp.patches import LiveRenderer

LISTS = {
    "tight": "- one **two** three\n- [a link](https://x.org) and `code`\n- four\n",
    "loose": "- one\n\n- two\n\n- three\n",
    "loose late": "- one\n- two\n\n- three\n- four\n",
    "loose in an item": "- one\n- two\n\n  three\n- four\n",
    "loose again and again": "- one\n\n- two\n- three\n\n- four\n- five\n",
    "numbers": "7. one\n8. two\n9. three\n10. four\n",
    "nested": "1. one\n   - two\n   - three\n     - four\n     - five\n2. six\n   - seven\n",
    "nested, tight in loose": "1. one\n\n   - two\n   - three\n\n2. four\n   - five\n",
    "nested, loose in tight": "- one\n  - two\n\n  - three\n- four\n",
    "loose behind a nested list": "- one\n  + two\n\n  3. three\n- four\n",
    "wide": "- one\n    - two\n    - three\n        1. four\n        2. five\n- six\n",
    "numbers that interrupt nothing": "* one\n\n  3) two\n  4) three\n* four\n",
    "lazy lines": "- one\ntwo\n- three\n  four\nfive\n",
    "paragraphs": "- one\n\n  two\n\n- three\n\n  four\n  five\n",
    "code": "1. one\n\n   ```python\n   x = 1\n   ```\n\n2. two\n   ```\n   y\n   ```\n3. three\n",
    "code alone": "- ```\n  x\n  ```\n- ```\n  y\n  ```\n\n- z\n",
    "tasks": "- [ ] one\n- [x] two\n- three\n",
    "empty items": "-\n- one\n-\n- two\n",
    "loose by an empty item": "1. one\n\n   *\n\n   * <sub>two</sub>\n",
    "loose by a heading": "- one\n- # two\n\n  ---\n- three\n",
    "code alone, loose": "- ```\n  x\n  ```\n\n- ```\n  y\n  ```\n\n- z\n",
    "code alone, with blank lines": "- ```\n  x\n\n  y\n  ```\n- ```\n  z\n  ```\n- one\n",
    "a mark left open": "- one\n- two **three\n\n- four\n",
    "code left open": "- [ ] one\n      ```cpp\n      two\n\n",
    "a link with many brackets": "- one\n- [two](three(four(five)))\n- six\n",
    "items in a line": "- - one\n  - two\n- - three\n",
    "another mark": "- one\n- two\n* three\n* four\n",
    "a line across": "- one\n- two\n---\n- three\n",
    "a quote and a table": "- one\n  > two\n- three\n\n  | a | b |\n  |---|--:|\n  | 1 | 2 |\n- four\n",
    "a definition": "- one [two]\n- [two]: https://x.org\n- three [two]\n",
    "notes": "- one[^1]\n- two\n  [^1]: three\n- four[^1]\n",
    "tabs": "-\tone\n\t- two\n\t- three\n-\tfour\n",
    "formulas": "- $x^2$\n- one\n  $$\n  y\n  $$\n- two\n",
}
TABLES = {
    "words": "| a | b |\n|:--|--:|\n| one | **two** |\n| `x | y` | [z](https://x.org) |\n| three |\n",
    "no edges": "a | b\n-|-\none | two\nthree | four | five\n",
    "one column": "| a |\n|---|\n| one |\n| two |\n",
    "ended by a quote": "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n> five\n",
    "ended by words": "| a | b |\n|---|---|\n| 1 | 2 |\nthree\n\nfour\n",
}


def test_a_heading_that_goes_on_behind_its_marks_is_shown_whole() -> None:
    live = LiveRenderer()
    for character in "### one ### two\n":
        live.feed(character)

    assert live.html == render("### one ### two\n")


@pytest.mark.parametrize("text", (LISTS | TABLES).values(), ids=LISTS | TABLES)
@pytest.mark.parametrize("before", ["", "Words:\n"])
def test_each_ends_as_if_rendered_whole(text: str, before: str) -> None:
    for pieces in cuts(before + text + "\nMore.\n"):
        run(pieces)


@pytest.mark.parametrize("text", (LISTS | TABLES).values(), ids=LISTS | TABLES)
def test_nothing_is_repaired_at_the_end(text: str) -> None:
    if text in (LISTS["a definition"], LISTS["notes"]):
        pytest.skip("what comes late changes what is shown")
    for pieces in cuts(text + "\nMore.\n"):
        live = LiveRenderer()
        for piece in pieces:
            live.feed(piece)

        assert live.finish() == []
        assert live.html == render(text + "\nMore.\n")


@pytest.mark.parametrize(
    "line",
    [
        "- some words of an item\n",
        "- some words of an item\n\n",
        "3. some words of an item\n",
        "- item\n  - some words of another\n  - and of a third\n",
        "- ```\n  some words\n\n  of code\n  ```\n",
        "| some | words | of a row |\n",
    ],
)
def test_only_the_last_item_is_parsed_again(line: str, parsed: list[str]) -> None:
    live = LiveRenderer()
    for piece in tokens(("| a | b | c |\n|---|---|---|\n" if line.startswith("|") else "") + line * 50):
        live.feed(piece)

    assert max(map(len, parsed)) < 3 * len(line) + 30


@pytest.mark.parametrize(
    ("before", "parsed_again"),
    [
        ("Some *words*, here", False),
        ("> Some *words*, here", False),
        ("Some *words, here", True),
        ("Some [words], here", True),
        ("- Some words, here", True),
    ],
)
def test_a_blank_line_ends_a_paragraph_without_parsing_it(before: str, parsed_again: bool, parsed: list[str]) -> None:
    live = LiveRenderer()
    live.feed(before)
    parsed.clear()

    live.feed(" and there. \n\n## Next")

    assert any("here" in source for source in parsed) == parsed_again
    assert live.html == render(f"{before} and there. \n\n## Next")


@pytest.mark.parametrize(
    ("first", "item"),
    [
        ("- one\n- two\n- three", "- four words"),
        ("1. one\n2. two", "3. three words"),
        ("- [ ] one\n- [x] two", "- [ ] three words"),
        ("- one\n  - two\n  - three", "  - four words"),
        ("- one\n\n- two\n\n  three", "- four words"),
    ],
)
def test_a_line_ends_an_item_without_parsing_it(first: str, item: str, parsed: list[str]) -> None:
    live = LiveRenderer()
    live.feed(first)
    live.feed(" and")
    parsed.clear()

    for piece in [" more", f"\n{item}", " and\n", item, " of them"]:
        live.feed(piece)

    assert [source.endswith(item) for source in parsed] == [True, True]
    assert max(source.count("word") for source in parsed) == 1
    assert live.finish() == []


def test_the_end_of_a_line_of_words_is_not_parsed(parsed: list[str]) -> None:
    live = LiveRenderer()
    live.feed("Some *words*")
    parsed.clear()

    patches = [live.feed(" go on"), live.feed(" here.\n"), live.feed("\n"), live.feed("-")]

    assert patches == [[("a", 0, 1, " go on")], [("a", 0, 1, " here.")], [], []]
    assert parsed == []


def test_neither_the_head_nor_a_finished_row_is_parsed_again(parsed: list[str]) -> None:
    live = LiveRenderer()
    live.feed("| first | *second* |\n|---|--:|\n| one | two |\n| th")
    parsed.clear()

    for piece in ["ree | f", "our |", "\n| fi", "ve | six |\n", "| seven"]:
        live.feed(piece)

    assert not [source for source in parsed if "second" in source or "two" in source or source.count("|") > 5]
    assert live.finish() == []


def test_a_link_defined_right_below_its_paragraph_is_a_link_at_once() -> None:
    live = LiveRenderer()
    for character in "A [b] c.\n\n[b]: https://x.org\n\nd":
        live.feed(character)

    assert live.finish() == []


def test_a_list_of_many_items_that_becomes_loose_is_parsed_whole_once(parsed: list[str]) -> None:
    live = LiveRenderer()
    for piece in tokens("- some words of an item\n" * 50 + "\n" + "- more words\n" * 50):
        live.feed(piece)

    assert sum(len(source) > 1_000 for source in parsed) == 1
