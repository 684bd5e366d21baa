"""A soak: fifty honest streams on a server that is attacked in every known way at once.

    python -m tests.bench.soak --minutes 10

Upstream, honest readers and attackers are processes of their own; all stays on the loopback network. Prints one
table. A stream that lags over 500 ms, one that ended wrong, or a worker that was killed is a failure, but for what
the first row shows: the lag of the upstream's words without the server in between, which is the machine's own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.bench import attack, honest, talker
from tests.faults.watchdog import longest, watched
from tests.server import Server

LIMIT_MILLISECONDS = 500
SAMPLE_SECONDS = 1.0
REST_SECONDS = 20.0  # after the load, for the memory to return


@dataclass
class Vitals:
    """The worker over time: memory in bytes (PSS), open descriptors, and every process id it had."""

    server: Server
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)

    def sample(self, is_over: threading.Event) -> None:
        """Look once a second until it is over."""
        while True:
            self.look()
            if is_over.wait(SAMPLE_SECONDS):
                return

    def look(self) -> None:
        try:
            worker = self.server.worker()
            self.memory.append(worker.memory_full_info().pss)
            self.descriptors.append(worker.num_fds())
        except (ValueError, psutil.Error):  # between two workers
            return
        if worker.pid not in self.pids:
            self.pids.append(worker.pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--no-attack", action="store_true", help="the honest streams alone, to compare")
    parser.add_argument("--database", help="an empty PostgreSQL database; a SQLite file unless given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        soak(Path(directory), options)


def soak(directory: Path, options: argparse.Namespace) -> None:
    """Run it all, and print the table."""
    upstream, port = start(talker.serve)
    upstream_url = f"http://127.0.0.1:{port.recv()}"
    database = options.database or f"sqlite:///{directory / 'lockchat.sqlite3'}"
    log = directory / "loop.log"
    arguments = watched(log, seconds=60)
    server = Server(directory, URL=upstream_url, DATABASE_URL=database, **arguments)
    try:
        vitals, is_over = Vitals(server), threading.Event()
        sampler = threading.Thread(target=vitals.sample, args=(is_over,))
        sampler.start()
        since = time.monotonic()
        until = since + options.minutes * 60
        _, readers = start(honest.read, server.url, upstream_url, options.readers, until)
        attacks = None if options.no_attack else start(attack.attack, server.url, until)[1]
        rows = readers.recv()
        tally = attacks.recv() if attacks else []
        time.sleep(REST_SECONDS)
        is_over.set()
        sampler.join()
        report(rows, tally, vitals, log, since)
    finally:
        server.kill()
        upstream.kill()


def start(target: Callable[..., None], *arguments: object) -> tuple[Any, Any]:
    """Run a function in a new process; it gets a pipe as its last argument, whose other end is returned."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def report(rows: list[honest.Reader], tally: list[str], vitals: Vitals, log: Path, since: float) -> None:
    print(f"{'stream':20} {'answers':>8} {'wrong':>6} {'p50':>7} {'p99':>7} {'max':>7}  lag in ms")
    for row in rows:
        print(line(row))
    _control, *readers = rows
    together = honest.Reader("all readers")
    together.answers = sum(row.answers for row in readers)
    together.wrong = [problem for row in readers for problem in row.wrong]
    together.lags = [lag for row in readers for lag in row.lags]
    print(line(together))
    late = [row for row in readers if max(row.lags, default=0) > LIMIT_MILLISECONDS]
    print(f"{'over 500 ms':20} {len(late):8}")
    memory = [vitals.memory[0], max(vitals.memory), vitals.memory[-1]]
    print(f"{'PSS':20} " + ", ".join(f"{size / 2**20:.0f} MB" for size in memory) + " (start, highest, end)")
    descriptors = [vitals.descriptors[0], max(vitals.descriptors), vitals.descriptors[-1]]
    print(f"{'descriptors':20} " + ", ".join(map(str, descriptors)) + " (start, highest, end)")
    print(f"{'workers':20} {len(vitals.pids)}" + (", so some were killed" if len(vitals.pids) > 1 else ""))
    worst = longest(log, since)
    print(f"{'held at the longest':20} {worst.counted * 1000:.0f} ms {' < '.join(worst.stack)}")
    for words in [*tally, *sorted(set(together.wrong))[:5]]:
        print(words)


def line(row: honest.Reader) -> str:
    lags = sorted(row.lags) or [float("nan")]
    figures = (lags[len(lags) // 2], lags[int(len(lags) * 0.99)], lags[-1])
    return f"{row.name:20} {row.answers:8} {len(row.wrong):6} " + " ".join(f"{figure:7.0f}" for figure in figures)


if __name__ == "__main__":
    main()
