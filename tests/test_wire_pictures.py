"""Pictures that models send, as the provider must take them."""

from __future__ import annotations

import gc
import json
import re
from typing import Any

import pytest

from tests.dialects import DONE, chunk
from tests.dialects.openai import OPENAI
from tests.pictures import pictures_chunk, png, url_of
from tests.test_dialects import Outcome, ask
from tests.upstream import Close, Step, Upstream, Wait, body, error
from webapp.chat import Delta, Picture, merge
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat
from webapp.pictures import MAX_BYTES, MAX_PICTURES, picture_of
from webapp.upstream import pictures
from webapp.upstream.pictures import MAX_BASE64_CHARS

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
            stream(chunk({"images": [{"image_url": {"url": PIXEL}, "index": 0}]})),
            stream(chunk({"images": [PIXEL]})),
        ],
        ids=["delta.images", "a part", "output_image", "a whole answer", "no type", "a bare address"],
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
        "url", ["javascript:alert(1)", "https://a.example/x>)\n# y", REMOTE.ljust(pictures.MAX_URL_CHARS + 1, "x")]
    )
    def test_what_is_no_address_of_a_picture_is_no_link(self, upstream: Upstream, url: str) -> None:
        images = [{"type": "image_url", "image_url": {"url": url}}]

        outcome = answer(upstream, stream(chunk({"content": "Here.", "images": images})))

        assert outcome.text == "Here."

    @pytest.mark.parametrize("size", [MAX_BYTES + 1, 20 * 2**20], ids=["a byte", "more than a line may have"])
    def test_a_picture_that_is_too_large_is_left_out(self, upstream: Upstream, size: int) -> None:
        picture = png(1, 1) + b"\0" * (size - len(png(1, 1)))
        after = chunk({"content": "Here."})

        outcome = answer(upstream, stream(pictures_chunk(picture), after))

        assert (outcome.failure, outcome.text, outcome.all_of("images")) == (None, "Here.", [])
        assert outcome.all_of("dropped") == ["picture"]

    def test_a_broken_answer_gives_the_picture_that_came_before(self, upstream: Upstream) -> None:
        outcome = answer(upstream, body(pictures_chunk(png(1, 1)), chunk({"content": "He"}), Close()))

        assert isinstance(outcome.failure, UpstreamError)
        assert outcome.failure.reason == "cut_off"
        assert len(outcome.all_of("images")) == 1

    @pytest.mark.parametrize("is_whole", [False, True])
    def test_a_picture_written_into_the_text_is_a_picture(self, upstream: Upstream, is_whole: bool) -> None:
        said = f"A red apple!\n![image]({url_of(png(2, 1, 1000))})\nAnd more: ![]({url_of(png(1, 2, 1000))})."

        outcome = answer(upstream, whole(said) if is_whole else stream(chunk({"content": said})))

        assert (outcome.failure, outcome.text) == (None, "A red apple!\n\nAnd more: .")
        assert [picture.width for picture in outcome.all_of("images")] == [2, 1]

    @pytest.mark.parametrize(
        ("before", "left"),
        [
            ("a [b] ![", "a [b] "),
            ("a [", "a "),
            ("a", "a"),
            ("[a] b", "[a] b"),
            ("[" + "a" * 2000, "[" + "a" * 2000),
            ("[a\nb", "[a\nb"),
        ],
    )
    def test_nothing_but_the_label_of_a_written_picture_goes_with_it(self, before: str, left: str) -> None:
        delta = pictures.taken_out(Delta(f"{before}]({url_of(png(2, 1, 1000))}) c"))

        assert (delta.text, len(delta.images)) == (left + " c", 1)

    @pytest.mark.parametrize("is_listening", [False, True])
    def test_a_picture_among_tokens_that_arrive_together_is_one(self, upstream: Upstream, is_listening: bool) -> None:
        words = [chunk({"content": word}) for word in ("I ", "am ", "done ")]
        picture = chunk({"content": f"![image]({url_of(png(2, 1, 1000))})"})
        upstream.answer(*body(words[0], Wait(0.1), b"".join([*words[1:], picture, *words]), chunk({}, "stop"), DONE))
        client = Lockchat(upstream.url)
        deltas = client.stream([{"role": "user", "content": "x"}], "m")
        if is_listening:
            deltas.listen(lambda activity: None, lambda: None)

        found = list(deltas)
        client.close()

        assert merge(found).text == "I am done I am done "
        assert [picture.width for delta in found for picture in delta.images] == [2]

    @pytest.mark.parametrize("url", [PIXEL, PICTURE + "...", "data:image/svg+xml;base64," + "A" * 1000])
    def test_what_a_model_writes_of_data_urls_stays_text(self, upstream: Upstream, url: str) -> None:
        said = f"Write `![x]({url})`."

        outcome = answer(upstream, stream(chunk({"content": said})))

        assert (outcome.text, outcome.all_of("images")) == (said, [])

    def test_a_written_picture_that_is_none_is_left_out_and_told(self, upstream: Upstream) -> None:
        outcome = answer(upstream, stream(chunk({"content": f"Here: ![x]({PICTURE})"})))

        assert (outcome.text, outcome.all_of("images"), outcome.all_of("dropped")) == ("Here:", [], ["picture"])

    def test_a_written_picture_that_a_last_message_repeats_comes_once(self, upstream: Upstream) -> None:
        said = f"A red apple!\n![image]({url_of(png(2, 1, 1000))})"
        again = chunk({"content": said}).replace(b'"delta"', b'"message"')

        outcome = answer(upstream, stream(chunk({"content": said}), again))

        assert (outcome.text, len(outcome.all_of("images"))) == ("A red apple!", 1)

    def test_a_picture_that_a_last_message_repeats_comes_once(self, upstream: Upstream) -> None:
        again = pictures_chunk(png(1, 1)).replace(b'"delta"', b'"message"')

        outcome = answer(upstream, stream(pictures_chunk(png(1, 1)), again))

        assert len(outcome.all_of("images")) == 1


class TestRoom:
    @pytest.mark.parametrize(
        ("free", "size"), [(100_000, 1_200_000), (700_000, 500_000)], ids=["for the line", "for the second picture"]
    )
    def test_without_room_the_answer_keeps_its_text_and_says_so(self, upstream: Upstream, free: int, size: int) -> None:
        taken = pictures.ROOM.free - free
        pictures.ROOM.take(taken)
        try:
            sent = [png(1, 1, size), png(1, 2, size)]
            outcome = answer(upstream, stream(chunk({"content": "Here."}), *map(pictures_chunk, sent)))
        finally:
            pictures.ROOM.take(-taken)

        assert outcome.text == "Here."
        assert isinstance(outcome.failure, UpstreamError)
        assert (outcome.failure.reason, outcome.failure.code) == ("no_room", "unavailable")

    def test_all_room_is_given_back(self, upstream: Upstream) -> None:
        gc.collect()
        before = pictures.ROOM.free

        outcome = answer(upstream, stream(pictures_chunk(png(1, 1, 2_000_000)), pictures_chunk(png(1, 2, 100))))

        assert before - pictures.ROOM.free == sum(picture.size for picture in outcome.all_of("images")) > 2_000_000
        del outcome
        gc.collect()
        assert pictures.ROOM.free == before

    @pytest.mark.parametrize("last", [b"\n", b""], ids=["a line", "a broken line"])
    def test_a_line_takes_room_while_it_grows(self, last: bytes) -> None:
        room = pictures.Room(5 * 2**20)
        blocks = [b"short\n", *[b"x" * 2**20] * 3, last]

        free = [room.free // 2**20 for _block in pictures.held(iter(blocks), room)]

        assert free[:4] == [5, 5, 3, 2]
        assert room.free == 5 * 2**20


# (the message or delta, the addresses of the pictures in it)
SHAPES: list[tuple[dict[str, Any], list[str]]] = [
    ({"images": ["a", {"url": "b"}, {"image_url": "c"}, {"image_url": {"url": "d"}}]}, ["a", "b", "c", "d"]),
    ({"content": [{"type": "image_url", "image_url": {"url": "a"}}]}, ["a"]),
    ({"content": [{"type": "output_image", "url": "a"}, {"type": "output_image", "image_url": "b"}]}, ["a", "b"]),
    ({"content": [{"type": "text", "image_url": "a"}, {"image_url": "b"}, None, "c"]}, []),
    ({"content": [{"type": "image_url", "image_url": "b"}], "images": ["a"]}, ["a", "b"]),
    ({"content": "text", "images": "a"}, []),
    ({"content": "text", "images": ["a"]}, ["a"]),
    ({"content": [], "images": 5}, []),
    ({"images": [5, None, {"image_url": 5}, {"image_url": None}, {}, [], "a"]}, ["a"]),
]


class TestShapes:
    @pytest.mark.parametrize(("part", "urls"), SHAPES, ids=str)
    def test_a_picture_is_found_in_every_shape(self, part: dict[str, Any], urls: list[str]) -> None:
        named = json.loads(re.sub('"([abcd])"', f'"{REMOTE}?\\1"', json.dumps(part)))

        assert pictures.links_in(named) == "".join(f"\n\n![](<{REMOTE}?{url}>)\n\n" for url in urls)
        assert pictures.pictures_in(named) == ()

    def test_as_many_links_are_given_as_pictures_are_shown(self) -> None:
        longest = REMOTE.ljust(pictures.MAX_URL_CHARS, "x")
        links = pictures.links_in({"images": ["javascript:x", *[longest] * (MAX_PICTURES + 1)]})

        assert links.count(REMOTE) == MAX_PICTURES

    def test_what_cannot_be_shown_is_left_out(self) -> None:
        upper = PIXEL.replace("data:", "DATA:")
        others = ["data:image/png,abc", "data:image/png;base64,A", PICTURE, PIXEL + "A" * MAX_BASE64_CHARS]

        found = pictures.pictures_in({"images": [PIXEL, upper, *others]})

        assert [picture.kind for picture in found[:2]] == ["image/png"] * 2
        assert found[2:] == (pictures.LEFT_OUT,) * 4

    def test_a_picture_may_be_as_long_as_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pictures, "MAX_BASE64_CHARS", len(PIXEL))

        assert pictures.pictures_in({"images": [PIXEL]}) != (pictures.LEFT_OUT,)


class TestGathered:
    def test_each_picture_is_taken_once_and_no_more_than_fit(self) -> None:
        a, b, c, d, e = (picture for n in range(1, 6) if (picture := picture_of(png(1, n))))
        gathered = pictures.Gathered()

        assert (bool(gathered), gathered.take([]), gathered.is_short) == (False, (), False)
        assert gathered.take([a, a, b]) == (a, b)
        assert (bool(gathered), gathered.is_short) == (True, False)
        assert gathered.take([pictures.LEFT_OUT, b, c]) == (c,)
        assert gathered.is_short
        assert gathered.take([d, e, a]) == (d,)


# (a block, what is left of it, the room that is taken meanwhile)
BLOCKS = [
    (b"1234567890", b"1234567890", 0),
    (b"1", b"1", 11),  # a line over LINE_BYTES
    (b"x\nabc", b"x\nabc", 0),
    (b"defghij", b"defghij", 0),
    (b'k"l', b'k"l', 13),
    (b"\r", b"\r", 0),
    (b"a\nb\n" + b"c" * 11, b"a\nb\n" + b"c" * 11, 11),
    (b"a\rb\r" + b"c" * 11, b"a\rb\r" + b"c" * 11, 11),
    (b'"' + b"x" * 15 + b'"' + b"y" * 10, b'"' + b"x" * 15 + b'"' + b"y" * 10, 38),
    (b"z" * 10, b"z" * 10, 48),
    (b"zz", b"zz", 50),  # a string over MAX_BASE64_CHARS
    (b"zz", b"", 50),
    (b'z",', b'",', 52),
    (b"w" * 25, b"w" * 25, 77),
    (b"q\nnext", b"\nnext", 0),
    (b"a" * 20, b"a" * 20, 24),
]


def test_the_end_of_a_long_string_is_left_out_and_a_long_line_takes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LINE_BYTES", 10)
    monkeypatch.setattr(pictures, "MAX_BASE64_CHARS", 20)
    room = pictures.Room(100)

    held = pictures.held((block for block, _left, _taken in BLOCKS), room)

    assert [(left, 100 - room.free) for left in held] == [(left, taken) for _block, left, taken in BLOCKS]
    assert room.free == 100


def test_a_picture_gives_its_room_back_when_nobody_holds_it() -> None:
    room, picture = pictures.Room(100), Picture("image/png", 60)

    assert room.take_for(picture) is picture
    assert room.free == 40
    with pytest.raises(UpstreamError, match="no_room"):
        room.take(41)
    room.take(40)
    room.take(-40)
    del picture
    gc.collect()
    assert room.free == 100


def sentence_of(outcome: Outcome) -> str:
    return outcome.failure.sentence if isinstance(outcome.failure, UpstreamError) else ""
