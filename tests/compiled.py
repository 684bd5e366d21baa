"""What libraries compile for an app and its database, kept from test to test: Jinja's templates, Werkzeug's routes,
SQLAlchemy's statements. Compiling takes longer than most tests do."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Compiled, Connection, Engine, event
from werkzeug.routing import Rule


def keep() -> None:
    """Keep what the apps and databases of this process compile from now on."""
    event.listen(Engine, "engine_connect", _keep_statements)
    Rule._compile_builder = _kept_routes(Rule._compile_builder)  # type: ignore[method-assign]
    metadata.version = cache(metadata.version)  # each server of Werkzeug reads and parses a file for its own


class Templates(BytecodeCache):
    """Compiled templates, by the hash of their name and source."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key, bucket.checksum] = bucket.code


class _Statements(dict[tuple[Any, ...], Compiled]):
    """Compiled statements, by the kind of database instead of by the engine: the SQL is the same."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Compiled) -> None:
        super().__setitem__((type(key[0]), *key[1:]), compiled)


_statements = _Statements()


def _keep_statements(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_statements)


def _kept_routes(compile_builder: Callable[..., Any]) -> Callable[..., Any]:
    """Compile the two functions that build the URL of a route once for all apps: they depend on what the key names."""
    kept: dict[tuple[object, ...], Any] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Any:
        key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in kept:
            kept[key] = compile_builder(rule, append_unknown)
        return kept[key]

    return compile_once
