"""The event stream of an open page: what other tabs and devices change. One a page, for all conversations of its user.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from webapp import sse
from webapp.changes import News
from webapp.language import gettext as _
from webapp.storage.changes import Changed
from webapp.views.http import hold_open
from webapp.views.parts import parts
from webapp.views.visitor import current_user

blueprint = Blueprint("changes", __name__)


@blueprint.get("/changes")
def show_changes() -> ResponseReturnValue:
    """What has changed since the number `since`, and what changes from now on."""
    steps = parts().changes.follow(current_user().id, request.args.get("since", type=int))
    return hold_open(events(steps), "text/event-stream; charset=utf-8", parts().watchers)


def events(steps: Iterator[News | None]) -> Iterator[bytes]:
    """Yield the encoded events of one page; `steps` as `Changes.follow` yields them. The first one brings the words."""
    words: dict[str, str] | None = {
        "running": _("An answer is being written"),
        "unread": _("A new answer"),
        "deleted": _("This conversation was deleted in another tab or on another device."),
    }
    for news in steps:
        if news is None:
            yield sse.encode("", event="beat")
            continue
        data = {
            "revision": news.revision,
            "running": sorted(news.running),
            "changed": [_told(changed) for changed in news.changed],
        }
        if words:
            data, words = data | {"words": words}, None
        yield sse.encode(orjson.dumps(data).decode(), event="changes")


def _told(changed: Changed) -> dict[str, object]:
    return {
        "id": changed.id,
        "url": url_for("chat.show_conversation", conversation_id=changed.id),
        "title": changed.title,
        "leaf": changed.leaf_id,
        "deleted": changed.is_deleted,
    }
