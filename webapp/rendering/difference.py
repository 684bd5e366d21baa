"""The patch between two states of a block of HTML. `webapp.patches` says what a patch is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape

Patch = tuple[str, int, int, str] | tuple[str, int]

MAX_DEPTH = 9  # so many elements, one in another, are searched for a difference

CLOSERS = re.compile(r"(?:</[a-z0-9]+>\s*)*")
_TAG = re.compile(r"<(/?)([a-z0-9]++)[^<>]*+>")
_VOID = frozenset({"br", "hr", "input"})


def difference(index: int, old: str, new: str, front: Sequence[str] = ()) -> list[Patch]:
    """The smallest change that makes `new` of `old`; both stand behind `front`."""
    if old == new:
        return []
    cuts = closing_tags(old)
    depths = range(len(cuts), max(0, len(cuts) - MAX_DEPTH), -1)
    for depth in depths:
        cut = cuts[depth - 1]
        added = _between(new, old[:cut], old[cut:])
        if added is not None and "</math>" not in old[cut:]:
            return [("+", index, depth, added) if "<" in added else ("a", index, depth, unescape(added))]
    for depth in depths:
        start, end = last_element(old, cuts[depth - 1])
        content = _between(new, old[:start], old[end:]) if end else None
        if content is not None and "</math>" not in old[end:]:
            return [("=", index, depth, content)]
    return [("=", index, 0, "".join([*front, new]))]


def closing_tags(html: str) -> list[int]:
    """Where the tags begin that close the last elements, the outermost first."""
    found: list[int] = []
    end = len(html)
    while (start := html.rfind("</", 0, end)) >= 0 and CLOSERS.fullmatch(html, start, end):
        found.append(start)
        end = start
    return found


def _between(html: str, head: str, tail: str) -> str | None:
    """What stands between a head and a tail, if these are elements and text, whole and not nothing."""
    middle = html[len(head) : len(html) - len(tail)]
    fits = len(html) > len(head) + len(tail) and html.startswith(head) and html.endswith(tail)
    return middle if fits and _is_balanced(middle) else None


def _is_balanced(html: str) -> bool:
    depth = 0
    for tag in _TAG.finditer(html):
        if tag[2] not in _VOID:
            depth += -1 if tag[1] else 1
        if depth < 0:
            return False
    return depth == 0


def last_element(html: str, end: int) -> tuple[int, int]:
    """Where the last element before `end` begins and ends; (0, 0) if its parent has none."""
    depth, stop = 0, 0
    for tag in reversed(list(_TAG.finditer(html, 0, end))):
        stop = stop or tag.end()
        if tag[2] not in _VOID:
            depth += 1 if tag[1] else -1
        if depth < 0:
            return 0, 0
        if depth == 0:
            return tag.start(), stop
    return 0, 0


def top_level(html: str) -> list[str]:
    """The elements of which clean HTML consists, one by one, as `markdown.render_blocks` gives them."""
    found: list[str] = []
    start = depth = 0
    for tag in _TAG.finditer(html):
        if tag[2] not in _VOID:
            depth += -1 if tag[1] else 1
        if not depth:
            end = tag.end() + html.startswith("\n", tag.end())
            found.append(html[start:end])
            start = end
    return found
