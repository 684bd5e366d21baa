"""Waiting for what is to come, with a deadline: no test sleeps to be right."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

POLL_SECONDS = 0.02

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], seconds: float, what: str = "") -> Value:
    """The first true value of `condition`. Fails when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        is_late = time.monotonic() > deadline  # before the look, as the process may stand still in between
        if value := condition():
            return value
        assert not is_late, f"waited {seconds} s in vain for {what or condition}; last: {value!r}"
        time.sleep(POLL_SECONDS)
