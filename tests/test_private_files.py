"""Whatever the umask and the directory: nobody else on the machine reads the files."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from webapp import create_app
from webapp.config import Config
from webapp.errors import ConfigError
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


@pytest.mark.parametrize("end", ["", "-wal", "-shm", ".lock", ".before-0001"])
@pytest.mark.parametrize(("before", "after"), [(0o777, 0o700), (0o640, 0o600), (0o604, 0o600), (0o400, 0o400)])
def test_every_file_of_a_database_is_closed_to_others(data, end, before, after):
    file = data / f"x.sqlite3{end}"
    file.touch()
    file.chmod(before)

    Storage(f"sqlite:///{data / 'x.sqlite3'}").close()

    assert modes(data)[file.name] == after


def test_what_is_no_file_of_a_database_keeps_its_mode(data):
    for name in ("x.sqlite3", "x.sqlite3-wal"):
        (data / name).mkdir()
        (data / name).chmod(0o755)
    (data / "y.sqlite3").touch(0o644)

    Storage(f"sqlite:///{data / 'x.sqlite3'}").close()

    assert modes(data) == {"x.sqlite3": 0o755, "x.sqlite3-wal": 0o755, "y.sqlite3": 0o644}


def test_an_address_of_a_database_is_no_name_of_a_file(data, monkeypatch):
    monkeypatch.chdir(data)

    Storage("sqlite:///file:x.sqlite3?uri=true").close()

    assert modes(data) == {}


def test_a_data_directory_is_made_for_its_owner_only(data):
    directory = data / "new" / "chat"

    files.make_directory(directory)
    files.make_directory(directory)

    assert modes(data / "new") == {"chat": 0o700}


def test_a_data_directory_that_cannot_be_made_is_named(data):
    (data / "file").touch()

    with pytest.raises(ConfigError) as caught:
        files.make_directory(data / "file")

    assert caught.value.sentence == f"LOCKCHAT_DATA_DIR='{data}/file' cannot be used: File exists."


def test_a_copy_is_made_for_its_owner_only(data):
    database = data / "x.sqlite3"
    storage = Storage(f"sqlite:///{database}")
    migrate(storage)

    (data / "x.sqlite3.before-0002.part").write_text("A copy that was interrupted")

    files.copy(database, "0002")

    storage.close()
    assert modes(data)["x.sqlite3.before-0002"] == 0o600
    assert not (data / "x.sqlite3.before-0002.part").exists()
    with closing(sqlite3.connect(data / "x.sqlite3.before-0002")) as copied:
        assert copied.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_a_copy_is_for_its_owner_only_while_it_is_made(data, monkeypatch):
    database, seen = data / "x.sqlite3", []
    sqlite3.connect(database).close()
    monkeypatch.setattr(files.sqlite3, "connect", lambda path: seen.append(modes(data)) or sqlite3.Connection(path))

    files.copy(database, "0002")

    assert seen[-1]["x.sqlite3.before-0002.part"] == 0o600


def test_a_copy_that_cannot_be_removed_stays(data):
    (data / "x.sqlite3.before-0001").symlink_to(data / "elsewhere")

    files.remove_old_copies(str(data / "x.sqlite3"))


def test_a_database_of_a_server_has_no_copies():
    files.remove_old_copies(None)


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
