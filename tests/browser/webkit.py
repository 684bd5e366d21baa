"""Debian's WebKit, the engine of Safari, driven by plain WebDriver: https://www.w3.org/TR/webdriver2/

It needs a screen, which Xvfb pretends to be.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.server import free_port
from tests.wait import wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # https://www.w3.org/TR/webdriver2/#elements
MINI_BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)
SECONDS = 60


class WebKit:
    """One window. Elements are named by CSS selectors; `js` returns what an expression gives."""

    def __init__(self, url: str) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._url = url
        options = {"binary": str(MINI_BROWSER), "args": ["--automation"]}
        asked = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        wait_until(self._is_ready, SECONDS, "the driver")
        self._url += f"/session/{self._ask('POST', '/session', asked)['sessionId']}"

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def js(self, expression: str) -> Any:
        return self._ask("POST", "/execute/sync", {"script": f"return {expression}", "args": []})

    def wait(self, expression: str) -> None:
        wait_until(lambda: self.js(expression), SECONDS, expression)

    def type(self, selector: str, text: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/click", {})

    def point(self, x: int, y: int, *, press: bool = False) -> None:
        steps: list[dict[str, object]] = [{"type": "pointerMove", "duration": 0, "x": x, "y": y}]
        if press:
            steps += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._ask("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": steps}]})

    def close(self) -> None:
        self._ask("DELETE", "")

    def _find(self, selector: str) -> str:
        found: str = self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        return found

    def _is_ready(self) -> bool:
        try:
            return bool(self._ask("GET", "/status")["ready"])
        except requests.ConnectionError:
            return False

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self._session.request(method, self._url + path, json=body, timeout=SECONDS)
        assert answer.ok, answer.text
        return answer.json()["value"]


@contextmanager
def webkit() -> Iterator[WebKit]:
    """Start it, and end it with all that belongs to it."""
    with ExitStack() as stack:
        port, (told, tells) = free_port(), os.pipe()
        _start(stack, ["Xvfb", "-displayfd", str(tells), "-screen", "0", "1280x900x24", "-nolisten", "tcp"], tells)
        with os.fdopen(told) as pipe:
            display = f":{pipe.readline().strip()}"
        environment = os.environ | {"DISPLAY": display, "GDK_BACKEND": "x11", "NO_AT_BRIDGE": "1"}
        _start(stack, ["WebKitWebDriver", f"--port={port}"], env=environment)
        browser = WebKit(f"http://127.0.0.1:{port}")
        stack.callback(browser.close)
        yield browser


def _start(stack: ExitStack, command: list[str], pipe: int | None = None, **options: Any) -> None:
    process = subprocess.Popen(command, pass_fds=[pipe] if pipe else [], stderr=subprocess.DEVNULL, **options)
    if pipe:
        os.close(pipe)
    stack.callback(process.wait, SECONDS)
    stack.callback(process.terminate)
