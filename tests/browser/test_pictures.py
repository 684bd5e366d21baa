"""Pictures of models: shown at the end of the stream and after a reload, each in a place of its size."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_reading import OVERHANG
from tests.dialects import DONE, chunk
from tests.pictures import pictures_chunk, png
from tests.upstream import body

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [320, 1200])
def test_a_picture_keeps_its_place_free_and_fits_the_page(chat, upstream, width):
    upstream.answer(*body(chunk({"content": "Here."}), pictures_chunk(png(1600, 800)), chunk({}, "stop"), DONE))
    chat.page.set_viewport_size({"width": width, "height": 640})
    held = []
    chat.page.route(re.compile("/p/"), lambda route: held.append(route))
    picture = chat.page.get_by_role("img", name="Picture 1 from the model")

    chat.say("Draw")
    expect(picture).to_be_visible()
    before = picture.bounding_box()
    chat.wait_until(lambda: held, "the picture to be asked for")
    held[0].continue_()
    expect(picture).to_have_js_property("naturalWidth", 1600)

    after = picture.bounding_box()
    assert (before["width"], before["height"]) == (after["width"], after["height"])
    assert abs(after["width"] - 2 * after["height"]) < 2
    assert after["width"] <= width
    assert chat.page.evaluate(OVERHANG) == 0


def test_a_picture_is_there_after_a_reload(chat, upstream):
    upstream.answer(*body(pictures_chunk(png(1600, 800)), chunk({}, "stop"), DONE))
    chat.page.set_viewport_size({"width": 320, "height": 640})
    picture = chat.page.get_by_role("img", name="Picture 1 from the model")
    chat.say("Draw")
    expect(picture).to_have_js_property("naturalWidth", 1600)

    chat.page.reload()

    expect(picture).to_have_js_property("naturalWidth", 1600)
    assert chat.page.evaluate(OVERHANG) == 0
