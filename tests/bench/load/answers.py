"""The answer that the upstream sends: a guide in Markdown, cut into tokens, with the time of sending in its prose."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from tests.test_patches import tokens

GUIDE = Path(__file__).parents[2] / "corpus" / "guide.md"
TIME = " @000000000000."  # the upstream puts the time here
SENT = re.compile(r" @[0-9a-f]{12}\.")
TOKENS_BETWEEN_TIMES = 9  # at least
WORD = re.compile(r" [A-Za-z]+")
FENCE = re.compile(r"^```", re.M)
NOT_PROSE = re.compile(r"\s*([|>#]|\$\$)")


@cache
def pieces() -> list[str]:
    """The tokens of the answer, those with a time among them."""
    found: list[str] = []
    since = 0
    fine = tokens(GUIDE.read_text(encoding="utf-8").rstrip())
    for piece, following in zip(fine, [*fine[1:], ""], strict=True):
        found.append(piece)
        since += 1
        if since >= TOKENS_BETWEEN_TIMES and WORD.fullmatch(piece) and WORD.match(following) and _is_prose(found):
            found.append(TIME)
            since = 0
    return [*found, "\n\n"]


def write(path: Path) -> None:
    """Write the upstream's file of tokens; an answer may begin at a block outside of code."""
    so_far, lines = "", []
    for piece in pieces():
        is_beginning = not so_far or (so_far.endswith("\n\n") and not _in_code(so_far))
        lines.append(("^" if is_beginning else "") + json.dumps(piece, ensure_ascii=False)[1:-1])
        so_far += piece
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def text(start: int, number: int) -> str:
    """The text of so many tokens from that one on; its times are those of `pieces`."""
    all_pieces = pieces()
    return "".join(all_pieces[index % len(all_pieces)] for index in range(start, start + number))


def without_times(text: str) -> str:
    """The text with its times taken out, to compare what was sent at different times."""
    return SENT.sub(" @.", text)


def _is_prose(found: list[str]) -> bool:
    """Whether the end of the text is inside a paragraph or an item, and in no mark of its line."""
    so_far = "".join(found)
    line = so_far.rsplit("\n", 1)[-1]
    is_open = any(line.count(mark) % 2 for mark in ("`", "*", "**", "$")) or "|" in line
    return not (is_open or NOT_PROSE.match(line) or _in_code(so_far))


def _in_code(so_far: str) -> bool:
    return len(FENCE.findall(so_far)) % 2 == 1
