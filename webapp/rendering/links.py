"""Links: those to other sites stay, others become plain text; images and bare addresses become links."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it.rules_inline import StateInline
from markdown_it.token import Token


def links(tokens: Sequence[Token]) -> Iterator[Token]:
    """Keep links to other sites, turn other links into plain text and images into links.

    A remote image would tell its host that the page is read; a relative link would call our own routes.
    """
    targets: list[str] = []  # of the open links, the innermost last; "" once its address is shown as text
    kept = 0  # how many links were open when one was kept: a link contains no other link
    for index, token in enumerate(tokens):
        if token.type == "link_open":
            target = str(token.attrs["href"])
            targets.append(_shortened(target))
            if not kept and _OUTSIDE.match(target):
                kept = len(targets)
                yield token
            if _is_blank(tokens, index):
                yield _text(targets[-1])
                targets[-1] = ""
        elif token.type == "link_close":
            if kept == len(targets):
                kept = 0
                yield token
            elif token.info != "auto" and targets[-1]:
                yield _text(f" ({targets[-1]})")
            targets.pop()
        elif token.type == "image":
            yield from _image_link(token, inside=bool(kept))
        else:
            yield token


# No user name before the host: https://bank.example@other.example goes to other.example.
_OUTSIDE = re.compile(r"https?://[a-z0-9._-]+(?::\d{1,5})?(?=[/?#]|\Z)|mailto:[^/?#\\]", re.IGNORECASE)


def _is_blank(tokens: Sequence[Token], index: int) -> bool:
    """Whether the link at `index` has no words."""
    for position in range(index + 1, len(tokens)):
        token = tokens[position]
        if token.type == "image" or token.content.strip():
            return False
        if token.type == "link_close":
            return True
    return True


def _image_link(image: Token, *, inside: bool) -> Iterator[Token]:
    """A link to the image, named by its description; the description alone inside another link."""
    source = _shortened(str(image.attrs["src"]))
    name = _text(image.content if image.content.strip() else source)
    if inside:
        yield name
    elif source.startswith("data:"):
        yield _text(f"[{image.content.strip() or 'image'}]")
    elif _OUTSIDE.match(source):
        yield Token("link_open", "a", 1, attrs={"href": source})
        yield name
        yield Token("link_close", "a", -1)
    else:
        yield name if name.content == source else _text(f"{name.content} ({source})")


def _shortened(target: str) -> str:
    """The address without what it contains, if it is a file itself."""
    return target.partition(",")[0].lower() + ",…" if target[:5].lower() == "data:" else target


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def bare_link(state: StateInline, silent: bool) -> bool:
    """Parser rule: a bare address. The parser calls it at the colon."""
    scheme = _SCHEME.search(state.src, max(0, state.pos - 6), state.pos)
    rest = _REST.match(state.src, state.pos, state.posMax)
    if not scheme or not rest or state.linkLevel:
        return False
    before = state.src[max(0, state.pos - LOOKED_BACK_CHARS) : state.pos]
    tail = _closed_part(rest[0], in_brackets=before.count("(") > before.count(")")).rstrip(_TRAILING)
    if len(tail) <= len("://"):
        return False
    if not silent:
        url = scheme[0] + tail
        state.pending = state.pending.removesuffix(scheme[0])
        state.push("link_open", "a", 1).attrs = {"href": state.md.normalizeLink(url)}
        state.push("text", "", 0).content = url
        state.push("link_close", "a", -1).info = "auto"
    state.pos += len(tail)
    return True


def _closed_part(address: str, *, in_brackets: bool) -> str:
    """The address up to a closing bracket that nothing in it opens; `in_brackets`: something before it does.

    Otherwise only such a bracket at its end is none of it.
    """
    depth = 0
    for position, char in enumerate(address):
        depth += (char == "(") - (char == ")")
        if depth < 0 and (in_brackets or not address[position:].strip(")" + _TRAILING)):
            return address[:position]
    return address


LOOKED_BACK_CHARS = 500
_TRAILING = "?!.,:;*_~'"
_SCHEME = re.compile(r"(?<![a-zA-Z0-9])https?\Z", re.IGNORECASE)
# An address ends before the punctuation of Chinese and Japanese, quotes and dashes.
ADDRESS_CHAR = (
    r"[^\s<>\"`\[\]{}|\\^*\x00-\x1f\u2018-\u201f\u2039\u203a\u00ab\u00bb\u2014\u2015\u2026"
    r"\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\ufe30-\ufe6b]"
)
_REST = re.compile(rf"://{ADDRESS_CHAR}{{1,2000}}")
