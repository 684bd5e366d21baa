"""The power fails: what a user was told is stored is there, in every copy of the files taken while it runs."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import struct
import threading
import time
from pathlib import Path

import pytest

from tests import databases
from tests.upstream import Request, Wait, body, token
from tests.wait import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.skipif(bool(databases.SERVER), reason="PostgreSQL keeps its own files")]

COPIES = 15
ACKNOWLEDGED = 50
LOG_HEAD_BYTES = 32
FRAME_BYTES = 24 + 4096
USERS = 3


def answer(request: Request):
    """An answer of half a second."""
    words = [token(f"word{number} ") for number in range(20)]
    return body(*[step for word in words for step in (word, Wait(0.02))], b"data: [DONE]\n\n")


class Sender(threading.Thread):
    """Sends one question after another, and notes each that was acknowledged."""

    def __init__(self, visitor, acknowledged):
        super().__init__()
        self._visitor = visitor
        self._acknowledged = acknowledged
        self.is_over = threading.Event()

    def run(self):
        number = 0
        while not self.is_over.is_set():
            text = f"{self.name} asks {number}: " + "long " * 200
            reply = self._visitor.new_chat(text)
            self._acknowledged.append((reply, text.strip()))
            number += 1


def copy_at_once(server, database: Path, target: Path) -> bytes:
    """Copy the files as they are at one moment, when nobody writes; the log's index, which is no file on a disk."""
    worker = server.worker()
    worker.suspend()
    try:
        wait_until(lambda: are_stopped(worker.pid), 60, "all threads to stand still")
        target.mkdir()
        shutil.copyfile(database, target / database.name)
        shutil.copyfile(f"{database}-wal", target / f"{database.name}-wal")
        return Path(f"{database}-shm").read_bytes()
    finally:
        worker.resume()


def are_stopped(pid):
    """Whether every thread of a process has taken its SIGSTOP."""
    files = Path(f"/proc/{pid}/task").glob("*/stat")
    with contextlib.suppress(OSError):  # a thread has just ended
        return {file.read_text().rpartition(")")[2].split()[0] for file in files} == {"T"}
    return False


def questions_in(database: Path):
    """The question of each reply, from a database that must be whole."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        query = "SELECT r.id, q.text FROM messages r JOIN messages q ON q.id = r.parent_id"
        return {reply: text.strip() for reply, text in connection.execute(query)}


def test_every_copy_holds_what_was_acknowledged(start_server, open_browser, upstream, database_url, tmp_path):
    database = Path(database_url.removeprefix("sqlite:///"))
    seed = random.randrange(2**32)
    print("seed", seed)
    choose = random.Random(seed)
    upstream.always(answer)
    server = start_server(STREAMS_PER_USER=1000, STREAMS_TOTAL=10_000)
    acknowledged: list[tuple[str, str]] = []
    senders = [Sender(open_browser(server), acknowledged) for _ in range(USERS)]
    for sender in senders:
        sender.start()

    promised = []
    try:
        while len(promised) < COPIES or (len(promised[-1][0]) <= ACKNOWLEDGED and len(promised) < 20 * COPIES):
            until = time.monotonic() + choose.uniform(0.05, 0.5)
            wait_until(lambda until=until: time.monotonic() > until, 1)
            promise = dict(acknowledged)
            promised.append((promise, copy_at_once(server, database, tmp_path / f"copy{len(promised)}")))
    finally:
        for sender in senders:
            sender.is_over.set()
            sender.join()

    assert len(promised[-1][0]) > ACKNOWLEDGED
    for number, (promise, index) in enumerate(promised):
        place = tmp_path / f"copy{number}" / database.name
        torn = torn_copy(place, index, tmp_path / f"torn{number}", choose)
        assert promise.items() <= questions_in(place).items()
        assert questions_in(torn).items() <= questions_in(place).items()
    print("acknowledged", len(acknowledged))


def torn_copy(place: Path, index: bytes, target: Path, choose: random.Random) -> Path:
    """The copy without the end of its log, which had not reached the disk.

    What a checkpoint has begun to move into the database was synced before, so it is not cut away. `index` is the
    log's index: https://sqlite.org/walformat.html#the_wal_index_file_format
    """
    target.mkdir()
    shutil.copyfile(place, target / place.name)
    frames, attempted = (struct.unpack_from("=I", index, at)[0] for at in (16, 128))
    log = Path(f"{place}-wal").read_bytes()
    cut = choose.randint(LOG_HEAD_BYTES + attempted * FRAME_BYTES, LOG_HEAD_BYTES + frames * FRAME_BYTES)
    (target / f"{place.name}-wal").write_bytes(log[:cut])
    return target / place.name
