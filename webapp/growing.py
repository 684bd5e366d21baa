"""A text that grows by small pieces and is read from any place on. Takes little more memory than its characters."""

from __future__ import annotations

CHUNK_CHARS = 4_096


class GrowingText:
    """Whole chunks of CHUNK_CHARS, and the last, growing one."""

    __slots__ = ("_chunks", "_last")

    def __init__(self) -> None:
        self._chunks: list[str] = []
        self._last = ""

    def __len__(self) -> int:
        return len(self._chunks) * CHUNK_CHARS + len(self._last)

    def add(self, text: str) -> None:
        text = self._last + text
        whole = len(text) - len(text) % CHUNK_CHARS
        self._chunks += (text[at : at + CHUNK_CHARS] for at in range(0, whole, CHUNK_CHARS))
        self._last = text[whole:]

    def since(self, position: int) -> str:
        """Return all text from this character on."""
        number = position // CHUNK_CHARS
        return "".join([*self._chunks[number:], self._last])[position - number * CHUNK_CHARS :]
