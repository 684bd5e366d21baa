"""The name of a browser and its system, from the User-Agent header.

Each browser also names those that it resembles, so the order counts:
https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/Browser_detection_using_the_user_agent.
"""

from __future__ import annotations

SHOWN_CHARS = 40
# What the header has, and the name; the first that is found counts.
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Vivaldi/": "Vivaldi",
    "YaBrowser/": "Yandex Browser",
    "SamsungBrowser/": "Samsung Internet",
    "FxiOS/": "Firefox",
    "Firefox/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
    "Links ": "Links",
    "Lynx/": "Lynx",
    "w3m/": "w3m",
    "curl/": "curl",
}
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "CrOS": "ChromeOS",
    "Windows": "Windows",
    "Macintosh": "macOS",
    "Linux": "Linux",
    "BSD": "BSD",
}


def name_of(header: str) -> str:
    """The browser as people call it, such as "Firefox, Windows"; the start of a header that names none."""
    found = (next((name for word, name in names.items() if word in header), "") for names in (BROWSERS, SYSTEMS))
    shown = header if len(header) <= SHOWN_CHARS else f"{header[:SHOWN_CHARS]}…"
    return ", ".join(filter(None, found)) or shown
