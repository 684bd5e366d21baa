"""What typing and an answer cost the browser in a long conversation, counted; `tests.bench.bench_frames` times it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.history import add_turns
from tests.upstream import Wait, body, token

pytestmark = pytest.mark.browser

STATIC = Path(__file__).parent.parent.parent / "static"
TYPED = "while it runs"
PARAGRAPHS = 40


def test_a_key_and_a_paragraph_cost_few_layouts_in_a_long_conversation(chat, database_url, upstream):
    chat.say("First")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    add_turns(database_url, chat.page.url.rpartition("/")[2], 30, "Some **words**.\n\n- one\n- two\n\n" * 20)
    chat.page.reload()
    pieces = [piece for number in range(PARAGRAPHS) for piece in (token(f"word {number}\n\n"), Wait(0.05))]
    upstream.answer(*body(*pieces, b"data: [DONE]\n\n"))
    session = chat.page.context.new_cdp_session(chat.page)
    session.send("Performance.enable")

    def counted() -> dict[str, float]:
        return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}

    chat.say("Go")
    expect(chat.answer).to_contain_text("word 2")
    before = counted()
    chat.box.press_sequentially(TYPED)
    expect(chat.answer).to_contain_text(f"word {PARAGRAPHS - 1}")
    after = counted()

    for name in ("LayoutCount", "RecalcStyleCount"):
        assert after[name] - before[name] < 12 * (PARAGRAPHS + len(TYPED)), name


@pytest.mark.parametrize("name", ["app.css", "more.css"])
def test_nothing_around_the_messages_is_styled_by_what_it_holds(name):
    """A browser would look through the whole conversation at each new element: 5 ms instead of 1 with 200 messages."""
    style = (STATIC / name).read_text(encoding="utf-8")

    anchors = re.findall(r"([\w.]+)(?::not\()?:has\(", style)

    assert not {"body", ".page", ".main", ".log"} & set(anchors)
