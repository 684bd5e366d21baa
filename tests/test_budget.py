"""What one text may cost: counted in the parser's own steps, so that no busy machine changes the result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.samples import some
from webapp import markdown, patches
from webapp.markdown import PLAIN, parse, render, render_blocks
from webapp.patches import LiveRenderer
from webapp.rendering.budget import Budget, OverBudget
from webapp.rendering.formulas import unclosed_brackets

SHELL = "- `cat file | grep x`\n- " + ", ".join(f"`command{n} -x`" for n in range(40)) + "\n"
HOSTILE = {
    "commands of a shell": SHELL,
    "brackets": "[" * 60_000,
    "images": "![" * 30_000,
    "CDATA": "<![CDATA[" * 6_000,
    "emphasis": "*a _b" * 12_000,
    "angle brackets": "<" * 60_000,
    "ampersands": "&" * 60_000,
    "an endless autolink": "<http:" + "a" * 60_000,
    "columns": "|" + "a|" * 8_000 + "\n|" + "-|" * 8_000 + "\n|" + "b|" * 8_000,
    "a rule of a table": "a | b\n" + "-|" * 30_000,
    "blocks of java": "```java\nclass A { int a = 1; }\n```\n" * 2_000,
    "tabs": "```java\n" + "\t" * 19_000 + "\n```",
    "half formulas": "\\(" * 30_000,
    "open formulas": ("$" + "(" * 13 + "a$ ") * 3_000,
    "lines of formulas": "$$a$$b\n" * 8_000,
    "blanks": "word" + " " * 60_000 + "x",
    "blanks in a link": "[a](" + " " * 60_000,
    "spans of code": "[`a " * 15_000,
    "quotes": "".join("> " * (n % 19) + f"a{n}\n" for n in range(3_000)),
    "tags": "<sub><sup>" * 6_000,
    "closing tags": "<sub>" * 6_000 + "</sup>" * 5_000,
    "details": "<details>\n" * 6_000,
    "details in a line": "<details>" * 6_000,
    "details that end": "<details>\n" * 3_000 + "</details>\n" * 3_000,
    "summaries": "<details>\n<summary>\n" * 3_000,
    "notes": "".join(f"a[^{n}]\n\n[^{n}]: b\n\n" for n in range(3_000)),
    "notes in notes": "[^1]: " * 10_000,
    "references": "[^1]" * 15_000 + "\n\n[^1]: a",
    "open references": "[^" * 30_000,
    "definitions": "".join(f"[{n}]: http://a.b\n" for n in range(3_000)),
}
each_hostile = pytest.mark.parametrize("text", some(HOSTILE.values(), 5), ids=HOSTILE)


@pytest.fixture
def parsing(monkeypatch):
    """Notes the steps and the characters of each parsing."""
    noted: list[tuple[int, int]] = []

    def noting(text, env):
        env.setdefault("budget", Budget(markdown.MAX_STEPS))
        before = env["budget"].left
        try:
            return parse(text, env)
        finally:
            noted.append((before - env["budget"].left, len(text)))

    monkeypatch.setattr(patches, "parse", noting)
    monkeypatch.setattr(markdown, "parse", noting)
    return noted


@each_hostile
def test_a_whole_text_has_a_budget(parsing, text):
    render(text)

    assert sum(steps for steps, _chars in parsing) <= markdown.MAX_STEPS + 1


@pytest.mark.parametrize("size", [pytest.param(7, marks=pytest.mark.long), 4_000])
@each_hostile
def test_a_text_that_grows_has_a_budget_for_each_piece_and_in_all(parsing, text, size):
    live = LiveRenderer()

    most = total = 0
    for start in range(0, len(text), size):
        before = len(parsing)
        live.feed(text[start : start + size])
        spent = sum(steps + chars // patches.CHARS_PER_STEP for steps, chars in parsing[before:])
        most, total = max(most, spent), total + spent

    # The parsing that goes beyond the budget ends at once, but it may have been long.
    assert most <= 2 * patches.STEP_STEPS + len(text) // markdown.TOKENS_PER_STEP
    assert total <= patches.FIRST_STEPS + patches.STEPS_PER_CHAR * len(text) + 2 * patches.STEP_STEPS


@each_hostile
def test_at_its_end_it_shows_what_the_whole_is_rendered_to(text):
    live, whole = LiveRenderer(), str(render(text))
    for start in range(0, len(text), 4_000):
        live.feed(text[start : start + 4_000])

    live.finish(whole)

    assert live.html == whole


def test_a_text_over_its_budget_is_shown_as_it_is_written():
    text = "<[" * 49_990 + "*a*"

    assert render_blocks(text + "[") == [PLAIN + "&lt;[" * 49_990 + "*a*[</p>\n"]


def test_over_its_budget_a_growing_text_goes_on_as_it_is_written():
    live = LiveRenderer()
    live.feed("*a* ")

    steps = [live.feed("![" * 5_000), live.feed(" <b>")]

    assert steps == [[("x", 0), ("=", 0, 0, PLAIN + "*a* " + "![" * 5_000 + "</p>\n")], [("a", 0, 1, " <b>")]]
    assert live.html == PLAIN + "*a* " + "![" * 5_000 + " &lt;b&gt;</p>\n"


@pytest.mark.parametrize(
    ("formula", "unclosed"),
    [
        ("f(x) = [0, 1)", 0),
        ("((a)", 1),
        ("]a, b[", 1),
        ("{(}{(}", 2),
        ("{(} )", 1),
        (r"\{ x \in \langle a, b \rangle \}", 0),
        (r"\left( a \right]", 0),
        (r"\left\langle a \right.", 0),
        (r"\bigl( \lfloor x \rfloor \bigr)", 0),
        (r"\bigl( \lfloor x", 2),
        (r"\lambda \log \le \left. \ldots", 0),
        ("⟨ ⌊ ⟩", 1),
    ],
)
def test_the_brackets_are_counted_that_nothing_closes(formula, unclosed):
    assert unclosed_brackets(formula) == unclosed


@pytest.mark.parametrize(
    "opening",
    [
        r"(",
        r"[",
        r"\{",
        r"\langle ",
        r"\lfloor ",
        r"\lvert ",
        r"\lgroup ",
        "⟨",
        "{(}",
        r"\bigl(",
        r"\mathrm{(}",
        r"\not(",
        "([",
    ],
)
def test_a_formula_with_too_many_open_brackets_stays_source(opening):
    assert render(f"$a{opening * 40}b$").startswith('<p dir="auto"><code>$a')


def test_a_formula_with_a_few_open_brackets_is_a_formula():
    assert render("$]a, b[ (($").startswith('<p dir="auto"><math>')


def test_spending_more_than_there_is_raises():
    budget = Budget(2)
    budget.spend(2)

    with pytest.raises(OverBudget):
        budget.spend()


# Each has a closing bracket that math-core takes for something else, so that it closes nothing.
SWALLOWED = [
    r"(\sqrt)",
    r"(x^)",
    r"(\frac1)",
    r"(\frac{a})",
    r"(\hat )",
    r"(\sqrt[3])",
    r"(\sqrt[)x]",
    r"(\bigl)",
    r"(\middle)",
    r"\langle\text\rangle ",
    r"\braket\sqrt ",
    r"\pmod{\sqrt}",
    r"\set\sqrt ",
    "(% )\n",
    "{(\\bigl)}",
]


def test_a_swallowed_bracket_costs_no_more_than_an_open_one():
    program = "import sys; from webapp.markdown import render; [render(f'$${one * 40}$$') for one in sys.argv[1:]]"
    root = Path(__file__).parent.parent

    done = subprocess.run([sys.executable, "-c", program, *SWALLOWED], cwd=root, timeout=60)  # 0.3 s, or for ever

    assert done.returncode == 0


def test_many_brackets_that_are_closed_are_a_formula():
    formula = r"f(\theta) + " * 40

    assert render(f"${formula}1$").startswith('<p dir="auto"><math>')
