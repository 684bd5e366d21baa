"""An answer only grows: at no step is it less high than before, on a phone and on a wide page."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.test_patches import tokens
from webapp.patches import LiveRenderer

pytestmark = pytest.mark.browser

# Links that are defined below change when they are; the columns of a wide table become wider, and its rows less high.
CHANGES = ("links", "tables")
CORPUS = [path for path in sorted((Path(__file__).parent.parent / "corpus").glob("*.md")) if path.stem not in CHANGES]
STATIC = Path(__file__).parent.parent.parent / "static"
STYLE = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("app.css", "more.css"))
PAGE = f"<!doctype html><style>{STYLE}</style><article class='message message--assistant'><div class='message__body'>"
HEIGHTS = """steps => {
  const body = document.querySelector(".message__body");
  return steps.map((html) => { body.innerHTML = html; return body.getBoundingClientRect().height; });
}"""


def steps_of(text: str) -> list[str]:
    """Each state that a reader sees, and the last one."""
    live = LiveRenderer()
    seen = [live.html for piece in tokens(text) if live.feed(piece)]
    live.finish()
    return [*seen, live.html]


@pytest.mark.parametrize("width", [360, 1000])
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_an_answer_never_shrinks(new_browser, path, width):
    page = new_browser(viewport={"width": width, "height": 640}).new_page()
    page.set_content(PAGE)
    steps = steps_of(path.read_text(encoding="utf-8"))

    heights = page.evaluate(HEIGHTS, steps)

    shrunk = [steps[index + 1][-200:] for index, (before, after) in enumerate(pairwise(heights)) if after < before - 1]
    assert shrunk == []
    assert heights[-1] > 200
