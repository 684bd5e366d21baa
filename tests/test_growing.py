"""A growing text gives back what was put in, from any place on, and holds no small pieces."""

from __future__ import annotations

import gc

import pytest

from webapp.growing import CHUNK_CHARS, GrowingText

SIZES = [0, 1, CHUNK_CHARS - 1, CHUNK_CHARS, CHUNK_CHARS + 1, 3 * CHUNK_CHARS + 7]


@pytest.mark.parametrize("piece_chars", [1, 7, CHUNK_CHARS, CHUNK_CHARS + 1, 3 * CHUNK_CHARS])
@pytest.mark.parametrize("size", SIZES)
def test_it_is_read_from_any_place_on(size, piece_chars):
    text = "".join(chr(0x400 + number % 60) for number in range(size))
    growing = GrowingText()

    for start in range(0, size, piece_chars):
        growing.add(text[start : start + piece_chars])

    assert len(growing) == size
    for position in {0, 1, size // 2, size - 1, size, CHUNK_CHARS - 1, CHUNK_CHARS, CHUNK_CHARS + 1} & set(
        range(size + 1)
    ):
        assert growing.since(position) == text[position:]


def test_thousands_of_pieces_are_few_strings():
    growing = GrowingText()

    for number in range(20_000):
        growing.add(f" {number % 10}")

    (chunks,) = (held for held in gc.get_referents(growing) if isinstance(held, list))
    assert len(chunks) == 20_000 * 2 // CHUNK_CHARS
