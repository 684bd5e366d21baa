"""Bar charts as numbers for an SVG: the page draws them without script, in its own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 320, 96  # the narrowest page; wider ones enlarge the picture
ROW_HEIGHT, BAR_HEIGHT = 30, 8
MOST_ROWS = 10
NAME_CHARS = 28  # that fit beside a number
GAP = 0.2  # between columns, as a part of their width
LEAST = 1.0  # what is not nothing can be seen


@dataclass(frozen=True, slots=True)
class Point:
    """A value, its name, and the value in words."""

    name: str
    value: float
    said: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle in the units of the picture, and its point. `label` is the name, cut where it is too long."""

    x: float
    y: float
    width: float
    height: float
    point: Point
    label: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture that is WIDTH wide: its title, its bars, and the point with the highest value."""

    title: str
    highest: Point
    bars: Sequence[Bar]
    height: float
    has_labels: bool = False


def columns(title: str, points: Sequence[Point]) -> Chart | None:
    """A column for each point, from left to right; None if all are nothing."""
    if not (highest := _highest(points)):
        return None
    step, bars = WIDTH / len(points), []
    for number, point in enumerate(points):
        height = max(point.value / highest.value * HEIGHT, LEAST) if point.value else 0.0
        x, width = round(step * (number + GAP / 2), 2), round(step * (1 - GAP), 2)
        bars.append(Bar(x, round(HEIGHT - height, 2), width, round(height, 2), point))
    return Chart(title, highest, bars, HEIGHT)


def rows(title: str, points: Sequence[Point]) -> Chart | None:
    """A row for each of the highest points, the highest first; None if all are nothing."""
    shown = sorted((point for point in points if point.value), key=lambda point: -point.value)[:MOST_ROWS]
    if not (highest := _highest(shown)):
        return None
    bars = []
    for number, point in enumerate(shown):
        width = max(point.value / highest.value * WIDTH, LEAST)
        y = number * ROW_HEIGHT + ROW_HEIGHT - BAR_HEIGHT
        bars.append(Bar(0, y, round(width, 2), BAR_HEIGHT, point, _cut(point.name)))
    return Chart(title, highest, bars, len(bars) * ROW_HEIGHT, has_labels=True)


def _highest(points: Sequence[Point]) -> Point | None:
    highest = max(points, key=lambda point: point.value, default=None)
    return highest if highest and highest.value > 0 else None


def _cut(name: str) -> str:
    return name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 1]}…"
