"""Chunks of a stream that differ in nothing but their text, as most do: their texts are parsed together."""

from __future__ import annotations

import re

from webapp.upstream.payloads import load

_CONTENT = re.compile(rb'"content": ?"')


class Alike:
    """The bytes before and after the text of such chunks, as the last one of another kind had them."""

    def __init__(self) -> None:
        self._before = self._after = b""

    def learn(self, data: bytes, text: str) -> None:
        """Take a chunk that is nothing but this text. Raw quotes begin no key inside of a string, so it is found."""
        places = list(_CONTENT.finditer(data)) if text.isascii() and text.isprintable() else []
        if len(places) != 1 or '"' in text or "\\" in text or data.count(b'"content"') != 1:
            return
        start = places[0].end()
        end = start + len(text)
        if data[start : end + 1] == text.encode() + b'"':
            self._before, self._after = data[:start], data[end:]

    def texts_of(self, objects: list[bytes]) -> list[str] | None:
        """The texts of these chunks; None if one of them is another one, or not valid."""
        before, after = self._before, self._after
        start, end = len(before), -len(after)
        least = start - end
        if not before or not all(
            data.startswith(before) and data.endswith(after) and len(data) >= least for data in objects
        ):
            return None
        texts = load(b'["' + b'","'.join([data[start:end] for data in objects]) + b'"]')
        is_right = isinstance(texts, list) and len(texts) == len(objects) and all(isinstance(one, str) for one in texts)
        return texts if is_right else None
