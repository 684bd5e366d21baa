"""Whether the page keeps up in a conversation of 1,000 messages: python -m tests.bench.bench_frames

In Chromium, for the page as it opens and for as many messages as a page holds: layouts and calculations of style for
each key, turn of the wheel or token, and the milliseconds of these; the longest frame, and the frames over 50 ms.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from tests.history import add_turns
from tests.server import Server
from tests.upstream import Upstream, Wait, body, token
from tests.visitor import Visitor

ANSWER = (Path(__file__).parent.parent / "corpus" / "guide.md").read_text(encoding="utf-8")
TYPED = "The quick brown fox jumps over the lazy dog. "
TURNS = 30
TOKENS = 100
COUNTED = ["LayoutCount", "RecalcStyleCount", "LayoutDuration", "RecalcStyleDuration"]
WATCH = """() => {
  window.frames_ = [];
  let last = performance.now();
  const look = (now) => { frames_.push(now - last); last = now; requestAnimationFrame(look); };
  requestAnimationFrame(look);
}"""
FRAMES = "[Math.max(...frames_), frames_.filter((time) => time > 50).length, frames_.length]"


def main() -> None:
    with Upstream() as upstream, tempfile.TemporaryDirectory() as name:
        database_url = os.environ.get("LOCKCHAT_TEST_DATABASE_URL") or f"sqlite:///{name}/lockchat.sqlite3"
        server = Server(Path(name), URL=upstream.url, DATABASE_URL=database_url)
        try:
            measure(server.url, database_url, upstream)
        finally:
            server.kill()


def measure(url: str, database_url: str, upstream: Upstream) -> None:
    visitor = Visitor(url)
    visitor.end(visitor.new_chat("The first"))
    add_turns(database_url, visitor.conversation_id, 499, ANSWER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context()
        context.add_cookies([{"name": one.name, "value": one.value or "", "url": url} for one in visitor.cookies])
        print(f"{'':24}{'layouts':>9}{'styles':>9}{'ms':>9}{'ms':>9}{'longest':>9}{'over 50':>9}{'frames':>9}")
        for query in ("", "?last=200"):
            page = context.new_page()
            page.goto(f"{url}/c/{visitor.conversation_id}{query}")
            page.wait_for_timeout(1000)
            page.evaluate(WATCH)
            session = context.new_cdp_session(page)
            session.send("Performance.enable")
            words = [piece for number in range(TOKENS) for piece in (token(f"word {number}\n\n"), Wait(0.033))]
            upstream.answer(*body(*words, b"data: [DONE]\n\n"))
            steps: list[tuple[str, int, Callable[[], None]]] = [
                ("typing", len(TYPED), lambda page=page: page.keyboard.type(TYPED, delay=30)),
                ("scrolling", TURNS, lambda page=page: scroll(page)),
                ("streaming", TOKENS, lambda page=page: stream(page)),
            ]
            page.locator("#text").focus()
            for name, count, step in steps:
                figures = counted(session, page, step, count)
                row = "".join(f"{figure:9.1f}" for figure in figures)
                print(f"{query or 'as it opens':14}{name:10}{row}", flush=True)
            page.close()
        browser.close()


def counted(session: CDPSession, page: Page, step: Callable[[], None], count: int) -> list[float]:
    """What one of `count` actions costs, and the frames of all."""
    page.evaluate("frames_.length = 0")
    before = metrics(session)
    step()
    after = metrics(session)
    each = [(after[name] - before[name]) / count * (1000 if "Duration" in name else 1) for name in COUNTED]
    return each + list(page.evaluate(FRAMES))


def metrics(session: CDPSession) -> dict[str, float]:
    return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}


def scroll(page: Page) -> None:
    page.mouse.move(600, 300)
    for _ in range(TURNS):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(30)


def stream(page: Page) -> None:
    page.locator("#text").fill("Go")
    page.keyboard.press("Enter")
    page.wait_for_timeout(TOKENS * 40 + 500)


if __name__ == "__main__":
    main()
