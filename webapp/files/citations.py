"""The marks that ChatGPT's export leaves in a text: citations, links, names.

A mark lies between U+E200 and U+E201, its parts with U+E202 between: `cite` and references, `url` with title and
address, `entity` with a JSON list. Older ones are 【11†source】. What they show is in the message's metadata.
"""

from __future__ import annotations

import json
import re
from typing import Any

from webapp.files.values import an_object, items, text

MARK = re.compile(" ?(?:\ue200[^\ue200\ue201]*\ue201|\ue200[^\ue200\ue201\\s]*|【[^【】†\n]*†[^【】\n]*】)")
SEPARATOR = "\ue202"
MARK_CHARS = 500  # of an older mark, which is short


def resolved(said: str, metadata: dict[str, Any]) -> str:
    """The text with its marks replaced by what ChatGPT shows for them, or removed."""
    known = _referenced(metadata) | _cited(said, metadata)

    def shown(match: re.Match[str]) -> str:
        mark = match[0].removeprefix(" ")
        link = known.get(mark) or known.get(mark.strip("【").partition("†")[0]) or _own(mark)
        return match[0].removesuffix(mark) + link if link else ""

    return MARK.sub(shown, said)


def _referenced(metadata: dict[str, Any]) -> dict[str, str]:
    """What newer exports show for each mark: `alt` is Markdown."""
    known = {}
    for reference in map(an_object, items(metadata.get("content_references"))):
        mark = text(reference.get("matched_text")).strip()
        if MARK.fullmatch(mark):
            links = [_link(one) for one in [reference, *items(reference.get("items"))]]
            links = list(dict.fromkeys(filter(None, links)))
            known[mark] = MARK.sub("", text(reference.get("alt"))) or (f"({', '.join(links)})" if links else "")
    return known


def _cited(said: str, metadata: dict[str, Any]) -> dict[str, str]:
    """What older exports cite, by the mark at its place in the text, and by the number in it."""
    known = {}
    for citation in map(an_object, items(metadata.get("citations"))):
        source = an_object(citation.get("metadata"))
        link = _link(source)
        start, end = citation.get("start_ix"), citation.get("end_ix")
        if not isinstance(start, int) or not isinstance(end, int) or not 0 <= end - start <= MARK_CHARS:
            start = end = 0
        if link and MARK.fullmatch(mark := said[start:end].strip()):
            known[mark] = f" ({link})" if mark[0] == "【" else f"({link})"
        number = an_object(source.get("extra")).get("cited_message_idx")
        if isinstance(number, int) and link:
            known.setdefault(str(number), f" ({link})")
    return known


def _link(source: object) -> str:
    """A link to a source with `url` and `title`; "" for one without a web address."""
    url, name = text(an_object(source).get("url")), text(an_object(source).get("title"))
    if not url.startswith(("http://", "https://")):
        return ""
    name = " ".join(name.translate({ord("["): "(", ord("]"): ")"}).split())
    for letter in "() \n<>":
        url = url.replace(letter, f"%{ord(letter):02X}")
    return f"[{name or url}]({url})"


def _own(mark: str) -> str:
    """What a mark says of itself: the link of `url`, the name in a JSON list; "" for references."""
    kind, *rest = mark.strip("\ue200\ue201").split(SEPARATOR)
    if kind == "url" and len(rest) == 2:
        return _link({"title": rest[0], "url": rest[1]}) or rest[0]
    if not kind.endswith("entity") or not rest:
        return ""
    try:
        values = json.loads(rest[0])
    except (ValueError, RecursionError):
        return ""
    return text(values[1]) if isinstance(values, list) and len(values) > 1 else ""
