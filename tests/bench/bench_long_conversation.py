"""How fast a conversation of 1,000 messages opens: python -m tests.bench.bench_long_conversation

Written out are medians of RUNS, in milliseconds: until the whole page has arrived (HTTP), and in Chromium until
the page is loaded and drawn; for the page as it opens, and for as many messages as a page holds.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from playwright.sync_api import Page, sync_playwright

from tests.history import add_turns
from tests.server import Server
from tests.upstream import Upstream
from tests.visitor import Visitor

RUNS = 9
ANSWER = (Path(__file__).parent.parent / "corpus" / "guide.md").read_text(encoding="utf-8")
LOADED = """() => new Promise(resolve => requestAnimationFrame(() => setTimeout(() => {
  const [entry] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  resolve([entry.loadEventEnd, paint ? paint.startTime : 0, performance.now()]);
})))"""


def open_page(page: Page, url: str) -> list[float]:
    page.goto("about:blank")
    page.goto(url)
    times: list[float] = page.evaluate(LOADED)
    return times


def fetch(visitor: Visitor, url: str) -> tuple[float, int]:
    started = perf_counter()
    answer = visitor.get(url)
    return (perf_counter() - started) * 1000, len(answer.content)


def main() -> None:
    with Upstream() as upstream, tempfile.TemporaryDirectory() as name:
        database_url = os.environ.get("LOCKCHAT_TEST_DATABASE_URL") or f"sqlite:///{name}/lockchat.sqlite3"
        server = Server(Path(name), URL=upstream.url, DATABASE_URL=database_url)
        try:
            measure(server.url, database_url)
        finally:
            server.kill()


def measure(url: str, database_url: str) -> None:
    visitor = Visitor(url)
    visitor.end(visitor.new_chat("The first"))
    add_turns(database_url, visitor.conversation_id, 499, ANSWER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context()
        context.add_cookies([{"name": one.name, "value": one.value or "", "url": url} for one in visitor.cookies])
        page = context.new_page()
        print(f"{'':14}{'kB':>6}{'HTTP':>7}{'paint':>7}{'load':>7}{'drawn':>7}")
        for query in ("", "?last=200"):
            path = f"/c/{visitor.conversation_id}{query}"
            fetched = [fetch(visitor, path) for _ in range(RUNS)]
            opened = [open_page(page, url + path) for _ in range(RUNS)]
            load, paint, drawn = (median(times) for times in zip(*opened, strict=True))
            figures = (fetched[0][1] / 1000, median(time for time, _ in fetched), paint, load, drawn)
            row = "".join(f"{figure:{width}.0f}" for figure, width in zip(figures, (6, 7, 7, 7, 7), strict=True))
            print(f"{query or 'as it opens':14}{row}", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
