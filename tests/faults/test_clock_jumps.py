"""The wall clock jumps by a day in the middle of an answer: nobody notices."""

from __future__ import annotations

import shutil
import subprocess
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.conftest import need
from tests.faults.drip import Drip
from tests.faults.vitals import Vitals
from tests.upstream import tokens
from tests.visitor import text_of
from tests.wait import wait_until

pytestmark = pytest.mark.faults

DAY = 86_400


@pytest.fixture
def set_clock(tmp_path, monkeypatch):
    """Set the clock of servers that start from here on to so many seconds from now, at any time."""
    compiler, library, file = shutil.which("cc"), tmp_path / "clock.so", tmp_path / "clock"
    need(compiler, "a C compiler (Debian: gcc, libc6-dev)")
    source = Path(__file__).with_name("clock.c")
    subprocess.run([str(compiler), "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)

    def set_clock(seconds):
        draft = tmp_path / "clock.draft"
        draft.write_text(f"{seconds}\n")
        draft.replace(file)

    set_clock(0)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("FAKE_CLOCK", str(file))
    return set_clock


@pytest.mark.parametrize("days", [1, -1], ids=["forward", "back"])
def test_a_jump_of_a_day(set_clock, start_server, open_browser, upstream, database, days):
    drip = Drip()
    upstream.always(drip)
    server = start_server(workers=1)
    alice = open_browser(server)
    before, date = Vitals.of(server, upstream), date_of(alice)
    reply = alice.new_chat("Before")
    events = alice.events(reply)
    next(event for event in events if "слово5" in event.data)

    set_clock(days * DAY)
    wait_until(lambda: abs(date_of(alice) - date - days * DAY) < 600, 60, "the jump")

    length = len(drip.text())
    wait_until(lambda: len(drip.text()) > length + 500, 60)  # some seconds, in which nobody must be given up
    drip.finish.set()
    assert '"why":"done"' in [event.data for event in events][-1]
    assert database.wait_for(reply, "done").text == drip.text()
    assert "Before" in text_of(alice.page()), "the cookie is worth what it was"
    upstream.always(*tokens("Hello"))
    after = alice.say("After")
    database.wait_for(after, "done")
    page = text_of(alice.page())
    assert page.index("Before") < page.index("After")
    before.are_back(server, upstream)


def date_of(visitor):
    """The server's clock, in seconds."""
    return parsedate_to_datetime(visitor.get("/healthz").headers["Date"]).timestamp()
