"""Chunks of a stream that differ in nothing but their text, as most do: their texts are parsed together."""

from __future__ import annotations

from webapp.upstream.payloads import load


class Alike:
    """The bytes before and after the text of such chunks, as the last one of another kind had them."""

    def __init__(self) -> None:
        self._before = self._after = b""

    def learn(self, data: bytes, text: str) -> None:
        """Take a chunk that is nothing but this text, spelled as it is. Quotes are escaped, so the key is found."""
        if not data.count(b'"content"') == 1 == data.count(b'"content":'):
            return
        quoted = b'"%b"' % text.encode()
        start = data.find(b'"content":') + len(b'"content":')
        start += data.startswith(b" ", start)
        if data.startswith(quoted, start):
            self._before, self._after = data[: start + 1], data[start + len(quoted) - 1 :]

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
