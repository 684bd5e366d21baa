"""Imports point down the list of layers only; what strings name, imports cannot show, so few places may do that."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

WEBAPP = Path(__file__).parent.parent / "webapp"

# From the top down; modules of one line are of one layer and do not know each other.
LAYERS = [
    ["webapp"],
    ["webapp.app"],
    ["webapp.worker", "webapp.cli"],
    ["webapp.views.sharing"],
    [
        "webapp.views.stream",
        "webapp.views.queue",
        "webapp.views.api",
        "webapp.views.keys",
        "webapp.views.pictures",
        "webapp.views.joining",
        "webapp.views.leaving",
        "webapp.views.oidc",
        "webapp.views.welcome",
        "webapp.views.admin",
        "webapp.views.changes",
        "webapp.views.log",
        "webapp.views.limits",
        "webapp.views.models",
        "webapp.views.notices",
        "webapp.views.shared_presets",
        "webapp.views.usage",
        "webapp.views.upstream",
        "webapp.views.settings",
        "webapp.views.search",
        "webapp.views.listing",
        "webapp.views.folders",
        "webapp.views.transfer",
        "webapp.views.health",
    ],
    ["webapp.views.chat", "webapp.views.door"],
    ["webapp.views.http", "webapp.views.pages"],
    ["webapp.views.problems"],
    ["webapp.views.sidebar", "webapp.views.site", "webapp.views.people"],
    ["webapp.views.forwarded"],
    ["webapp.views.visitor", "webapp.views.hosts", "webapp.views.forms", "webapp.views.api_errors"],
    ["webapp.views.identity"],
    ["webapp.views.parts", "webapp.views.live"],
    [
        "webapp.views.marks",
        "webapp.views.places",
        "webapp.views.words",
        "webapp.views.typed",
        "webapp.views",
        "webapp.views.headers",
        "webapp.views.kept",
    ],
    ["webapp.views.browsers"],
    ["webapp.queue"],
    [
        "webapp.changes",
        "webapp.notices",
        "webapp.titles",
        "webapp.presets",
        "webapp.folders",
        "webapp.archive",
        "webapp.turns",
        "webapp.upkeep",
        "webapp.leaving",
        "webapp.usage",
        "webapp.completions",
        "webapp.trials",
    ],
    ["webapp.users", "webapp.shares"],
    ["webapp.retention"],
    ["webapp.invites", "webapp.keys", "webapp.allowed", "webapp.identities"],
    ["webapp.accounts", "webapp.openings", "webapp.audit"],
    ["webapp.oidc.flow"],
    ["webapp.oidc.provider", "webapp.oidc.tokens", "webapp.oidc.claims"],
    ["webapp.files.reader", "webapp.quotas"],
    ["webapp.files.zips"],
    [
        "webapp.files.ours",
        "webapp.files.chatgpt",
        "webapp.files.claude",
        "webapp.files.openwebui",
        "webapp.files.librechat",
        "webapp.files.markdown",
    ],
    ["webapp.files.foreign", "webapp.files.citations"],
    ["webapp.files.record", "webapp.files.values", "webapp.files"],
    ["webapp.conversations", "webapp.history", "webapp.arrivals", "webapp.sends", "webapp.continuing"],
    ["webapp.following"],
    ["webapp.pulse", "webapp.typesetter", "webapp.settings"],
    ["webapp.watch", "webapp.offers"],
    [
        "webapp.upstream.models",
        "webapp.throttle",
        "webapp.generation",
        "webapp.lockchat",
        "webapp.upstream.demo",
        "webapp.storage.migrate",
    ],
    [
        "webapp.limits",
        "webapp.passwords",
        "webapp.upstream.stream",
        "webapp.upstream.relay",
        "webapp.storage.sign_ins",
        "webapp.storage.api_keys",
        "webapp.storage.invites",
        "webapp.storage.throttles",
        "webapp.storage.audit",
        "webapp.storage.workers",
        "webapp.storage.site",
        "webapp.storage.presets",
        "webapp.storage.queued",
        "webapp.storage.endings",
        "webapp.storage.branches",
        "webapp.storage.outlines",
        "webapp.storage.shares",
        "webapp.storage.conversations",
    ],
    ["webapp.storage.changes"],
    ["webapp.upstream.asking"],
    ["webapp.upstream.exchange", "webapp.upstream.answers", "webapp.upstream.listing"],
    ["webapp.upstream.failures"],
    ["webapp.storage.messages", "webapp.storage.accounts", "webapp.storage.folders"],
    ["webapp.storage.message_words", "webapp.storage.spending", "webapp.storage.pictures", "webapp.storage.forgetting"],
    ["webapp.upstream.transport", "webapp.storage"],
    ["webapp.upstream.lifeline", "webapp.sleeper"],
    ["webapp.storage.files", "webapp.storage.postgresql", "webapp.storage.group_commit"],
    ["webapp.storage.team_schema"],
    ["webapp.storage.schema"],
    ["webapp.patches"],
    ["webapp.rendering.caret", "webapp.rendering.open_block", "webapp.rendering.finished"],
    ["webapp.rendering.items", "webapp.rendering.fence"],
    ["webapp.rendering.unfinished", "webapp.rendering.process", "webapp.rendering.difference"],
    ["webapp.logs"],
    ["webapp.markdown", "webapp.snippets", "webapp.upstream.framing", "webapp.config", "webapp.upstream.cleaning"],
    ["webapp.oidc.settings"],
    ["webapp.environment"],
    ["webapp.sse", "webapp.rendering.lines"],
    [
        "webapp.rendering.links",
        "webapp.rendering.formulas",
        "webapp.rendering.code",
        "webapp.rendering.cleaner",
        "webapp.rendering.emphasis",
        "webapp.rendering.tags",
        "webapp.rendering.rules",
        "webapp.rendering.rows",
    ],
    ["webapp.background", "webapp.groups", "webapp.secret_key", "webapp.proxying"],
    ["webapp.upstream.pictures", "webapp.rendering.tex", "webapp.rendering.notes"],
    [
        "webapp.errors",
        "webapp.outcomes",
        "webapp.window",
        "webapp.rendering.budget",
        "webapp.rendering",
        "webapp.rendering.chemistry",
        "webapp.upstream",
        "webapp.oidc",
        "webapp.addresses",
        "webapp.upstream.address",
    ],
    [
        "webapp.pictures",
        "webapp.references",
        "webapp.upstream.thinking",
        "webapp.upstream.alike",
        "webapp.upstream.refusals",
    ],
    [
        "webapp.chat",
        "webapp.siblings",
        "webapp.charts",
        "webapp.team",
        "webapp.tokens",
        "webapp.language",
        "webapp.tree",
        "webapp.text",
        "webapp.recent",
        "webapp.growing",
        "webapp.clock",
        "webapp.loop",
        "webapp.upstream.chunked",
        "webapp.upstream.harmony",
        "webapp.upstream.payloads",
    ],
]
EXTENSIONS_MODULE = "webapp.views.parts"  # alone reads and writes `app.extensions`
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


def strings_outside_url_for(path: Path) -> set[str]:
    """The strings of a file, but for the endpoints that `url_for` is called with."""
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [call.args[0] for call in calls if ast.unparse(call.func).endswith("url_for") and call.args]
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in named]
    return {node.value for node in constants if isinstance(node.value, str)}


def test_endpoints_are_named_in_calls_of_url_for_only(site):
    endpoints = site.view_functions.keys() - {"static"}  # Flask's own

    found = {name_of(path): strings_outside_url_for(path) & endpoints for path in MODULES}

    assert {name: strings for name, strings in found.items() if strings} == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_one_module_alone_reads_the_extensions_of_the_app(path):
    tree = ast.parse(path.read_text())

    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "extensions"]

    assert lines == [] or name_of(path) == EXTENSIONS_MODULE


def test_an_endpoint_outside_url_for_is_found(tmp_path):
    file = tmp_path / "view.py"
    file.write_text("PUBLIC = {'chat.index'}\nplace = url_for('chat.show_conversation', id='x')\n")

    assert strings_outside_url_for(file) == {"chat.index", "x"}
