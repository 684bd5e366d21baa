"""The database misbehaves: nothing is half-stored, nothing typed is lost, and running answers go on."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import databases
from tests.conftest import need
from tests.faults.vitals import Database, Vitals, draft_of, send_in_vain
from tests.faults.watcher import Watcher
from tests.visitor import text_of
from tests.wait import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.skipif(bool(databases.SERVER), reason="these are faults of SQLite")]

DISK_BYTES = 3 * 2**20
UNSAVED = "This answer could not be saved yet."


class Lock:
    """The write lock of a SQLite file, held by somebody else."""

    def __init__(self, path):
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self):
        self._connection.close()


@pytest.fixture
def path(database_url):
    return database_url.removeprefix("sqlite:///")


def test_a_lock_of_two_seconds_delays_a_send_and_no_stream(alice, server, upstream, drip, database, path):
    watcher = Watcher(alice, reply := alice.new_chat("Drip"))
    lock, locked = Lock(path), time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(alice.new_chat, "Wait for it")
        wait_until(lambda: time.monotonic() > locked + 2, 3)
        watcher.goes_on()  # what was on its way before the lock has come by now
        assert not second.done() or time.monotonic() > locked + 6  # it is refused after 8
        released = time.monotonic()
        lock.release()
    stored = time.monotonic()

    assert stored - released < 5  # the send tries again each 0.1 s
    database.wait_for(second.result(), "done")
    drip.finish.set()
    assert watcher.end().event == "end"
    assert database.message(reply).text == drip.text()


def test_a_long_lock_refuses_sends_with_their_text_and_no_stream(alice, server, upstream, drip, database, path):
    before = Vitals.of(server, upstream)
    watcher = Watcher(alice, reply := alice.new_chat("Drip"))
    lock = Lock(path)

    assert watcher.went_on(*send_in_vain(alice, "Typed <b>", "k"))
    drip.finish.set()  # it ends while nothing can be stored
    assert UNSAVED in watcher.end().data
    assert UNSAVED in text_of(alice.page())
    assert alice.raw(reply) == drip.text()
    assert database.message(reply).status == "streaming"
    lock.release()
    assert database.wait_for(reply, "done").text == drip.text()
    assert UNSAVED not in text_of(alice.page())
    assert [row.text for row in database.all("user")] == ["Drip"]
    assert len(upstream.requests) == 1
    before.are_back(server, upstream)


def test_a_worker_begins_while_the_database_is_locked(alice, server, drip, path):
    alice.new_chat("Drip")
    lock = Lock(path)

    server.replace_worker()

    assert "Drip" in alice.page()
    lock.release()


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    need(shutil.which("mount"), "mount")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], capture_output=True)
    need(mounted.returncode == 0, "the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    """Leave no byte free."""
    with (place / "filler").open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def test_a_full_disk_stores_nothing_by_halves(start_server, open_browser, upstream, drip, disk):
    database_url = f"sqlite:///{disk / 'lockchat.sqlite3'}"
    server, database = start_server(DATABASE_URL=database_url), Database(database_url)
    alice = open_browser(server)
    before = Vitals.of(server, upstream)
    watcher = Watcher(alice, reply := alice.new_chat("Drip"))
    fill(disk)

    answer = alice.post_form(f"/c/{alice.conversation_id}/messages", text="Typed", key="k")

    assert answer.status_code == 507
    assert "The server's disk is full." in text_of(answer.text)
    assert draft_of(answer.text) == "Typed"
    assert [row.text for row in database.all("user")] == ["Drip"]
    assert len(upstream.requests) == 1
    watcher.goes_on()
    drip.finish.set()
    assert UNSAVED in watcher.end().data
    assert alice.raw(reply) == drip.text()
    (disk / "filler").unlink()
    assert database.wait_for(reply, "done").text == drip.text()
    again = alice.post_form(f"/c/{alice.conversation_id}/messages", text="Typed", key="k")
    database.wait_for(again.headers["Location"].partition("#m-")[2], "done")
    assert database.piece_count() == 0
    before.are_back(server, upstream)
    database.close()


@pytest.fixture
def make_read_only(path):
    """Make the database's files unchangeable, also for root and for those who have them open; False: as before."""

    def make_read_only(on=True):
        files = [name for name in (path, path + "-wal", path + "-shm") if on or name]
        return subprocess.run(["chattr", "+i" if on else "-i", *files], capture_output=True).returncode == 0

    yield make_read_only
    make_read_only(False)


def test_a_read_only_database_refuses_sends_and_recovers(alice, server, upstream, drip, database, make_read_only):
    before = Vitals.of(server, upstream)
    watcher = Watcher(alice, reply := alice.new_chat("Drip"))
    need(shutil.which("chattr") and make_read_only(), "a file system that knows immutable files")

    def post(number):
        return alice.post_form(f"/c/{alice.conversation_id}/messages", text="Typed", key=f"key {number}")

    with ThreadPoolExecutor(12) as pool:  # more than the connections that are open already
        answers = list(pool.map(post, range(12)))

    assert {answer.status_code for answer in answers} == {503}, [text_of(answer.text) for answer in answers]
    assert draft_of(answers[0].text) == "Typed"
    assert len(upstream.requests) == 1
    watcher.goes_on()
    assert alice.page()
    drip.finish.set()
    assert UNSAVED in watcher.end().data
    assert make_read_only(False)
    assert database.wait_for(reply, "done").text == drip.text()
    assert [row.text for row in database.all("user")] == ["Drip"]
    with ThreadPoolExecutor(12) as pool:
        assert {answer.status_code for answer in pool.map(post, range(12, 24))} == {303}
    before.are_back(server, upstream)
