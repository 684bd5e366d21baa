"""A disk that takes its time to confirm a commit delays who waits for the commit, and no stream."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests import databases
from tests.bench.load import stage
from tests.conftest import need
from tests.upstream import Wait, body, token
from tests.visitor import Visitor
from tests.wait import wait_until

pytestmark = pytest.mark.skipif(bool(databases.SERVER), reason="PostgreSQL writes its files by itself")

WORDS = 1_000


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """Servers that start from here on wait for the disk while this file exists."""
    need(shutil.which("cc"), "a C compiler (Debian: gcc, libc6-dev)")
    monkeypatch.setenv("LD_PRELOAD", str(stage.compiled("slow_disk", "-shared", "-fPIC", "-ldl")))
    monkeypatch.setenv("STUCK_DISK", str(tmp_path / "disk"))
    yield tmp_path / "disk"
    (tmp_path / "disk").unlink(missing_ok=True)


def test_a_stream_goes_on_while_a_send_waits_for_the_disk(start_server, upstream, disk):
    upstream.answer(*body(*(step for number in range(WORDS) for step in (token(f" word{number}"), Wait(0.02)))))
    server = start_server()
    with (
        ThreadPoolExecutor() as pool,
        Visitor(server.url) as alice,
        Visitor(server.url) as bob,
        closing(alice.events(alice.new_chat("Count"))) as events,
    ):
        bob.get("/")
        next(event for event in events if "word1" in event.data)

        disk.touch()
        sent = pool.submit(bob.new_chat, "Hello")
        wait_until(disk.with_name("disk.waiting").exists, 20, "the commit")
        patches = [next(events) for _ in range(20)]
        is_stored = sent.done()
        disk.unlink()

        assert "word" in patches[-1].data
        assert not is_stored
        bob.end(sent.result())
        assert bob.raw(sent.result()) == "Hello world"
