"""The files of a SQLite database: private, whatever the umask; and the copies made before migrations."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

COPY_SECONDS = 14 * 86_400.0  # long enough to notice that an upgrade went wrong


def make_private(database: str | None) -> None:
    """Make a database's files readable by their owner only; an absent database becomes an empty file.

    SQLite gives WAL and SHM the mode of the database. Files of other owners stay as they are.
    """
    if not database or database == ":memory:" or database.startswith("file:"):
        return
    path = Path(database)
    # Only a new file: closing one that is open in this process would let go of SQLite's locks on it.
    # Whoever opens the database is told why it cannot be used.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for file in [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".lock")), *copies(path)]:
        with suppress(OSError):
            mode = file.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                file.chmod(mode & 0o700)


def copy(database: Path, revision: str) -> None:
    """Copy a database as it was at a revision to `NAME.before-REVISION`; a copy is whole or not there."""
    target = database.with_name(f"{database.name}.before-{revision}")
    draft = target.with_name(f"{target.name}.part")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with sqlite3.connect(database) as source, sqlite3.connect(draft) as copied:
        source.backup(copied)
    source.close()
    copied.close()
    draft.rename(target)


def copies(database: Path) -> Iterator[Path]:
    """The copies of a database that were made before migrations."""
    start = f"{database.name}.before-"
    with suppress(OSError):
        yield from [file for file in database.parent.iterdir() if file.name.startswith(start)]


def remove_old_copies(database: str | None, *, now: float | None = None) -> None:
    """Remove the copies older than COPY_SECONDS. `now` is in seconds since 1970."""
    oldest = (time.time() if now is None else now) - COPY_SECONDS
    for file in copies(Path(database)) if database else ():
        with suppress(OSError):
            if file.stat().st_mtime < oldest:
                file.unlink()
