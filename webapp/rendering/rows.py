"""The rows of a table that grows, without its head and the rows that are finished."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token

SOURCE = "|\n"
"""The line that stands for the head and the finished rows."""
HTML = '<div class="table" tabindex="0"><table dir="auto">\n<tbody>\n'
"""What the HTML of further rows begins with."""


def further_rows(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parser rule: the rows behind SOURCE, of a table whose columns have these classes: `env["columns"]`."""
    columns = state.env.get("columns")
    if columns is None or start or silent or state.level:
        return False
    table = state.push("table_open", "table", 1)
    state.push("tbody_open", "tbody", 1)
    old_parent, state.parentType = state.parentType, "table"
    line = 1
    while line < end and _is_row(state, line, end):
        _push_row(state, line, columns)
        line += 1
    state.push("tbody_close", "tbody", -1)
    state.push("table_close", "table", -1)
    table.map = [0, line]
    state.parentType, state.line = old_parent, line
    return True


def _is_row(state: StateBlock, line: int, end: int) -> bool:
    if state.isEmpty(line) or state.is_code_block(line):
        return False
    return not any(rule(state, line, end, True) for rule in state.md.block.ruler.getRules("blockquote"))


def _push_row(state: StateBlock, line: int, columns: Sequence[str]) -> None:
    cells = escapedSplit(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip(" \t"))
    cells = cells[not cells[0] :]
    cells = cells[: len(cells) - (cells[-1:] == [""])]
    state.push("tr_open", "tr", 1).map = [line, line + 1]
    for number, side in enumerate(columns):
        cell = state.push("td_open", "td", 1)
        if side:
            cell.attrs = {"class": side}
        text = state.push("inline", "", 0)
        text.content, text.map, text.children = "".join(cells[number : number + 1]).strip(" \t"), [line, line + 1], []
        state.push("td_close", "td", -1)
    state.push("tr_close", "tr", -1)


def columns_of(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The classes of the columns of a table with its head."""
    return tuple(str(token.attrs.get("class", "")) for token in tokens if token.type == "th_open")
