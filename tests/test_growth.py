"""Every regular expression takes linear time: it is fed growing inputs of its own alphabet, and times are compared."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import webapp
from tests import patterns
from tests.growth import MOST_EXPONENT
from tests.patterns import BOUNDS, EXAMPLES, WINDOWED, Site

SITES = patterns.find_sites()
SECONDS = 900  # the measuring itself takes some 10 s of processor time, and ends by itself

each_site = pytest.mark.parametrize("site", SITES, ids=[f"{site.name}:{site.line}" for site in SITES])


def measured(*arguments: str) -> list[dict[str, Any]]:
    """The results of the program, which forks: this process may have threads."""
    command = [sys.executable, "-m", "tests.growth", *arguments]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=SECONDS, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    return measured()


@each_site
def test_its_time_grows_as_its_input(site: Site, results: list[dict[str, Any]]) -> None:
    found = [result for result in results if (result["site"], result["line"]) == (site.name, site.line)]

    assert found, "it is made of local values: add examples of it to EXAMPLES in tests/patterns.py"
    for result in found:
        assert result["exponent"] <= MOST_EXPONENT, result


def test_every_compiled_pattern_is_one_of_the_sites() -> None:
    known = {(pattern.pattern, pattern.flags) for site in SITES for pattern in _reached(site)}
    modules = [importlib.import_module(one.name) for one in pkgutil.walk_packages(webapp.__path__, "webapp.")]

    for module in modules:
        for name, value in vars(module).items():
            for pattern in patterns.compiled_in(value):
                assert (pattern.pattern, pattern.flags) in known, f"{module.__name__}.{name}: call re.compile there"


@pytest.mark.parametrize("table", [EXAMPLES, BOUNDS, WINDOWED])
def test_what_is_said_about_a_pattern_is_about_one_that_is_there(table: dict[str, Any]) -> None:
    assert set(table) <= {site.name for site in SITES}


@pytest.mark.parametrize(
    ("use", "pattern"),
    [
        pytest.param("match", r"(?:[^|`]|`[^`]*`?)*\|", id="exponential in pairs"),
        pytest.param("search", r"a+b", id="quadratic from every place", marks=pytest.mark.long),
        pytest.param("fullmatch", r"(?:a|aa)*b", id="exponential", marks=pytest.mark.long),
        pytest.param("all", r"<[^>]*>", id="quadratic where nothing closes", marks=pytest.mark.long),
        pytest.param("match", r"\s*\w*\s*\w*-", id="quadratic from one place", marks=pytest.mark.long),
        pytest.param("at each", r"\[[^\]]*\]", id="quadratic where the code goes on from place to place"),
    ],
)
def test_the_measuring_finds_what_grows_too_fast(use: str, pattern: str) -> None:
    (result,) = measured(use, pattern)

    assert result["exponent"] > MOST_EXPONENT


@pytest.mark.parametrize(
    ("use", "pattern"),
    [
        ("all", r"[a-z]+"),
        ("all", r"<[^<>]{0,200}>"),
        ("search", r"(?<!a)a++b"),
        ("match", r"(?:[^|`]|`[^`]*+`?+)*+\|"),
        ("fullmatch", r"\s*+\w*+"),
    ],
)
def test_the_measuring_passes_what_is_linear(use: str, pattern: str) -> None:
    (result,) = measured(use, pattern)

    assert result["exponent"] <= MOST_EXPONENT


def _reached(site: Site) -> list[Any]:
    try:
        return patterns.patterns_of(site)
    except NameError:
        return []
