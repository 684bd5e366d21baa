"""The servers that tests start: none of them outlives its test."""

from __future__ import annotations

import psutil
import pytest

from tests.server import Server


def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path):
    with pytest.raises(AssertionError, match="not ready within 0 s: "):
        Server(tmp_path, ready_seconds=0)

    left = [process.cmdline() for process in psutil.Process().children(recursive=True)]
    assert [command for command in left if "gunicorn" in command] == []
