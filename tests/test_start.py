"""The start: what no worker could use is refused in one line that says what to do, and stays as it is."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from tests.conftest import need
from tests.samples import some
from tests.server import ROOT, free_port
from webapp import create_app
from webapp.config import Config
from webapp.errors import ConfigError, StorageUnavailable
from webapp.storage import Storage, files
from webapp.storage.migrate import _alembic, main, migrate, revisions
from webapp.views import parts

NEWEST = "UPDATE alembic_version SET version_num = '9999'"
STARTS = {
    "gunicorn": ["-m", "gunicorn", "wsgi:app"],
    "flask run": ["-m", "flask", "run", "--port", "0"],
    "migrate": ["-m", "webapp.storage.migrate"],
}


@pytest.fixture
def data():
    """A data directory with a database of this version, which another user of the machine may reach too."""
    data = Path(tempfile.mkdtemp())
    parts.of(create_app(Config(data_dir=data))).close()
    yield data
    data.chmod(0o700)
    shutil.rmtree(data)


def start(data: Path, *arguments: str, before: tuple[str, ...] = (), **settings: str) -> tuple[int, str]:
    """Run Python until it ends; its exit status, and what it says."""
    environment = {"PATH": os.environ["PATH"], "LOCKCHAT_DATA_DIR": str(data), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"LOCKCHAT_BIND": f"127.0.0.1:{free_port()}"} | settings
    done = subprocess.run(
        [*before, sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr


def edit(database: Path, statement: str) -> None:
    connection = sqlite3.connect(database)
    connection.execute(statement)
    connection.commit()
    connection.close()


def break_header(data: Path) -> str:
    (data / "lockchat.sqlite3").write_bytes(b"no database " * 1000)
    return f"{data / 'lockchat.sqlite3'} is damaged, or no SQLite database. It stays as it is: move it away"


def cut_short(data: Path) -> str:
    os.truncate(data / "lockchat.sqlite3", 8192)
    return f"{data / 'lockchat.sqlite3'} is damaged, or no SQLite database. It stays as it is: move it away"


def make_newer(data: Path) -> str:
    (data / "lockchat.sqlite3.before-0003").write_bytes(b"")
    (data / "lockchat.sqlite3.before-0004").write_bytes(b"")
    edit(data / "lockchat.sqlite3", NEWEST)
    return f"rename {data / 'lockchat.sqlite3.before-0004'} to lockchat.sqlite3"


# Each start with one of the spoilt databases, and each of these with one start: every fourth of three times three.
@pytest.mark.parametrize(("how", "spoil"), some(product(STARTS, [break_header, cut_short, make_newer]), 4))
def test_a_database_that_cannot_be_used_stops_the_start_with_one_line(data, how, spoil):
    database = data / "lockchat.sqlite3"
    advice = spoil(data)
    before = database.read_bytes()

    status, said = start(data, *STARTS[how])

    assert status != 0
    [line] = [line for line in said.splitlines() if "Lockchat cannot start" in line]
    assert str(database) in line
    assert advice in line
    assert "Traceback" not in said
    assert database.read_bytes() == before


@pytest.mark.parametrize("spoil", [break_header, cut_short, make_newer])
def test_the_app_raises_one_of_our_errors_for_such_a_database(data, spoil):
    advice = spoil(data)

    with pytest.raises((ConfigError, StorageUnavailable)) as caught:
        create_app(Config(data_dir=data))

    assert advice in caught.value.sentence


def test_a_newer_database_without_a_copy_asks_for_a_backup(data):
    edit(data / "lockchat.sqlite3", NEWEST)

    with pytest.raises(ConfigError) as caught:
        create_app(Config(data_dir=data))

    assert caught.value.sentence == (
        f"{data / 'lockchat.sqlite3'} was made by a newer version of Lockchat (revision 9999)."
        " Install that version; or, to go back to the time before the upgrade, restore a backup in its place."
    )


def test_a_newer_database_of_a_server_is_refused_by_name(storage):
    with storage.begin() as tx:
        tx.exec_driver_sql(NEWEST)

    with pytest.raises(ConfigError, match="newer version of Lockchat") as caught:
        migrate(storage)

    if not storage.is_sqlite:
        assert caught.value.sentence.endswith("(revision 9999). Install that version, or restore a backup.")


def error_named(name: str) -> sqlite3.Error:
    error = sqlite3.DatabaseError("in the words of SQLite")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            error_named("SQLITE_NOTADB"),
            "x.db is damaged, or no SQLite database. It stays as it is: move it away and restore a backup.",
        ),
        (
            error_named("SQLITE_CORRUPT_INDEX"),
            "x.db is damaged, or no SQLite database. It stays as it is: move it away and restore a backup.",
        ),
        (
            error_named("SQLITE_READONLY_DBMOVED"),
            f"x.db can only be read. Make it and its directory writable for user {os.geteuid()}.",
        ),
        (error_named("SQLITE_FULL"), "there is no room for x.db. Make room on its disk."),
        (
            error_named("SQLITE_CANTOPEN"),
            "x.db: in the words of SQLite. Check the file, its directory and LOCKCHAT_DATA_DIR.",
        ),
        (ValueError("Odd"), "x.db: Odd. Check the file, its directory and LOCKCHAT_DATA_DIR."),
    ],
    ids=["no database", "damaged", "read-only", "full", "other", "unknown"],
)
def test_an_error_of_sqlite_says_what_to_do(error, advice):
    assert files.why_unusable(Path("x.db"), error) == f"The database cannot be opened: {advice}"


def test_a_database_that_can_only_be_read_is_refused(data):
    path = f"file:{data}/lockchat.sqlite3"

    with pytest.raises(StorageUnavailable) as caught:
        migrate(Storage(f"sqlite:///{path}?mode=ro&uri=true"))

    assert f"{path} can only be read" in caught.value.sentence


def test_a_directory_is_no_database(data):
    with pytest.raises(StorageUnavailable) as caught:
        migrate(Storage(f"sqlite:///{data}"))

    assert caught.value.sentence == f"The database cannot be opened: {data} is no file. Name a file."


def test_a_directory_that_is_not_there_is_named(data):
    with pytest.raises(StorageUnavailable) as caught:
        migrate(Storage(f"sqlite:///{data}/gone/x.sqlite3"))

    assert caught.value.sentence == (
        f"The database cannot be opened: {data}/gone is no directory that user {os.geteuid()} may write to."
        " Give the directory to this user."
    )


@pytest.fixture
def settings(monkeypatch, data):
    monkeypatch.delenv("LOCKCHAT_DATABASE_URL", raising=False)
    monkeypatch.setenv("LOCKCHAT_DATA_DIR", str(data))
    return monkeypatch


def test_the_first_process_makes_the_data_directory_and_the_tables(settings, tmp_path):
    settings.setenv("LOCKCHAT_DATA_DIR", str(tmp_path / "new" / "chat"))

    main()

    with closing(sqlite3.connect(tmp_path / "new" / "chat" / "lockchat.sqlite3")) as made:
        assert made.execute("SELECT version_num FROM alembic_version").fetchall() == [(revisions()[-1],)]


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("spoil", [break_header, make_newer])
def test_the_first_process_ends_with_a_sentence(data, spoil):
    advice = spoil(data)

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code.startswith("Lockchat cannot start: ")
    assert advice in ended.value.code


def test_a_driver_that_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "webapp.storage.postgresql", raising=False)
    monkeypatch.delattr("webapp.storage.postgresql", raising=False)  # of a test before

    with pytest.raises(ConfigError) as caught:
        Storage("postgresql://user:secret@localhost/x")

    assert caught.value.sentence.startswith("LOCKCHAT_DATABASE_URL names a PostgreSQL server, whose driver cannot")
    assert caught.value.sentence.endswith(". Install it: .venv/bin/pip install -r webapp/storage/requirements.txt")
    assert "secret" not in caught.value.sentence


@pytest.fixture
def bound():
    """How to run a program that modes of files bind: root's do not, unless it gives up the right to pass them by."""
    if os.geteuid():
        return ()
    need(shutil.which("setpriv"), "setpriv")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


RIGHTS = [
    ("lockchat.sqlite3", 0o400, "cannot be read and written by user"),
    ("lockchat.sqlite3", 0o000, "cannot be read and written by user"),
    (".", 0o500, "is no directory that user"),
]


@pytest.mark.parametrize(
    ("how", "name", "mode", "advice"), some([(how, *rights) for how, rights in product(STARTS, RIGHTS)], 4)
)
def test_a_database_without_the_rights_to_it_stops_the_start_with_one_line(data, bound, how, name, mode, advice):
    (data / name).chmod(mode)

    status, said = start(data, *STARTS[how], before=bound)

    assert status != 0
    assert said.count("Lockchat cannot start") == 1
    assert f"{data / name} {advice}" in said
    assert "Traceback" not in said


def test_a_new_data_directory_that_can_only_be_read_stops_the_start_with_one_line(data, bound):
    for path in data.iterdir():
        path.unlink()
    data.chmod(0o500)

    status, said = start(data, *STARTS["flask run"], before=bound, LOCKCHAT_DATABASE_URL="sqlite:////tmp/x.sqlite3")

    assert status != 0
    assert f"{data}/secret_key cannot be made: Permission denied" in said
    assert "Traceback" not in said


def test_a_database_that_another_process_writes_is_no_read_only_one(data):
    other = sqlite3.connect(data / "lockchat.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    migrate(Storage(f"sqlite:///{data / 'lockchat.sqlite3'}"))

    other.close()


@pytest.mark.parametrize("arguments", some([["-k", "sync"], ["-k", "gthread"], ["-k", "gevent"]], 3))
def test_gunicorn_with_workers_of_another_class_is_refused(data, arguments):
    status, said = start(data, "-m", "gunicorn", *arguments, "wsgi:app")

    assert status != 0
    assert f"workers of the class '{arguments[1]}' cut long answers" in said
    assert "Traceback" not in said


def test_workers_start_when_the_upgrade_is_done(tmp_path, start_server):
    database, log = tmp_path / "x.sqlite3", tmp_path / "server.log"
    command = [sys.executable, "-c", HOLD_LOCK, f"{database}.lock", log]

    with subprocess.Popen(command, stdout=subprocess.PIPE) as other_upgrade:
        assert other_upgrade.stdout.readline() == b"locked\n"
        start_server(DATABASE_URL=f"sqlite:///{database}")

    lines = log.read_text()
    assert lines.index("Starting gunicorn") < lines.index("released") < lines.index("Booting worker")


HOLD_LOCK = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
log = open(sys.argv[2], "a+")
while not log.seek(0) and "Starting gunicorn" not in log.read():
    time.sleep(0.02)
time.sleep(2)  # a worker would have started in this time
log.write("released\\n")
log.flush()
"""


def test_a_missing_driver_of_postgresql_stops_the_start_with_one_line(data):
    program = (
        "import runpy, sys; sys.modules['psycopg'] = None;"
        "runpy.run_module('webapp.storage.migrate', run_name='__main__')"
    )

    status, said = start(data, "-c", program, LOCKCHAT_DATABASE_URL="postgresql://user:secret@localhost/x")

    assert status != 0
    [line] = said.splitlines()
    assert "Lockchat cannot start: LOCKCHAT_DATABASE_URL names a PostgreSQL server" in line
    assert "pip install -r webapp/storage/requirements.txt" in line
    assert "secret" not in line


def test_the_revisions_are_those_of_alembic():
    scripts = ScriptDirectory.from_config(_alembic())

    assert revisions() == [script.revision for script in scripts.walk_revisions()][::-1]


def test_a_start_on_a_current_file_and_what_it_stores_load_no_alembic_and_nothing_of_postgresql(data):
    program = (
        "import sys; from datetime import datetime; from webapp import create_app, storage;"
        "app = create_app(); app.test_client().get('/'); now = datetime(2026, 1, 1);"
        "run = app.extensions['lockchat'].storage.run; run(lambda tx: storage.throttles.levels(tx, ['key'], now));"
        "run(lambda tx: storage.spending.book_unstored(tx, '', '', storage.messages.Outcome('done'), (1, 1, 0), now));"
        "sys.exit([name for name in sys.modules if name.startswith(('alembic', 'psycopg')) or 'postgres' in name] or 0)"
    )

    assert start(data, "-c", program) == (0, "")


def test_a_worker_shares_the_objects_of_the_process_that_starts_it(tmp_path):
    hooks = "import gc, runpy; hooks = runpy.run_path('gunicorn.conf.py'); hooks['pre_fork'](None, runpy)"

    done = subprocess.run(
        [sys.executable, "-c", f"{hooks}; print(gc.get_freeze_count() > 0, len(gc.get_objects()) < 1000)"],
        cwd=ROOT,
        env=os.environ | {"LOCKCHAT_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["True", "True"]
