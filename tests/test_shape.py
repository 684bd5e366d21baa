"""The size of what one reader has to keep in mind: lines of a module and of a function, methods of a class."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.test_layers import MODULES, name_of

MOST_MODULE_LINES = 350
MOST_FUNCTION_LINES = 45
MOST_PUBLIC_METHODS = 12

Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_functions(tree: ast.AST) -> dict[str, int]:
    """The functions over the limit, with their lines; decorators do not count."""
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    lines = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    return {name: number for name, number in lines.items() if number > MOST_FUNCTION_LINES}


def wide_classes(tree: ast.AST) -> dict[str, int]:
    """The classes over the limit, with the number of their public methods and properties."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    methods = {node.name: {part.name for part in node.body if isinstance(part, Function)} for node in classes}
    public = {name: len([part for part in parts if not part.startswith("_")]) for name, parts in methods.items()}
    return {name: number for name, number in public.items() if number > MOST_PUBLIC_METHODS}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_read_in_one_sitting(path: Path):
    lines = len(path.read_text().splitlines())

    assert lines <= MOST_MODULE_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_function_is_longer_than_a_page(path: Path):
    assert long_functions(ast.parse(path.read_text())) == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_class_has_too_many_public_methods(path: Path):
    assert wide_classes(ast.parse(path.read_text())) == {}


@pytest.mark.parametrize("folder", ["browser", "faults"])
def test_each_file_is_marked_that_a_plain_run_does_not_load(folder):
    mark = re.compile(rf"^pytestmark = .*pytest\.mark\.{folder}\b", re.MULTILINE)

    files = list((Path(__file__).parent / folder).glob("**/test_*.py"))

    assert files
    assert [path.name for path in files if not mark.search(path.read_text())] == []


def test_the_limits_count_what_they_say():
    line_each = "".join(f"    x = {number}\n" for number in range(MOST_FUNCTION_LINES))
    methods = "".join(f"    def m{number}(self): ...\n" for number in range(MOST_PUBLIC_METHODS + 1))

    assert long_functions(ast.parse("def f():\n" + line_each)) == {"f": MOST_FUNCTION_LINES + 1}
    assert wide_classes(ast.parse("class C:\n    def _own(self): ...\n" + methods)) == {"C": MOST_PUBLIC_METHODS + 1}
