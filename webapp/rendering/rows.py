"""The rows of a table: those with too many cells, and those that grow behind rows that are finished."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.rules_block import StateBlock, table
from markdown_it.token import Token

SOURCE = "|\n"
"""The line that stands for the head and the finished rows."""
HTML = '<div class="table" tabindex="0"><table dir="auto">\n<tbody>\n'
"""What the HTML of further rows begins with."""

_CELL_END = re.compile(r"(?<!\\)\|")
_TICKS = re.compile("(`+)")


def whole_rows(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parser rule: a table. GitHub drops what has no column; here the last column of a row has all the rest."""
    number = len(state.tokens)
    is_table: bool = table(state, start, end, silent)
    if not is_table or silent:
        return is_table
    columns = sum(token.type == "th_open" for token in state.tokens[number:])
    inlines = [token for token in state.tokens[number:] if token.type == "inline"]
    for first in range(columns, len(inlines), columns):
        line = inlines[first].map[0]  # type: ignore[index]
        for cell, text in zip(inlines[first : first + columns], _cells(state, line, columns), strict=True):
            cell.content = text
    return True


def further_rows(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parser rule: the rows behind SOURCE, of a table whose columns have these classes: `env["columns"]`."""
    columns = state.env.get("columns")
    if columns is None or start or silent or state.level:
        return False
    opening = state.push("table_open", "table", 1)
    state.push("tbody_open", "tbody", 1)
    old_parent, state.parentType = state.parentType, "table"
    line = 1
    while line < end and _is_row(state, line, end):
        _push_row(state, line, columns)
        line += 1
    state.push("tbody_close", "tbody", -1)
    state.push("table_close", "table", -1)
    opening.map = [0, line]
    state.parentType, state.line = old_parent, line
    return True


def _is_row(state: StateBlock, line: int, end: int) -> bool:
    if state.isEmpty(line) or state.is_code_block(line):
        return False
    return not any(rule(state, line, end, True) for rule in state.md.block.ruler.getRules("blockquote"))


def _push_row(state: StateBlock, line: int, columns: Sequence[str]) -> None:
    state.push("tr_open", "tr", 1).map = [line, line + 1]
    for side, content in zip(columns, _cells(state, line, len(columns)), strict=True):
        cell = state.push("td_open", "td", 1)
        if side:
            cell.attrs = {"class": side}
        text = state.push("inline", "", 0)
        text.content, text.map, text.children = content, [line, line + 1], []
        state.push("td_close", "td", -1)
    state.push("tr_close", "tr", -1)


def _cells(state: StateBlock, line: int, columns: int) -> list[str]:
    """The text of just so many cells. Where there are too many, bars in code divide none, and the last has the rest."""
    row = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip(" \t")
    cells = _split(row)
    if len(cells) > columns:
        cells = _split(_with_whole_code(row))
    cells += [""] * (columns - len(cells))
    return [cell.strip(" \t") for cell in (*cells[: columns - 1], "|".join(cells[columns - 1 :]))]


def _split(row: str) -> list[str]:
    cells = [cell.replace("\\|", "|") for cell in _CELL_END.split(row)]
    cells = cells[not cells[0] :]
    return cells[: len(cells) - (cells[-1:] == [""])]


def _with_whole_code(row: str) -> str:
    """The row with the bars escaped that stand in code."""
    parts = _TICKS.split(row)  # each second one is a row of backticks
    closing: list[int] = [0] * len(parts)
    last: dict[str, int] = {}
    for number in range(len(parts) - 2, 0, -2):
        closing[number] = last.get(parts[number], 0)
        last[parts[number]] = number
    number = 1
    while number < len(parts):
        for inside in range(number + 1, closing[number], 2):
            parts[inside] = _CELL_END.sub(r"\|", parts[inside])
        number = max(number, closing[number]) + 2
    return "".join(parts)


def columns_of(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The classes of the columns of a table with its head."""
    return tuple(str(token.attrs.get("class", "")) for token in tokens if token.type == "th_open")
