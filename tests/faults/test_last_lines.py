"""The last lines of the log when an administrator stops the server: none of them looks like an error."""

from __future__ import annotations

import signal
from contextlib import nullcontext

import pytest

pytestmark = pytest.mark.faults


def terminate(server):
    """As systemd and `kill` do: the first process, which then tells the worker."""
    server.signal(signal.SIGTERM)


def interrupt(server):
    """As Ctrl-C does: every process that the terminal knows."""
    for process in [server.master, *server.workers()]:
        process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("is_open", [True, False], ids=["with an open page", "without a page"])
@pytest.mark.parametrize("stop", [terminate, interrupt])
def test_a_stop_ends_the_log_without_a_traceback(server, alice, stop, is_open):
    stream = alice.get("/changes", stream=True) if is_open else nullcontext()

    with stream:
        stop(server)
        status = server.wait()

    log = server.log.read_text()
    assert status == 0
    assert log.splitlines()[-1].endswith("Shutting down: Master")
    assert "Exception ignored" not in log
    assert "Traceback" not in log
