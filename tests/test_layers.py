"""Imports point down the list of layers only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

WEBAPP = Path(__file__).parent.parent / "webapp"

# From the top down; modules of one line are of one layer and do not know each other.
LAYERS = [
    ["webapp"],
    ["webapp.app"],
    ["webapp.worker"],
    [
        "webapp.views.stream",
        "webapp.views.settings",
        "webapp.views.search",
        "webapp.views.transfer",
        "webapp.views.health",
    ],
    ["webapp.views.chat"],
    ["webapp.views.http"],
    ["webapp.views.problems"],
    ["webapp.views.visitor", "webapp.views.hosts", "webapp.views.forms"],
    ["webapp.views.parts"],
    ["webapp.views.marks", "webapp.views.places", "webapp.views"],
    ["webapp.titles", "webapp.presets", "webapp.archive", "webapp.turns", "webapp.upkeep"],
    ["webapp.imports"],
    ["webapp.transfer"],
    ["webapp.conversations", "webapp.history"],
    ["webapp.following"],
    ["webapp.pulse", "webapp.typesetter", "webapp.settings"],
    ["webapp.watch"],
    [
        "webapp.upstream.models",
        "webapp.limits",
        "webapp.generation",
        "webapp.lockchat",
        "webapp.upstream.demo",
        "webapp.storage.migrate",
    ],
    [
        "webapp.upstream.stream",
        "webapp.storage.workers",
        "webapp.storage.titles",
        "webapp.storage.search",
        "webapp.storage.presets",
        "webapp.storage.branches",
        "webapp.storage.conversations",
    ],
    ["webapp.upstream.exchange"],
    ["webapp.upstream.answers"],
    ["webapp.storage.messages"],
    ["webapp.storage.index", "webapp.storage.forgetting"],
    ["webapp.upstream.transport", "webapp.storage"],
    ["webapp.storage.files"],
    ["webapp.storage.schema"],
    ["webapp.patches"],
    ["webapp.rendering.unfinished", "webapp.rendering.process"],
    ["webapp.markdown", "webapp.snippets", "webapp.sse", "webapp.config", "webapp.upstream.masking"],
    ["webapp.rendering.links", "webapp.rendering.formulas", "webapp.rendering.code", "webapp.rendering.cleaner"],
    ["webapp.secret_key"],
    [
        "webapp.errors",
        "webapp.outcomes",
        "webapp.rendering.budget",
        "webapp.rendering",
        "webapp.upstream",
        "webapp.addresses",
    ],
    ["webapp.chat", "webapp.language", "webapp.tree", "webapp.text", "webapp.loop", "webapp.upstream.thinking"],
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}


def name_of(path: Path) -> str:
    parts = path.relative_to(WEBAPP.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """The modules of ours that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            known = inner & LEVELS.keys()
            found |= known or {node.module}
    return {name for name in found if name.split(".")[0] == "webapp"}


MODULES = sorted(path for path in WEBAPP.rglob("*.py") if "migrations" not in path.parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down_the_layers(path):
    level = LEVELS[name_of(path)]

    upward = {name for name in imports_of(path) if LEVELS[name] <= level}

    assert upward == set()
