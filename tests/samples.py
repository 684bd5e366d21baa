"""Which of many parameters a plain run tries, where all of them take the same path: `--long` tries the others too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some(values: Iterable[Any], step: int) -> list[Any]:
    """All of these as parameters: the first and each `step`-th after it always, the others with `--long` only."""
    return [
        pytest.param(*_parts(value), marks=() if number % step == 0 else pytest.mark.long)
        for number, value in enumerate(values)
    ]


def _parts(value: Any) -> tuple[Any, ...]:
    """The arguments of one parameter, which is a tuple where it has several names."""
    return value if isinstance(value, tuple) else (value,)
