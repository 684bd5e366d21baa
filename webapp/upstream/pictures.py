"""Pictures in a message or delta: those at an address become links in the text; base64 never becomes text.

OpenRouter puts them in `images`: https://openrouter.ai/docs/features/multimodal/image-generation
Others put them among the parts of `content`, with the type `image_url` or `output_image`.
"""

from __future__ import annotations

import re
from typing import Any

MAX_PICTURES = 4  # a message or delta
MAX_URL_CHARS = 2048

_KINDS = ("image_url", "output_image")
_URL = re.compile(r"https?://[^\s<>\\]++", re.I)


def links_in(part: dict[str, Any]) -> str:
    """Return markdown for the pictures of a message or delta that are at an address; "" without any."""
    content, images = part.get("content"), part.get("images")
    if not images and not isinstance(content, list):
        return ""
    said = [*(images if isinstance(images, list) else []), *(content if isinstance(content, list) else [])]
    found = [url for one in said if (url := _address(one))]
    return "".join(f"\n\n![](<{url}>)\n\n" for url in found[:MAX_PICTURES])


def _address(one: Any) -> str:
    """The address of a picture; "" for other parts and for a picture that stands in the answer itself."""
    if not isinstance(one, dict) or one.get("type") not in _KINDS:
        return ""
    named = one.get("image_url") or one.get("url")
    url = named.get("url") if isinstance(named, dict) else named
    is_address = isinstance(url, str) and len(url) <= MAX_URL_CHARS and _URL.fullmatch(url)
    return str(url) if is_address else ""
