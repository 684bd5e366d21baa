"""A finished line of code is lexed once, unless something in it may be open."""

from __future__ import annotations

import pytest

from webapp import patches
from webapp.patches import LiveRenderer
from webapp.rendering.lines import ENDS, ColouredLines

WHOLE = {
    "python": "import json\n\ndef f(x: str) -> str:  # it's\n    return f(\"a {x!r} b\", 'c', '/*', \"it's\")\n",
    "javascript": "const a = \"b\" + 'c' + `d ${e} \"f`; // it's /* one\n",
    "json": '{"a": ["b", 1]}\n',
    "sql": "select 'a', \"b\" -- it's\n",
    "go": 'x := "a" + `b` // it\'s\n',
}


@pytest.fixture
def lexed(monkeypatch):
    """What is lexed."""
    codes: list[str] = []
    real = ColouredLines._lexed
    monkeypatch.setattr(ColouredLines, "_lexed", lambda self, code: codes.append(code) or real(self, code))
    return codes


def coloured(language: str, code: str) -> ColouredLines:
    lines = ColouredLines.of(language)
    assert lines
    for line in code.splitlines(keepends=True):
        assert lines.add(line, {"code_seconds": 5}) is not None
    return lines


@pytest.mark.parametrize("language", WHOLE)
def test_a_line_whose_strings_and_comments_are_whole_is_lexed_once(language: str, lexed: list[str]) -> None:
    coloured(language, WHOLE[language])

    assert lexed == WHOLE[language].splitlines(keepends=True)


@pytest.mark.parametrize("start", ["/*", "`", '"', "'"])
def test_what_is_open_is_lexed_with_its_end(start: str, lexed: list[str]) -> None:
    coloured("javascript", f"a = {start} b\n")

    assert f"a = {start} b\n{ENDS[start]}" in lexed


def test_coloured_code_is_not_parsed_when_it_ends(monkeypatch) -> None:
    live, sources = LiveRenderer(), []
    live.feed("Words.\n\n```python\nx = 1\n")
    parse = patches.parse
    monkeypatch.setattr(patches, "parse", lambda source, env: sources.append(source) or parse(source, env))

    assert live.feed("y = 2\n```\n")[0][0] == "+"
    assert sources == []
    assert live.finish() == []


def test_a_fence_too_far_in_is_a_line_of_code() -> None:
    live = LiveRenderer()
    live.feed("```python\nx = 1\n")

    live.feed("     ```\ny")

    assert live.html.count("```") == 1
    assert live.html.endswith("y</span></code></pre></figure>\n")
