"""The part of a long, growing block that can have no more text, and a short stand-in for it. See `items` for lists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from markdown_it.token import Token

from webapp.markdown import Env, blocks, parse, render_block
from webapp.rendering.notes import NOTES_END, OPEN


def finished_part(tokens: Sequence[Token], source: str, kept_chars: int) -> tuple[int, str, str]:
    """Where it ends in the source, a stand-in for it, and the HTML that closes the block; 0 if there is none."""
    first = tokens[0]
    if first.type == "paragraph_open":
        limit = max(0, len(source) - kept_chars)
        cut = max(source.rfind(" ", 0, limit), source.rfind("\n", 0, limit))
        is_alone = cut > 0 and not source[cut - 1].isspace() and not source[cut + 1].isspace()
        return cut if is_alone and source[cut - 1] != "\\" else 0, "x", "</p>\n"
    if first.type == "notes_open":
        last = [token for token in tokens if token.type == OPEN and token.level == 1][-1]
        return line_start(source, (last.map or [0])[0]), "[^x]: x\n", NOTES_END
    if first.type == "details_open":
        inner = [token for token in tokens if token.level == 1 and token.nesting >= 0 and token.tag != "summary"]
        cut = line_start(source, (inner[-1].map or [0])[0]) if inner else 0
        return cut, "<details>\n\nx\n\n", "</details>\n"
    return 0, "", ""


@lru_cache(maxsize=64)
def opening_html(source: str, closing: str) -> str:
    """The HTML of a stand-in, left open."""
    env: Env = {"growing": True}
    return "".join(render_block(block, env) for block in blocks(parse(source, env))).removesuffix(closing)


def line_start(source: str, line: int) -> int:
    """Where a line begins."""
    position = 0
    for _ in range(line):
        position = source.index("\n", position) + 1
    return position
