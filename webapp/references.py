"""The web pages that a reply relies on, checked: what models and files name may be anything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from webapp.chat import Reference

MOST = 50  # a reply; search models name ten to twenty
MAX_URL_CHARS = 2000
MAX_TITLE_CHARS = 200

# No user name before the host: https://bank.example@other.example goes to other.example.
_ADDRESS = re.compile(r"https?://[^\s/?#@\\<>\"]+(?:[/?#][^\s<>\"]*)?", re.IGNORECASE)


def of(pairs: Iterable[tuple[Any, Any]]) -> tuple[Reference, ...]:
    """The pages of these pairs (url, title), each address once, in order; skips what is no web address.

    A title may come with a later mention of its address.
    """
    titles: dict[str, str] = {}
    for url, title in pairs:
        if not isinstance(url, str) or len(url) > MAX_URL_CHARS or not _ADDRESS.fullmatch(url):
            continue
        if url not in titles and len(titles) >= MOST:
            continue
        words = " ".join(title[:MAX_TITLE_CHARS].replace("\0", " ").split()) if isinstance(title, str) else ""
        titles[url] = titles.get(url) or words
    return tuple(Reference(url, title) for url, title in titles.items())
