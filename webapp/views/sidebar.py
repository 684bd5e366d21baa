"""What the list of conversations beside every page needs."""

from __future__ import annotations

from webapp import groups
from webapp.views.parts import parts
from webapp.views.visitor import local_now


def sidebar(user_id: str, after: str = "") -> dict[str, object]:
    """The variables of `_list.html`: a page of this user's conversations in groups, and the place of the next page."""
    listed, further = parts().conversations.listed(user_id, after)
    return {"groups": groups.grouped(listed, local_now(), is_start=not after), "further": further}
