"""A person with a browser, as far as HTTP goes: keeps cookies, fills the forms, reads pages and streams."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator

import html5lib
import requests

from webapp import sse

SECONDS = 30  # no request of a test takes longer


class Visitor(requests.Session):
    """One browser. `say` and `new_chat` return the reply's id; `conversation_id` is the last one used."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.trust_env = False
        self.base_url = base_url
        self.conversation_id = ""

    def request(self, method, url, **kwargs):
        kwargs.setdefault("timeout", SECONDS)
        return super().request(method, self.base_url + url if url.startswith("/") else url, **kwargs)

    def post_form(self, path: str, **fields: object) -> requests.Response:
        """Post a form as a browser without script does, and stay at the answer, not at where it leads."""
        return self.post(path, data=fields, allow_redirects=False)

    def cookie(self) -> str:
        """The header that the browser sends."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)

    def new_chat(self, text: str, **fields: object) -> str:
        return self.reply_of(self.post_form("/conversations", text=text, **fields))

    def say(self, text: str, **fields: object) -> str:
        return self.reply_of(self.post_form(f"/c/{self.conversation_id}/messages", text=text, **fields))

    def stop(self, reply_id: str) -> requests.Response:
        return self.post_form(f"/m/{reply_id}/stop")

    def page(self, conversation_id: str = "") -> str:
        answer = self.get(f"/c/{conversation_id or self.conversation_id}")
        assert answer.status_code == 200, answer.text
        return answer.text

    def events(self, reply_id: str, opened: threading.Event | None = None) -> Iterator[sse.Event]:
        """The events of a reply's stream, as they come; none for a finished reply. Sets `opened` before the first."""
        with self.get(f"/m/{reply_id}/stream", stream=True) as answer:
            assert answer.status_code in (200, 204), answer.text
            if opened:
                opened.set()
            yield from sse.decode(iter(lambda: answer.raw.read1(65536), b""))

    def raw(self, reply_id: str) -> str:
        return self.get(f"/m/{reply_id}/raw").content.decode()

    def status(self, reply_id: str) -> str:
        return self.get(f"/m/{reply_id}/status").json()["status"]

    def end(self, reply_id: str, opened: threading.Event | None = None) -> dict[str, str]:
        """Follow a reply to its end; what its `end` event says. A finished reply has none: {}.

        An upstream that waits for `opened` answers after the stream is open, however slow the machine is.
        """
        ends = [json.loads(event.data) for event in self.events(reply_id, opened) if event.event == "end"]
        assert len(ends) <= 1
        return ends[0] if ends else {}

    def reply_of(self, answer: requests.Response) -> str:
        """The id of the reply that a form made; its conversation is the last one used from now on."""
        assert answer.status_code == 303, (answer.status_code, answer.text)
        found = re.fullmatch(r"(?:https?://[^/]+)?/c/([0-9a-f-]+)#m-([0-9a-f-]+)", answer.headers["Location"])
        assert found, answer.headers["Location"]
        self.conversation_id = found[1]
        return found[2]


def text_of(page: str) -> str:
    """What a page says, without its markup."""
    body = html5lib.parse(page, namespaceHTMLElements=False).find("body")
    return " ".join("".join(body.itertext()).split())
