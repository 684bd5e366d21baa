"""The files of a SQLite database: their private modes, and the copies made before migrations."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from webapp.errors import ConfigError, StorageUnavailable

COPY_SECONDS = 14 * 86_400.0  # long enough to notice that an upgrade went wrong


def make_private(database: str | None) -> None:
    """Make a database's files readable by their owner only; create the database file if it is missing.

    SQLite gives WAL and SHM the mode of the database. Skips files of other owners.
    """
    if not is_file_name(database):
        return
    path = Path(database or "")
    # O_EXCL: closing a file that SQLite has open in this process would release SQLite's locks on it.
    # Errors are ignored here: opening the database reports them.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    for file in [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".lock")), *copies(path)]:
        with suppress(OSError):
            mode = file.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                file.chmod(mode & 0o700)


def make_directory(path: Path) -> None:
    """Make the data directory, private to its owner, unless it exists. Raises ConfigError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"LOCKCHAT_DATA_DIR={str(path)!r} cannot be used: {error.strerror}.") from None


def check(database: Path) -> None:
    """Raise StorageUnavailable for a database that this user cannot read and write, before SQLite opens it."""
    if not os.access(database.parent, os.W_OK | os.X_OK):
        raise _unusable(
            f"{database.parent} is no directory that {_user()} may write to. Give the directory to this user"
        )
    if database.exists() and not database.is_file():
        raise _unusable(f"{database} is no file. Name a file")
    if database.exists() and not os.access(database, os.R_OK | os.W_OK):
        raise _unusable(f"{database} cannot be read and written by {_user()}. Give the file to this user")


def why_unusable(database: Path, error: BaseException | None) -> str:
    """The sentence for an error of the driver: names the file and what to do."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        advice = f"{database} is damaged, or no SQLite database. It stays as it is: move it away and restore a backup"
    elif name.startswith("SQLITE_READONLY"):
        advice = f"{database} can only be read. Make it and its directory writable for {_user()}"
    elif name == "SQLITE_FULL":
        advice = f"there is no room for {database}. Make room on its disk"
    else:
        advice = f"{database}: {error}. Check the file, its directory and LOCKCHAT_DATA_DIR"
    return _unusable(advice).sentence


def _unusable(advice: str) -> StorageUnavailable:
    return StorageUnavailable(f"The database cannot be opened: {advice}.")


def _user() -> str:
    return f"user {os.geteuid()}"


def is_file_name(database: str | None) -> bool:
    """Whether SQLite takes this name of a database for a path."""
    return bool(database) and not str(database).startswith("file:")


def copy_before(database: Path, revision: str) -> Path:
    """The path of the copy made before the upgrade from a revision."""
    return database.with_name(f"{database.name}.before-{revision}")


def copy(database: Path, revision: str) -> None:
    """Copy a database to `NAME.before-REVISION`. An interrupted copy leaves no file of that name."""
    target = copy_before(database, revision)
    draft = target.with_name(f"{target.name}.part")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(draft)) as copied:
        source.backup(copied)
    draft.rename(target)


def copies(database: Path) -> Iterator[Path]:
    """The copies of a database made before migrations."""
    start = f"{database.name}.before-"
    with suppress(OSError):
        yield from [file for file in database.parent.iterdir() if file.name.startswith(start)]


def remove_old_copies(database: str | None, *, now: float | None = None) -> None:
    """Delete copies older than COPY_SECONDS. `now` is in seconds since 1970."""
    oldest = (time.time() if now is None else now) - COPY_SECONDS
    for file in copies(Path(database)) if database else ():
        with suppress(OSError):
            if file.stat().st_mtime < oldest:
                file.unlink()
