"""What the list of conversations beside every page needs."""

from __future__ import annotations

from webapp import groups
from webapp.retention import days_of
from webapp.views import words
from webapp.views.parts import parts
from webapp.views.visitor import User, local_now


def sidebar(user_id: str, after: str = "", folder_id: str = "") -> dict[str, object]:
    """The variables of `_list.html`: a page of this user's conversations in groups, and the place of the next page.

    The first page begins with the user's folders; with `folder_id` it is one of that folder alone.
    """
    page = parts().conversations.listed(user_id, after, folder_id)
    shown = groups.grouped(page.conversations, local_now(), is_start=not after)
    return {"groups": shown, "further": page.further, "folders": page.folders}


def retention(user: User) -> str:
    """The sentence on how long this user's conversations are kept; nothing if that is for ever."""
    config = parts().config
    return words.retention(days_of(config, user.account), with_pinned=config.retention_pinned == "delete")
