"""The product under load, beside nginx's bare pass-through on the same core: python -m tests.bench.load

Each stream is a user of its own who reads 30 tokens a second of a Markdown answer. Servers run in turn, pinned to one
core; upstream and client, two small C programs, run on another. Written out are the medians of the repeats:

    CPU a token   processor time of the server's processes; and how many times nginx's
    core          the share of its core that the server uses
    lag           from the upstream's socket until the client has the token, in milliseconds
    delivered     what the client got of all that the upstream sent meanwhile
    sent          what the upstream sent of what it would at full speed: it sends less to a server that reads slowly
    failed        streams that were refused or broke
    new page      the median and the longest time of GET / meanwhile, in milliseconds
    memory        PSS, idle after the first page, and what each stream adds
    wire          bytes to the client for each token
    load          the shares of a core that the upstream and the client use: above 0.7 in all they limit what is seen

A quiet machine, or the figures mean nothing. `--tables pages` and `--tables stalls` are in modules of their own.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.load import pages, stalls
from tests.bench.load.stage import (
    LITELLM_COMMAND,
    Client,
    Cores,
    LiteLLM,
    Lockchat,
    Nginx,
    Upstream,
    memory_mb,
    versions,
)

RATE = 30  # tokens a second of each stream
ENDLESS = 100_000_000
WARM_SECONDS = 2.0
PAGE_SECONDS = 0.5
HEAD = (
    "| streams | server | CPU a token | ratio | core | lag p50 / p99 / max | delivered | sent | failed | new page |"
    " idle | a stream | wire | load: upstream + client |"
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one run showed. Times in milliseconds, shares of 1, memory in MB and KB."""

    cpu_us: float
    core: float
    lag_p50: float
    lag_p99: float
    lag_max: float
    delivered: float
    sent: float
    failed: float
    page_p50: float
    page_max: float
    idle_mb: float
    stream_kb: float
    wire_bytes: float
    upstream_core: float
    client_core: float
    ratio: float = 1.0


def main() -> None:
    options = parsed()
    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, {cores.load})
    print(versions() + "\n", flush=True)
    if "streams" in options.tables:
        table_of_streams(options, cores)
    if "pages" in options.tables:
        pages.table(cores, options.requests)
    if "stalls" in options.tables:
        stalls.table(cores, options.stall_streams, options.import_mb)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description="See the module's first lines.")
    parser.add_argument("--tables", nargs="+", default=["streams", "pages"], choices=["streams", "pages", "stalls"])
    parser.add_argument("--streams", type=int, nargs="+", default=[20, 100, 500, 1000, 2000], metavar="N")
    parser.add_argument("--seconds", type=float, default=8, help="of each window")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100, help="of each page, in the table of pages")
    parser.add_argument("--stall-streams", type=int, default=100, help="streams meanwhile, in the table of stalls")
    parser.add_argument("--import-mb", type=float, default=60, help="the size of its import")
    return parser.parse_args()


def table_of_streams(options: argparse.Namespace, cores: Cores) -> None:
    servers: list[Callable[..., Any]] = [Nginx, Lockchat]
    if LITELLM_COMMAND.exists():
        servers.append(LiteLLM)
    print(HEAD)
    print("|---" * (HEAD.count("|") - 1) + "|", flush=True)
    for streams in options.streams:
        rows: dict[str, list[Row]] = {}
        for _ in range(options.repeats):
            base = None
            for server in servers:
                row = measured(server, cores, streams, options.seconds)
                base = base or row.cpu_us
                rows.setdefault(server.name, []).append(dataclasses.replace(row, ratio=row.cpu_us / base))
        for name, runs in rows.items():
            print(line(name, streams, middle(runs)), flush=True)


def measured(make: Callable[..., Any], cores: Cores, streams: int, seconds: float) -> Row:
    """One run of one server with so many streams."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Upstream(Path(name)) as upstream:
        directory = Path(name)
        server = make(directory, cores, upstream)
        try:
            get_page(server.port)
            time.sleep(1)
            idle_mb = memory_mb(server.root)
            requests = server.requests(streams, f"Hello #n={ENDLESS},r={RATE},s=-1,d=0,h=1#")
            with Client(directory, server.port, requests, upstream, server.root) as client:
                time.sleep(WARM_SECONDS)
                client.window()
                page_times = pages_during(server, seconds)
                window = client.window()
                return row_of(window, page_times, streams, idle_mb, memory_mb(server.root))
        finally:
            server.close()


def pages_during(server: Any, seconds: float) -> list[float]:
    """The milliseconds that a new page took, again and again; [] for servers without pages."""
    times: list[float] = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if isinstance(server, Lockchat) and left > PAGE_SECONDS:
            thread = threading.Thread(target=lambda: times.append(get_page(server.port)))
            thread.start()
            thread.join()
        time.sleep(max(min(PAGE_SECONDS, until - time.monotonic()), 0))
    return times


def get_page(port: int) -> float:
    started = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            answer.read()
    except urllib.error.HTTPError:  # nginx and LiteLLM have no page there
        pass
    return (time.monotonic() - started) * 1000


def row_of(window: dict[str, Any], page_times: list[float], streams: int, idle_mb: float, busy_mb: float) -> Row:
    delivered = window["times"] / max(window["sent_times"], 1)
    tokens = max(window["sent_tokens"] * delivered, 1)
    seconds = window["seconds"]
    if window["problem"]:
        print(f"<!-- {window['problem']} -->")
    return Row(
        cpu_us=window["server_seconds"] / tokens * 1e6,
        core=window["server_seconds"] / seconds,
        lag_p50=window["lag_p50"],
        lag_p99=window["lag_p99"],
        lag_max=window["lag_max"],
        delivered=delivered,
        sent=window["sent_tokens"] / (streams * RATE * seconds),
        failed=window["failed"],
        page_p50=median(page_times or [0]),
        page_max=max(page_times, default=0),
        idle_mb=idle_mb,
        stream_kb=(busy_mb - idle_mb) * 1024 / streams,
        wire_bytes=window["bytes"] / tokens,
        upstream_core=window["upstream_seconds"] / seconds,
        client_core=window["client_seconds"] / seconds,
    )


def middle(rows: list[Row]) -> Row:
    """The median of each column."""
    fields = [field.name for field in dataclasses.fields(Row)]
    return Row(**{name: median(getattr(row, name) for row in rows) for name in fields})


def line(name: str, streams: int, row: Row) -> str:
    page = f"{row.page_p50:.0f} / {row.page_max:.0f} ms" if row.page_max else ""
    return (
        f"| {streams} | {name} | {row.cpu_us:.1f} us | {row.ratio:.2f} | {row.core:.2f} |"
        f" {row.lag_p50:.1f} / {row.lag_p99:.0f} / {row.lag_max:.0f} ms | {row.delivered:.1%} | {row.sent:.1%} |"
        f" {row.failed:.0f} | {page} | {row.idle_mb:.0f} MB | {row.stream_kb:.0f} KB | {row.wire_bytes:.0f} B |"
        f" {row.upstream_core:.2f} + {row.client_core:.2f} |"
    )


if __name__ == "__main__":
    main()
