"""Ask only those rules of the parser that may match: most begin with one of a few characters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.ruler import Rule, Ruler
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

# The characters that a rule matches at; a rule that is not named here is always asked.
BLOCK = {
    "further_rows": "|",
    "math_block": "$\\",
    "details": "<",
    "fence": "`~",
    "blockquote": ">",
    "hr": "*-_",
    "list": "*-+0123456789",
    "note": "[",
    "reference": "[",
    "heading": "#",
}
INLINE = {
    "bare_link": ":",
    "newline": "\n",
    "math_inline": "$\\",
    "escape": "\\",
    "backticks": "`",
    "strikethrough": "~",
    "emphasis": "*_",
    "link": "[",
    "image": "!",
    "note_reference": "[",
    "inline_tag": "<",
    "autolink": "<",
    "entity": "&",
}

CONTAINERS = frozenset({"list", "blockquote", "details", "note", "reference"})  # else a note passes for a reference
DEEPEST_LEVEL = 17  # for them: the parser drops what is nested in its level 20, and an item of a list takes two


def ask_by_character(markdown: MarkdownIt) -> None:
    """Let the parser ask its rules by the character at hand. No rule may be added afterwards."""
    markdown.block.ruler = _Chains(markdown.block.ruler, _ask_block)
    markdown.inline.ruler = _Chains(markdown.inline.ruler, _ask_inline, first="text")


Ask = Callable[..., bool]


class _Chains(Ruler[Any]):
    """The rules of a parser: each chain is one function that asks some of them."""

    def __init__(self, ruler: Ruler[Any], ask: Callable[[list[Rule[Any]]], Ask], first: str = "") -> None:
        super().__init__()
        rules = [rule for rule in ruler.__rules__ if rule.enabled]
        self._names = [rule.name for rule in rules]
        self._chains = {
            name: [ask([rule for rule in rules if name in rule.alt])] for rule in rules for name in rule.alt
        }
        self._chains[""] = [rule.fn for rule in rules if rule.name == first]
        self._chains[""].append(ask([rule for rule in rules if rule.name != first]))

    def getRules(self, chainName: str = "") -> list[Any]:  # noqa: N802, N803
        return self._chains.get(chainName, [])

    def get_active_rules(self) -> list[str]:
        return self._names


def _ask_block(rules: list[Rule[Any]]) -> Ask:
    by_character, others = _by_character(rules, BLOCK)
    flat, _ = _by_character([rule for rule in rules if rule.name not in CONTAINERS], BLOCK)

    def ask(state: StateBlock, line: int, end: int, silent: bool) -> bool:
        start = state.bMarks[line] + state.tShift[line]
        known = by_character if state.level <= DEEPEST_LEVEL else flat
        for rule in known.get(state.src[start : start + 1], others):  # noqa: SIM110  # a third of the time
            if rule(state, line, end, silent):
                return True
        return False

    return ask


def _ask_inline(rules: list[Rule[Any]]) -> Ask:
    by_character, others = _by_character(rules, INLINE)

    def ask(state: StateInline, silent: bool) -> bool:
        for rule in by_character.get(state.src[state.pos], others):  # noqa: SIM110
            if rule(state, silent):
                return True
        return False

    return ask


def _by_character(rules: Iterable[Rule[Any]], first: dict[str, str]) -> tuple[dict[str, list[Any]], list[Any]]:
    """The rules to ask at each character, and at all others, in their order."""
    by_character = {
        character: [rule.fn for rule in rules if character in first.get(rule.name, character)]
        for character in set("".join(first.values()))
    }
    return by_character, [rule.fn for rule in rules if rule.name not in first]
