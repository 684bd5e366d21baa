"""Whatever the umask and the directory: nobody else on the machine reads the files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from webapp import create_app
from webapp.config import Config
from webapp.storage import Storage, files
from webapp.storage.migrate import migrate


@pytest.fixture
def data(tmp_path):
    """A data directory that is there already, open to everybody, as is the umask."""
    data = tmp_path / "open"
    data.mkdir()
    data.chmod(0o755)
    before = os.umask(0)
    yield data
    os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def test_every_file_is_made_for_its_owner_only(data):
    app = create_app(Config(data_dir=data))
    app.test_client().get("/")

    found = modes(data)
    app.extensions["lockchat"].close()

    assert found.keys() >= {"lockchat.sqlite3", "lockchat.sqlite3-wal", "lockchat.sqlite3-shm", "secret_key"}
    assert set(found.values()) == {0o600}


def test_files_that_were_open_to_others_are_closed_to_them(data):
    create_app(Config(data_dir=data)).extensions["lockchat"].close()
    copy = data / "lockchat.sqlite3.before-0001"
    copy.write_bytes(b"")
    for name in ("lockchat.sqlite3", "lockchat.sqlite3.lock"):
        (data / name).chmod(0o666)

    create_app(Config(data_dir=data)).extensions["lockchat"].close()

    assert set(modes(data).values()) == {0o600}


def test_a_copy_is_made_for_its_owner_only(data):
    database = data / "x.sqlite3"
    storage = Storage(f"sqlite:///{database}")
    migrate(storage)

    files.copy(database, "0002")

    storage.close()
    assert modes(data)["x.sqlite3.before-0002"] == 0o600


def test_a_second_storage_leaves_the_locks_of_the_first_one(tmp_path):
    storage = Storage(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    migrate(storage)

    with storage.begin() as tx:
        locks = Path("/proc/locks").read_text().count(f":{os.stat(tmp_path / 'x.sqlite3').st_ino} ")
        Storage(f"sqlite:///{tmp_path / 'x.sqlite3'}").close()
        after = Path("/proc/locks").read_text().count(f":{os.stat(tmp_path / 'x.sqlite3').st_ino} ")
        tx.exec_driver_sql("SELECT 1")

    storage.close()
    assert locks == after > 0
