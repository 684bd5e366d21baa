"""Whether anything holds a server: how long its loop was kept from its other work, and whether /healthz answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.server import ROOT, Server
from tests.wait import wait_until

LIMIT_SECONDS = 0.25  # of processor time
# A held worker is killed after this; the product waits 60 s.
WORKER_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Held:
    """One time that the loop was kept from its other work, as `tests.watched` notes it.

    `at` is when it ended, on the monotonic clock; `busy` the processor time that the worker used meanwhile; `stack`
    where the loop was, innermost first, if it was long enough to look.
    """

    at: float
    seconds: float
    busy: float
    stack: list[str]

    @property
    def counted(self) -> float:
        """The seconds that are the worker's own fault, not the machine's."""
        return min(self.seconds, self.busy)


def watched(log: Path, seconds: int = WORKER_SECONDS) -> dict[str, Any]:
    """The arguments that make a `Server` note in `log` what holds its loop, and kill a worker held for `seconds`."""
    return {"app": "tests.watched:app", "arguments": ("--env", f"LOOP_LOG={log}", "--timeout", str(seconds))}


def held_since(log: Path, since: float) -> list[Held]:
    """All such times that ended since then, and the moments at which nothing was noted."""
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    helds = [Held(**json.loads(line)) for line in lines if line.endswith("\n")]
    return [held for held in helds if held.at >= since]


def longest(log: Path, since: float) -> Held:
    """The worst time that the loop was held since then, up to now. Fails when the loop does not come back."""
    now = time.monotonic()
    wait_until(lambda: held_since(log, now), 2 * WORKER_SECONDS, "the loop")
    return max(held_since(log, since), key=lambda held: held.counted)


class Watchdog:
    """`with Watchdog(server, log):` fails when what happens inside holds the only worker, or ends it.

    /healthz is asked all the while, and must answer each time. How long the loop is held comes from the worker
    itself, in processor time: an answer of /healthz comes late on a busy machine too.
    """

    def __init__(self, server: Server, log: Path) -> None:
        self._server = server
        self._log = log

    def __enter__(self) -> None:
        self._worker = self._server.worker().pid
        self._prober = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.prober", "127.0.0.1", str(self._server.port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._prober.stdout
        assert self._prober.stdout.readline() == "ready\n"
        self._started = time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        answers = json.loads(self._prober.communicate()[0])
        worst = longest(self._log, self._started)
        print(f"held {worst.counted * 1000:.0f} ms; the slowest answer took {answers['longest'] * 1000:.0f} ms")
        pids = [worker.pid for worker in self._server.workers()]
        assert pids == [self._worker], f"the worker was killed; it was held {worst.counted:.1f} s before"
        assert worst.counted < LIMIT_SECONDS, f"held {worst.counted:.2f} s in {' < '.join(worst.stack)}"
        assert answers["asked"]
        assert not answers["failed"], answers["failed"]
