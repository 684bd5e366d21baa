"""The parser asks fewer rules than there are, and finds the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_markdown_safety import ATTACKS, FRAGMENTS
from tests.test_patches import CORPUS, SPEC
from webapp import markdown
from webapp.markdown import render

TEXTS = [*SPEC, *ATTACKS, *(path.read_text(encoding="utf-8") for path in CORPUS)]


@pytest.fixture(scope="module")
def asks_all() -> Callable[[str], str]:
    """Renders with a parser that asks each rule at each place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markdown, "ask_by_character", lambda _: None)
        slow = markdown._make_markdown()

    def rendered(text: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(markdown, "_markdown", slow)
            return render(text)

    return rendered


def test_each_text_is_the_same_as_if_all_rules_were_asked(asks_all) -> None:
    assert [text for text in TEXTS if render(text) != asks_all(text)] == []


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=40))
def test_so_is_any_mixture_of_fragments(asks_all: Callable[[str], str], fragments: list[str]) -> None:
    text = "".join(fragments)

    assert render(text) == asks_all(text)


def test_fewer_rules_are_asked(asks_all) -> None:
    text = "some *words* in `lines`\n" * 20

    assert calls(render, text) < 0.7 * calls(asks_all, text)


def calls(run: Callable[[str], str], text: str) -> int:
    """How many functions of the parser run."""
    number = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal number
        number += event == "call" and "rules_" in frame.f_code.co_filename

    sys.setprofile(count)
    try:
        run(text)
    finally:
        sys.setprofile(None)
    return number
