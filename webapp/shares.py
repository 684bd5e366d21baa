"""Conversations that the team may read: links to a branch as it stood, for members only.

A share stores the last message of the branch, and no copy. A finished message and its parents never change: an edit
and a retry make siblings, what follows comes below. So the branch above that message is what was shared. And there is
one text to find, to retain, to delete and to render safely, not two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from webapp.chat import Message, Picture
from webapp.conversations import LAST_MESSAGES, bounds, known
from webapp.errors import Conflict, NotFound, existing
from webapp.language import gettext as _
from webapp.language import mark
from webapp.storage import Storage, audit, branches, conversations, messages, pictures, shares
from webapp.team import Actor, Share
from webapp.text import new_id

MOST = 200  # of one user: one page shows all of them
UNKNOWN = mark("This conversation is not shared, or not any more.")


@dataclass(frozen=True, slots=True)
class Reading:
    """The part of a share that a page shows; `earlier`, `later` and `later_id` as in `conversations.Shown`."""

    share: Share
    messages: list[Message]
    earlier: int
    later: int
    later_id: str


class Shares:
    """The shares of one instance. Whoever calls `show` or `picture` has checked that a member asks."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def share(self, actor: Actor, conversation_id: str) -> None:
        """Let the team read this conversation as it stands. Changes nothing if it was shared so before.

        Raises NotFound, and Conflict while a reply runs or for too many shares.
        """

        def share(tx: Connection) -> None:
            conversation = known(conversations.get(tx, actor.user_id, conversation_id, lock=True))
            if shares.is_running(tx, conversation_id) or not conversation.leaf_id:
                raise Conflict(_("Wait until the answer is complete, then share the conversation."))
            new = (conversation.id, conversation.leaf_id, conversation.title)
            if any((one.conversation_id, one.message_id, one.title) == new for one in shares.of(tx, actor.user_id)):
                return
            if shares.count(tx, actor.user_id) >= MOST:
                raise Conflict(_("You share %(limit)s conversations. Revoke one first.") % {"limit": MOST})
            values = dict(zip(("conversation_id", "message_id", "title"), new, strict=True))
            shares.add(tx, share_id := new_id(), **values, created_at=datetime.now(UTC))
            audit.note(tx, actor, "shared", share_id)

        self._storage.run(share)

    def of(self, user_id: str) -> list[Share]:
        """The user's shares, the newest first."""
        with self._storage.read() as tx:
            return shares.of(tx, user_id)

    def revoke(self, actor: Actor, share_id: str) -> None:
        """End a share of this user. Raises NotFound."""
        with self._storage.begin() as tx:
            if not shares.remove(tx, actor.user_id, share_id):
                raise NotFound(_(UNKNOWN))
            audit.note(tx, actor, "share_revoked", share_id)

    def is_there(self, share_id: str) -> bool:
        """Whether this share can be read now."""
        with self._storage.read() as tx:
            return shares.get(tx, share_id) is not None

    def show(self, share_id: str, *, at: str | None = None, before: str | None = None) -> Reading:
        """A share from its first message on, or from `at`, or the messages before `before`. Raises NotFound.

        Shows as much as a page of a conversation does.
        """
        with self._storage.read() as tx:
            share = existing(shares.get(tx, share_id), _(UNKNOWN))
            path, wanted = _path(tx, share), before or at
            place = path.index(wanted) if wanted in path else 0
            is_end = before is not None and before in path
            first, after = bounds(tx, path, place, LAST_MESSAGES, is_end=is_end)
            shown = messages.some(tx, share.user_id, share.conversation_id, path[first:after])
        rest = path[after:]
        return Reading(share, shown, first, len(rest), rest[0] if rest else "")

    def picture(self, share_id: str, picture_id: str) -> tuple[Picture, Iterator[bytes]]:
        """A picture of a share, and its bytes in parts. Raises NotFound."""
        with self._storage.read() as tx:
            share = existing(shares.get(tx, share_id), _(UNKNOWN))
            picture, message_id = shares.picture(tx, share, picture_id) or (None, "")
            if picture is None or message_id not in _path(tx, share):
                raise NotFound(_("This picture does not exist."))
        return picture, pictures.parts(self._storage, picture)


def _path(tx: Connection, share: Share) -> list[str]:
    return branches.path(tx, share.user_id, share.conversation_id, share.message_id)
