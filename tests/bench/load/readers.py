"""A soak of readers that come and go: python -m tests.bench.load.readers --minutes 30 --streams 200

So many answers run all the time, each at 30 tokens a second, each asked by a user of its own. Readers come to them and
leave in the middle, some follow from the first token to the last, two at once as well; some answers are stopped. The
text of each answer is compared with what the upstream sent, and so is what those see who follow the whole of it.

Memory (PSS), descriptors and greenlets of the server must be as many in the end as after the first fifth of the time.
"""

from gevent import monkey

monkey.patch_all()  # before anything else, so that a thousand readers are a thousand greenlets

import argparse  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from pathlib import Path  # noqa: E402
from random import Random  # noqa: E402
from statistics import median  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import orjson  # noqa: E402

from tests.bench.load import answers  # noqa: E402
from tests.bench.load.pages import Browser  # noqa: E402
from tests.bench.load.stage import Cores, Lockchat, Upstream, memory_mb, versions  # noqa: E402
from tests.test_patches import Element, Page, nodes_of  # noqa: E402
from webapp import sse  # noqa: E402
from webapp.markdown import render  # noqa: E402

RATE = 30
SHORTEST_SECONDS, LONGEST_SECONDS = 2.0, 60.0  # of an answer
STAYS_SECONDS = 8.0  # a reader, at most
AWAY_SECONDS = 2.0  # until the next one comes, at most
LAST_SECONDS = 5.0  # for the last answers to end
WHOLE, STOPPED = 0.1, 0.1  # the shares of answers that one more reader follows whole, and that are stopped
SAMPLE_SECONDS = 5.0
REST_SECONDS = 10.0  # after the last answer, for what ends later
GROWTH, SPARE = 1.1, 20  # how much more counts as flat: times, and plus so many megabytes, descriptors, greenlets


@dataclass
class Tally:
    """What the readers saw."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def compare(self, what: str, seen: str, sent: str) -> None:
        """Note where what was seen is not what was sent."""
        self.counts[what] += 1
        if seen != sent:
            at = next((at for at, (a, b) in enumerate(zip(seen, sent, strict=False)) if a != b), len(seen))
            self.wrong.append(f"{what}: {len(seen)} of {len(sent)} characters, at {at} {seen[at : at + 40]!r}")


@dataclass
class Samples:
    """The server over time."""

    memory_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    greenlets: list[int] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)

    def take(self, server: Lockchat, log: Path) -> None:
        """Look once."""
        worker = server.server.worker()
        self.pids.add(worker.pid)
        self.memory_mb.append(memory_mb(server.root))
        self.descriptors.append(worker.num_fds())
        if lines := log.read_text(encoding="utf-8").split():
            self.greenlets.append(int(lines[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load.readers", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--streams", type=int, default=200)
    options = parser.parse_args()
    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, {cores.load})
    print(versions() + "\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Upstream(Path(name)) as upstream:
        sys.exit(soak(Path(name), cores, upstream, options.streams, options.minutes * 60))


def soak(directory: Path, cores: Cores, upstream: Upstream, streams: int, seconds: float) -> int:
    """Run it all and write what was seen; return 1 if anything was wrong."""
    log = directory / "greenlets"
    log.touch()
    watch = {"app": "tests.bench.load.counted:app", "arguments": ("--env", f"GREENLETS={log}")}
    server = Lockchat(directory, cores, upstream, STORED_CHARS_PER_DAY=10**12, **watch)
    tally, samples, at_rest, until = Tally(), Samples(), Samples(), time.monotonic() + seconds
    try:
        people = [gevent.spawn(live, server.port, Random(number), until, tally) for number in range(streams)]
        while time.monotonic() < until - LAST_SECONDS - SHORTEST_SECONDS:
            samples.take(server, log)
            gevent.sleep(min(SAMPLE_SECONDS, seconds / 20))
        gevent.joinall(people, timeout=2 * LONGEST_SECONDS)
        gevent.sleep(REST_SECONDS)
        at_rest.take(server, log)
        tally.wrong += [f"a reader hangs or failed: {one.exception!r}" for one in people if not one.successful()]
    finally:
        server.close()
    return report(tally, samples, at_rest)


def live(port: int, random: Random, until: float, tally: Tally) -> None:
    """Ask one question after the other, and check each answer."""
    gevent.sleep(random.uniform(0, SHORTEST_SECONDS))
    browser = Browser(port)
    while (left := until - time.monotonic() - LAST_SECONDS) > SHORTEST_SECONDS:
        start, number = random.randrange(1000), int(RATE * random.uniform(SHORTEST_SECONDS, min(left, LONGEST_SECONDS)))
        browser.conversation_id = ""
        reply_id = browser.send(f"Hi #n={number},r={RATE},s={start},d=0,h=0#")
        others = [gevent.spawn(follow_whole, browser, reply_id, tally)] if random.random() < WHOLE else []
        if is_stopped := random.random() < STOPPED:
            others.append(gevent.spawn(stop, browser, reply_id, random.uniform(0, number / RATE)))
        while not visit(browser, reply_id, random.uniform(0.2, STAYS_SECONDS), tally):
            gevent.sleep(random.uniform(0, AWAY_SECONDS))
        gevent.joinall(others, raise_error=True)
        _answer, raw = browser.ask("GET", f"/m/{reply_id}/raw")
        sent, seen = (answers.without_times(text) for text in (answers.text(start, number), raw.decode()))
        tally.compare("answers", seen, sent if not is_stopped else sent[: len(seen)])
        tally.counts["tokens"] += 0 if is_stopped else number


def stop(browser: Browser, reply_id: str, after_seconds: float) -> None:
    gevent.sleep(after_seconds)
    browser.again().ask("POST", f"/m/{reply_id}/stop", {"a": "b"})


def visit(browser: Browser, reply_id: str, seconds: float, tally: Tally) -> bool:
    """Follow for a while, then leave; return whether the answer is over."""
    tally.counts["visits"] += 1
    visitor = browser.again()
    stream = visitor.open_stream(reply_id)
    try:
        with gevent.Timeout(seconds, False):
            end = b""
            while data := stream.read1(65536):
                end = (end + data)[-65536:]
            if stream.status == 200 and b"event: end" not in end:
                tally.wrong.append(f"a stream ended without an end: {end[-100:]!r}")
            return True
    finally:
        visitor.close()
    return False


def follow_whole(browser: Browser, reply_id: str, tally: Tally) -> None:
    """Follow to the end as a page does; what it shows must be what the text says."""
    visitor, page, ends = browser.again(), Page(), 0
    stream = visitor.open_stream(reply_id)
    for event in sse.decode(iter(lambda: stream.read1(65536), b"")):
        ends += event.event == "end"
        change(page, event)
    if not page.body.nodes:  # it was over before
        return
    _answer, raw = browser.again().ask("GET", f"/m/{reply_id}/raw")
    shown = Element("body", [], nodes_of(str(render(raw.decode()))))
    tally.compare("pages", shown_text(page.body) + f" {ends}", shown_text(shown) + " 1")
    visitor.close()


def change(page: Page, event: sse.Event) -> None:
    if event.event == "reset":
        page.body.nodes = nodes_of(orjson.loads(event.data)["html"])
    elif event.event == "patch":
        for patch in orjson.loads(event.data):
            page.apply(patch)


def shown_text(body: Element) -> str:
    return re.sub(r"\s+", " ", body.text()).strip()


def report(tally: Tally, samples: Samples, at_rest: Samples) -> int:
    counts = tally.counts
    print(f"{counts['answers']} answers, {counts['tokens']} tokens of those that ended, {counts['visits']} visits,")
    print(f"{counts['pages']} followed from the first token to the last; {len(tally.wrong)} wrong")
    for words in tally.wrong[:10]:
        print(f"  {words}")
    print("\n| | after a fifth | at the end | highest | at rest | |\n|---|---|---|---|---|---|")
    are_flat = [
        write_growth("memory, MB PSS", samples.memory_mb, at_rest.memory_mb),
        write_growth("descriptors", samples.descriptors, at_rest.descriptors),
        write_growth("greenlets", samples.greenlets, at_rest.greenlets),
    ]
    if len(samples.pids) > 1:
        print(f"{len(samples.pids)} workers: some ended")
    return 0 if all(are_flat) and not tally.wrong and len(samples.pids) == 1 else 1


def write_growth(name: str, values: list[Any], at_rest: list[Any]) -> bool:
    """Compare the second fifth of the time with the last one."""
    fifth = max(len(values) // 5, 1)
    early, late = median(values[fifth : 2 * fifth] or values), median(values[-fifth:])
    is_flat = bool(late <= early * GROWTH + SPARE)
    verdict = "flat" if is_flat else "GROWS"
    print(f"| {name} | {early:.0f} | {late:.0f} | {max(values):.0f} | {at_rest[-1]:.0f} | {verdict} |")
    return is_flat


if __name__ == "__main__":
    main()
