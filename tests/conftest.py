"""The cast and the stage: a real upstream, a real database, browsers of three people."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

DATABASE_SERVER = os.environ.get("LOCKCHAT_TEST_DATABASE_URL")


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """An empty database: a SQLite file, or a fresh database of the PostgreSQL server that the environment names."""
    if not DATABASE_SERVER:
        yield f"sqlite:///{tmp_path / 'lockchat.sqlite3'}"
        return
    name = f"test_{uuid.uuid4().hex}"
    url = make_url(DATABASE_SERVER).set(drivername="postgresql+psycopg")
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
