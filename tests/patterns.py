"""Finds every regular expression of webapp/ in its source, so that none escapes the tests."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp import patches, snippets
from webapp.rendering import tags, unfinished

WEBAPP = Path(__file__).parent.parent / "webapp"
METHODS = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")
MAY_USE = re.compile(rf"\b(?:re|regex)\b|\.\s*(?:{'|'.join(METHODS)})\b")  # the source of what has to be parsed

# Where a pattern is made of local values: what it may become. The key is the function.
EXAMPLES: dict[str, Callable[[], Iterable[str | re.Pattern[str]]]] = {
    "webapp.snippets.pattern": lambda: [
        snippets.pattern(snippets.terms_of(query)) for query in ("q=x.x.x.x.x", "a b", "aaa.aaa aa")
    ],
}

# The most characters that the code ever gives to a pattern, and why, where that is less than a long answer has. The key
# is the name of the site.
BOUNDS: dict[str, tuple[int, str]] = {
    "webapp.rendering.tags._LAST_TAGS": (tags.MAX_LAST_CHARS, "searched at the end of a line only"),
    "webapp.rendering.unfinished._HALF_DETAILS": (
        unfinished.HALF_DETAILS_CHARS,
        "searched in the last characters only",
    ),
    "webapp.patches._LOOSE_END": (patches.LOOSE_CHARS, "searched in the last characters only"),
}

# Matched at many places of a text, each time in a window of so many characters: all of it is linear if one match is.
WINDOWED = {
    "webapp.rendering.formulas._DOLLARS": "MAX_FORMULA_CHARS",
    "webapp.rendering.tex._ARGUMENT": "MAX_ARGUMENT_CHARS",
    "webapp.rendering.unfinished._WHOLE": "LOOKED_AT_CHARS",
}


@dataclass(frozen=True)
class Site:
    """A call of `re` in the source."""

    name: str  # module and target or function, such as webapp.sse._LINE_END
    line: int
    method: str  # search, compile, ...
    pattern: ast.expr
    flags: ast.expr | None
    uses: frozenset[str]  # how the code uses it


def find_sites() -> list[Site]:
    """Every call of a function of `re` under webapp/. Raises ValueError for an import that would hide some."""
    texts = {path: path.read_text() for path in sorted(WEBAPP.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items() if MAY_USE.search(text)}
    uses: dict[str, set[str]] = {}
    for tree in trees.values():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
                owner = call.func.value
                name = (
                    owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
                )
                uses.setdefault(name, set()).add(_use(call, skip=0))
    return [site for path, tree in trees.items() for site in _sites_in(path, tree, uses)]


def _sites_in(path: Path, tree: ast.Module, uses: dict[str, set[str]]) -> Iterator[Site]:
    module = ".".join(path.relative_to(WEBAPP.parent).with_suffix("").parts).removesuffix(".__init__")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("re", "regex"):
            raise ValueError(f"{path}: write `import re`, so that every call of it is found")
        if isinstance(node, ast.Import) and any(one.name in ("re", "regex") and one.asname for one in node.names):
            raise ValueError(f"{path}: write `import re`, so that every call of it is found")
    for top in tree.body:
        calls = [node for node in ast.walk(top) if _is_re(node)]
        parents = {child: node for node in ast.walk(top) for child in ast.iter_child_nodes(node)} if calls else {}
        for call in calls:
            target = _target(call, top, parents)
            yield Site(
                name=f"{module}.{target}",
                line=call.lineno,
                method=call.func.attr,
                pattern=call.args[0],
                flags=_flags(call),
                uses=frozenset(_uses_of(call, target, parents, uses)),
            )


def _is_re(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in (*METHODS, "compile")
    )


def _target(node: ast.AST, top: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    """The name that the pattern has, or that of the function it is in."""
    names = []
    while node is not top:
        node = parents[node]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
    if isinstance(top, (ast.Assign, ast.AnnAssign)):
        targets = top.targets if isinstance(top, ast.Assign) else [top.target]
        names.append(ast.unparse(targets[0]))
    return ".".join(reversed(names))


def _flags(call: ast.Call) -> ast.expr | None:
    place = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(call.func.attr, 2)
    named = [word.value for word in call.keywords if word.arg == "flags"]
    return named[0] if named else call.args[place] if len(call.args) > place else None


def _uses_of(call: ast.Call, target: str, parents: dict[ast.AST, ast.AST], uses: dict[str, set[str]]) -> set[str]:
    if call.func.attr != "compile":
        return {_use(call, skip=1)}
    parent = parents.get(call)
    if isinstance(parent, ast.Attribute):
        outer = parents.get(parent)
        return {_use(outer, skip=0)} if isinstance(outer, ast.Call) else {"all"}
    direct = isinstance(parent, (ast.Assign, ast.AnnAssign))
    return uses.get(target, {"all"}) if direct else {"all"}


def _use(call: ast.Call, *, skip: int) -> str:
    """How a call goes over its text: from one place, from any place to the first match, or to all matches."""
    method, arguments = call.func.attr, call.args[skip:]
    if method in ("sub", "subn"):
        once = any(word.arg == "count" and getattr(word.value, "value", 0) == 1 for word in call.keywords)
        return "search" if once else "all"
    if method == "match" and len(arguments) > 1:
        return "at each"  # the code goes on from place to place
    return method if method in ("search", "match", "fullmatch") else "all"


def patterns_of(site: Site) -> list[re.Pattern[Any]]:
    """The compiled patterns of a call. Raises NameError where it is made of local values and EXAMPLES has none."""
    if site.name in EXAMPLES:
        return [re.compile(one) for one in EXAMPLES[site.name]()]
    names = dict(vars(importlib.import_module(_module_of(site))))
    parts = [
        eval(compile(ast.Expression(part), site.name, "eval"), names) for part in (site.pattern, site.flags) if part
    ]
    if not isinstance(parts[0], (str, bytes)):
        raise NameError(f"{site.name}, line {site.line}: another thing has the name of a local value")
    return [re.compile(*parts)]


def _module_of(site: Site) -> str:
    parts = site.name.split(".")
    while not (WEBAPP.parent.joinpath(*parts).with_suffix(".py").exists() or WEBAPP.parent.joinpath(*parts).is_dir()):
        parts.pop()
    return ".".join(parts)


def compiled_in(value: object, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    """The compiled patterns in a value: itself, or in what it is made of."""
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, (tuple, list, set, frozenset)):
        for item in value:
            yield from compiled_in(item, depth - 1)
    elif depth and isinstance(value, dict):
        for item in value.values():
            yield from compiled_in(item, depth - 1)
    elif depth and isinstance(value, type) and value.__module__.startswith("webapp"):
        for item in list(vars(value).values()):
            yield from compiled_in(item, depth - 1)
