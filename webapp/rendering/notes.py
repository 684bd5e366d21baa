"""Footnotes: `[^1]` leads to `[^1]: words`, and these back to it; all notes stand in a list at the end.

Markdown is that of https://github.github.com/gfm/ and its footnotes; roles are https://www.w3.org/TR/dpub-aria-1.1.
A note keeps the label that its author gave it, so nothing is counted and each block can be rendered by itself. Ids are
made of the label; `scoped` makes them unique on a page of many messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from hashlib import blake2s
from html import escape
from typing import Any

from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

ID_PREFIX = "fn"
LINK_TO_NOTE = re.compile(r"#fn(?:ref)?-[0-9a-f]{8}")
REFERENCED = re.compile(r'<sup id="fnref-([0-9a-f]{8})"')
OPEN, CLOSE = "footnote_reference_open", "footnote_reference_close"
Env = MutableMapping[str, Any]


def gather_notes(state: StateCore) -> None:
    """Make a list of the notes that follow each other; unless the text still grows, move all to its end."""
    if not any(token.type == OPEN for token in state.tokens):
        return
    inside = False
    text: list[Token] = []
    notes: list[Token] = []
    for token in state.tokens:
        inside = inside or (token.type == OPEN and not token.level)
        (notes if inside and not state.env.get("growing") else text).append(token)
        inside = inside and not (token.type == CLOSE and not token.level)
    state.tokens = [*_in_lists(text), *_in_lists(notes)]


def _in_lists(tokens: Sequence[Token]) -> Iterator[Token]:
    lists: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type == OPEN and (not index or tokens[index - 1].type != CLOSE):
            lists.append(Token("notes_open", "section", 1, level=token.level + len(lists), map=list(token.map or [])))
            yield lists[-1]
        token.level += len(lists)
        yield token
        if token.type == CLOSE and (index + 1 == len(tokens) or tokens[index + 1].type != OPEN):
            yield Token("notes_close", "section", -1, level=lists.pop().level)
        elif token.type == OPEN and lists[-1].map and token.map:
            lists[-1].map[1] = token.map[1]


def note_reference(state: StateInline, silent: bool) -> bool:
    """Parser rule: the label of a note that is defined; in a text that grows, of one that may yet be."""
    found = _REFERENCE.match(state.src, state.pos, state.posMax)
    if not found:
        return False
    is_known = f":{found[1]}" in state.env.get("footnotes", {}).get("refs", {})
    if not is_known and not (state.env.get("growing") and _LIKELY.fullmatch(found[1])):
        return False
    if not silent:
        token = state.push("note_reference", "sup", 0)
        key, referenced = id_of(found[1]), state.env.setdefault("referenced", set())
        token.content, token.meta = found[1], {"is_first": key not in referenced}
        referenced.add(key)
    state.pos = found.end()
    return True


_REFERENCE = re.compile(r"\[\^([^\s\[\]]{1,60})\]")
_LIKELY = re.compile(r"(?!(?:\w-\w)+\Z)[\w.-]+")  # not [^a-z]


def id_of(label: str) -> str:
    """Eight hexadecimal digits; the label itself would be an id that the model chose."""
    return blake2s(label.encode(), digest_size=4).hexdigest()


def label_notes(tokens: Sequence[Token]) -> None:
    """Begin each note with its label."""
    defined: set[str] = set()
    for index, token in enumerate(tokens):
        if token.type == OPEN:
            label = str(token.meta["label"])
            token.meta["is_first"] = label not in defined
            defined.add(label)
            if tokens[index + 1].type == "paragraph_open":
                words = tokens[index + 2]
                words.children = [Token("note_label", "", 0, content=label), *(words.children or [])]
                token.meta["is_labelled"] = True


# HTML


def render_reference(_self: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Env) -> str:
    """Return the label of a note, raised, as a link to it."""
    token = tokens[index]
    key = id_of(token.content)
    place = f' id="fnref-{key}"' if token.meta["is_first"] else ""
    return f'<sup{place}><a href="#fn-{key}" role="doc-noteref">{escape(token.content)}</a></sup>'


def render_label(_self: Any, tokens: Sequence[Token], index: int, _options: Any, env: Env) -> str:
    """Return the label of a note, which leads back to its first reference."""
    return _label(tokens[index].content, env)


def render_note_open(_self: Any, tokens: Sequence[Token], index: int, _options: Any, env: Env) -> str:
    """Return the start tag of a note, with its label if no paragraph follows."""
    token = tokens[index]
    label = str(token.meta["label"])
    place = f' id="fn-{id_of(label)}"' if token.meta["is_first"] else ""
    return f"<li{place}>" + ("" if token.meta.get("is_labelled") else _label(label, env))


def _label(label: str, env: Env) -> str:
    key = id_of(label)
    if key not in env.get("referenced", ()):
        return f"{escape(label)} "
    return f'<a href="#fnref-{key}" role="doc-backlink">{escape(label)}</a> '


NOTES = '<section class="notes" role="doc-endnotes">'
NOTES_END = "</ul>\n</section>\n"


def scoped(html: str, message_id: str) -> str:
    """The HTML of a message with ids for its notes that no other message on the page has."""
    if "fn" not in html:
        return html
    for tag in _TAGS:
        html = html.replace(tag, f"{tag}{message_id}-")
    return html


def scoped_patches(patches: Iterable[Sequence[Any]], message_id: str) -> list[Sequence[Any]]:
    """The patches of a message with the same ids."""
    return [(*patch[:3], scoped(patch[3], message_id)) if patch[0] in ("+", "=") else patch for patch in patches]


# In text each `<` is escaped, so these are tags.
_TAGS = ('<li id="fn-', '<sup id="fnref-', '<a href="#fn-', '<a href="#fnref-')
