"""JSON of the wire: bounded, and with what orjson refuses."""

from __future__ import annotations

import json
from typing import Any

import orjson

MAX_JSON_VALUES = 200_000  # about; parsing blocks all else for 50 ms, and a long answer has a tenth of them
_MAX_ODD_JSON_VALUES = 20_000  # of JSON that orjson refuses; the json module takes ten times as long


def load(data: str | bytes, max_values: int = MAX_JSON_VALUES) -> Any:
    """Return the parsed JSON; None for invalid JSON, or for more than `max_values` values."""
    values = _values_in(data) if len(data) > _MAX_ODD_JSON_VALUES else 0
    if values > max_values:
        return None
    try:
        return orjson.loads(data)
    except ValueError:
        if values > _MAX_ODD_JSON_VALUES:
            return None
    # orjson refuses half a surrogate pair, NaN and a bare tab, which some upstreams send.
    try:
        return json.loads(_whole(json.dumps(json.loads(data, strict=False), ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None


def _values_in(data: str | bytes) -> int:
    """Return about the number of values, or more: commas and brackets in strings count too."""
    if isinstance(data, str):
        return sum(map(data.count, (",", "[", "{")))
    return sum(map(data.count, (b",", b"[", b"{")))


def dump(value: Any) -> bytes:
    """Return the JSON of a value. Halves of surrogate pairs, which UTF-8 cannot encode, become U+FFFD."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return _whole(json.dumps(value, ensure_ascii=False)).encode()


def _whole(text: str) -> str:
    """Return the text with surrogate pairs joined and halves of pairs replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
