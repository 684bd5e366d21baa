"""The last lines of the log when an administrator stops the server: none of them looks like an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress

import psutil
import pytest

from tests.server import ROOT, Server, free_port
from tests.wait import wait_until

pytestmark = pytest.mark.faults


@pytest.fixture
def start(tmp_path, database_url, upstream):
    """Start gunicorn as a shell does, in a group of its own; it may not be ready yet. Returns it and its log."""
    log = tmp_path / "start.log"
    settings = {
        "URL": upstream.url,
        "DATABASE_URL": database_url,
        "DATA_DIR": tmp_path,
        "BIND": f"127.0.0.1:{free_port()}",
    }
    environment = os.environ | {f"LOCKCHAT_{name}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=file,
            process_group=0,
            # What a script runs in the background ignores Ctrl-C, and so would this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    yield process, log
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.mark.parametrize("is_open", [True, False], ids=["with an open page", "without a page"])
@pytest.mark.parametrize("stop", [Server.terminate, Server.interrupt])
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


@pytest.mark.parametrize("line", ["Starting gunicorn", "Booting worker"])
def test_ctrl_c_ends_a_start_without_a_traceback(start, line):
    process, log = start
    wait_until(lambda: line in log.read_text(), 60, line)

    children = psutil.Process(process.pid).children()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(30)
    psutil.wait_procs(children, 30)  # an upgrade of the database runs to its end

    assert "Traceback" not in log.read_text()
    assert "Exception ignored" not in log.read_text()
    assert "SIGKILL" not in log.read_text()
