"""Pictures that models send, as the provider must take them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects import DONE, chunk
from tests.dialects.openai import OPENAI
from tests.test_dialects import Outcome, ask
from tests.upstream import Step, Upstream, body, error
from webapp.errors import UpstreamError

PICTURE = "data:image/png;base64," + "A" * 3000  # no picture, by its bytes
REMOTE = "https://img.example/x.png"
PIXEL = (  # a PNG of one white pixel
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)


def stream(*events: bytes) -> list[Step]:
    """An answer that ends in good order."""
    return body(*events, chunk({}, "stop"), DONE)


def whole(content: Any) -> list[Step]:
    message = {"role": "assistant", "content": content}
    return error(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def answer(upstream: Upstream, script: list[Step], **options: Any) -> Outcome:
    upstream.answer(*script)
    return ask(upstream, OPENAI, **options)


class TestPictures:
    def test_a_picture_that_is_none_is_not_passed_over(self, upstream: Upstream) -> None:
        images = [{"type": "image_url", "image_url": {"url": PICTURE}}]
        before = "Here is your picture: "

        outcome = answer(upstream, stream(chunk({"content": before}), chunk({"content": "", "images": images})))

        others = [delta for delta in outcome.deltas if delta.text != before]
        assert outcome.all_of("images") or "picture" in repr(others) + sentence_of(outcome)
        assert "base64" not in outcome.text

    @pytest.mark.parametrize(
        "script",
        [
            stream(chunk({"content": "", "images": [{"type": "image_url", "image_url": {"url": PIXEL}}]})),
            stream(chunk({"content": [{"type": "image_url", "image_url": {"url": PIXEL}}]})),
            stream(chunk({"content": [{"type": "output_image", "image_url": PIXEL}]})),
            whole([{"type": "image_url", "image_url": {"url": PIXEL}}]),
        ],
        ids=["delta.images", "a part", "output_image", "a whole answer"],
    )
    def test_an_answer_of_one_picture_is_an_answer(self, upstream: Upstream, script: list[Step]) -> None:
        outcome = answer(upstream, script)

        assert (outcome.failure, len(outcome.all_of("images")), outcome.text) == (None, 1, "")

    @pytest.mark.parametrize(
        "script",
        [
            stream(chunk({"content": "", "images": [{"type": "image_url", "image_url": {"url": REMOTE}}]})),
            stream(chunk({"content": [{"type": "output_image", "image_url": REMOTE}]})),
            whole([{"type": "image_url", "image_url": {"url": REMOTE}}]),
        ],
        ids=["delta.images", "output_image", "a whole answer"],
    )
    def test_a_remote_picture_stays_a_link(self, upstream: Upstream, script: list[Step]) -> None:
        outcome = answer(upstream, script)

        assert outcome.failure is None
        assert f"![](<{REMOTE}>)" in outcome.text

    @pytest.mark.parametrize(
        "url", ["javascript:alert(1)", "https://a.example/x>)\n# y", "https://a.example/" + "x" * 3000]
    )
    def test_what_is_no_address_of_a_picture_is_no_link(self, upstream: Upstream, url: str) -> None:
        images = [{"type": "image_url", "image_url": {"url": url}}]

        outcome = answer(upstream, stream(chunk({"content": "Here.", "images": images})))

        assert outcome.text == "Here."


def sentence_of(outcome: Outcome) -> str:
    return outcome.failure.sentence if isinstance(outcome.failure, UpstreamError) else ""
