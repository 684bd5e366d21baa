"""Databases for tests: SQLite files, or databases of the PostgreSQL server that the environment names."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from webapp.storage import team_schema  # noqa: F401  # its tables too
from webapp.storage.schema import metadata

Server = psycopg.Connection[tuple[Any, ...]]

SERVER = os.environ.get("LOCKCHAT_TEST_DATABASE_URL", "")

SCHEMA = """
    SELECT attrelid::bigint, attname, atttypid::bigint, attnotnull, atthasdef, version_num,
        (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_trigger)
    FROM pg_attribute LEFT JOIN alembic_version ON true WHERE attrelid >= 16384 ORDER BY attrelid, attnum, version_num
"""
HANG_UP = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s"
RESTART = "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) FROM pg_sequences"


@contextmanager
def new_database(directory: Path, model_url: str | None = None) -> Iterator[str]:
    """The URL of an empty database, or of a copy of another one."""
    if not SERVER:
        path = directory / "lockchat.sqlite3"
        if model_url:
            shutil.copy(make_url(model_url).database or "", path)
        yield f"sqlite:///{path}"
        return
    with _connect(SERVER) as server:
        name = _copy(server, make_url(model_url).database if model_url else "template1")
        yield _url(name)
        _drop(server, name)


@contextmanager
def open_copies(model_url: str) -> Iterator[Copies]:
    """Copies of a database of the server; they are dropped at the end."""
    with _connect(SERVER) as server:
        copies = Copies(server, model_url)
        yield copies
        for name in copies.free:
            _drop(server, name)


class Copies:
    """Copies of a database without rows, each for one test after another: a new one takes 0.3 s of processor time."""

    def __init__(self, server: Server, model_url: str) -> None:
        self.free: list[str] = []
        self._server = server
        self._model = make_url(model_url).database
        with _connect(model_url) as model:
            self._schema = model.execute(SCHEMA).fetchall()

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of a copy."""
        name = self.free.pop() if self.free else _copy(self._server, self._model)
        yield _url(name)
        name = self._renamed(name)
        if self._emptied(name):
            self.free.append(name)
        else:
            _drop(self._server, name)

    def _renamed(self, old: str) -> str:
        """Give the copy a new name, so that nothing that the test left running finds it."""
        name = _new_name()
        while True:
            self._server.execute(HANG_UP, (old,))
            with suppress(psycopg.errors.ObjectInUse):  # who lost a connection opens another
                self._server.execute(f"ALTER DATABASE {old} RENAME TO {name}")
                return name

    def _emptied(self, name: str) -> bool:
        """Delete all rows. False where a test changed the tables."""
        with _connect(_url(name)) as copy:
            if copy.execute(SCHEMA).fetchall() != self._schema:
                return False
            for table in reversed(metadata.sorted_tables):
                copy.execute(f"DELETE FROM {table.name}")
            copy.execute(RESTART)
            return True


def _connect(url: str) -> Server:
    return psycopg.connect(url, autocommit=True)


def _new_name() -> str:
    return f"test_{uuid.uuid4().hex}"


def _url(name: str) -> str:
    return make_url(SERVER).set(drivername="postgresql", database=name).render_as_string(hide_password=False)


def _copy(server: Server, model: str | None) -> str:
    name = _new_name()
    server.execute(f"CREATE DATABASE {name} TEMPLATE {model}")
    return name


def _drop(server: Server, name: str) -> None:
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")
