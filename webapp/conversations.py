"""The use cases of conversations: list, show, select, rename, pin, delete, restore. Each opens its own transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from sqlalchemy import Connection

from webapp.chat import Conversation, Folder, Listed, Message, Picture
from webapp.errors import Gone, Invalid, NotFound, TooLarge, existing
from webapp.following import known_message, with_text
from webapp.generation import Hub
from webapp.language import gettext as _
from webapp.language import number
from webapp.recent import Recent
from webapp.storage import Storage, audit, branches, changes, conversations, folders, messages, outlines, pictures
from webapp.storage.outlines import PageOf
from webapp.team import Actor
from webapp.text import LONGEST_TITLE_CHARS, clean

LISTED = 60  # conversations on a page of the list
MODELS_OF = 20  # conversations, among which a new chat looks for a model that is offered

LAST_MESSAGES = 60  # on a page, unless it asks for more
PAGE_MESSAGES = 200  # at most
PAGE_CHARS = 1_000_000  # on a page, unless a single message is longer
TURN_CHARS = 2500  # size of a turn in the database, without its text
UNDO_TIME = timedelta(days=1)
KEPT_PARTS = 200  # of conversations; one of 60 messages takes 10 KB


@dataclass(frozen=True, slots=True)
class Shown:
    """The part of a conversation that a page shows.

    `earlier` and `later` count the messages of the branch before and after this part; `later_id` is the next one.
    `leaf_id` is the last message of the branch. `revision` is the number of the user's last change at that time.
    """

    conversation: Conversation
    messages: list[Message]
    earlier: int = 0
    later: int = 0
    later_id: str = ""
    leaf_id: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """The ids of the messages of a page, those beside them, and what `Shown` says of the rest of the branch."""

    ids: list[str]
    siblings: Mapping[str | None, tuple[str, ...]]
    earlier: int
    later: int
    later_id: str
    leaf_id: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list. `further` is the `after` of the next page, "" if there is none.

    `folders` are the user's, by name; the first page of the whole list alone has them.
    """

    conversations: list[Listed]
    further: str
    folders: list[Folder]


class Conversations:
    """The conversations of all users; every method takes the user first."""

    def __init__(self, storage: Storage, hub: Hub) -> None:
        self._storage = storage
        self._hub = hub
        self._parts = Recent[_Part](KEPT_PARTS)

    def listed(self, user_id: str, after: str = "", folder_id: str = "") -> Listing:
        """A page of the user's conversations, or of those in a folder: pinned ones first, then the last used first.

        Ignores an `after` that no page returned.
        """
        with self._storage.read() as tx:
            found = conversations.listed(tx, user_id, _place(after), LISTED + 1, folder_id)
            theirs = [] if after or folder_id else folders.of(tx, user_id)
        return Listing(found[:LISTED], _mark(found[LISTED - 1]) if len(found) > LISTED else "", theirs)

    def models(self, user_id: str, *, of_last: int = MODELS_OF) -> list[str]:
        """The different models of the user's last conversations, the last used first."""
        with self._storage.read() as tx:
            return conversations.models(tx, user_id, of_last)

    def show(
        self,
        user_id: str,
        conversation_id: str,
        *,
        at: str | None = None,
        before: str | None = None,
        last: int = LAST_MESSAGES,
        page_of: PageOf = lambda stamp: None,
    ) -> Shown:
        """A conversation and the last messages of its branch, running replies with their text so far.

        `at` is a message to include: shows its branch, from that message on if the page has no room for more.
        `before` is a message too: includes the LAST_MESSAGES before it. Shows at most PAGE_MESSAGES messages and
        PAGE_CHARS characters. `page_of` gives the page of a message with this stamp, if it is kept. Raises NotFound.
        """
        running = self._hub.all()
        with self._storage.read() as tx:
            revision = changes.revision(tx, user_id)  # first: a change that comes now is told again, never missed
            conversation = known(conversations.get(tx, user_id, conversation_id))
            # No message is added without a new revision, and no other change moves one.
            key = (user_id, conversation_id, conversation.leaf_id, revision, last)
            kept = None if at or before else self._parts.get(key)
            part = kept or _part(tx, conversation, at, before, last)
            found = outlines.of(tx, user_id, conversation_id, part.ids, part.siblings, page_of)
            others = [one.id for one in found if one.kept is None]
            whole = {one.id: one for one in messages.some(tx, user_id, conversation_id, others, siblings=part.siblings)}
            shown = [
                one.kept or replace(with_text(tx, whole[one.id], running), stamp=one.stamp)
                for one in found
                if one.kept or one.id in whole  # deleted meanwhile
            ]
        if not (at or before or kept or others):  # the length of a reply that has not ended may still change
            self._parts.put(key, part)
        return Shown(conversation, shown, part.earlier, part.later, part.later_id, part.leaf_id, revision)

    def get(self, user_id: str, conversation_id: str) -> Conversation:
        """One conversation, without its messages. Raises NotFound."""
        with self._storage.read() as tx:
            return known(conversations.get(tx, user_id, conversation_id))

    def message(self, user_id: str, message_id: str) -> Message:
        """One message, with its text so far and its siblings. Raises NotFound."""
        running = self._hub.all()
        with self._storage.read() as tx:
            message = with_text(tx, known_message(messages.get(tx, user_id, message_id)), running)
            siblings = branches.siblings(tx, message.conversation_id, [message.parent_id])
            return replace(message, siblings=siblings[message.parent_id])

    def picture(self, user_id: str, picture_id: str) -> tuple[Picture, Iterator[bytes]]:
        """One picture of a reply, and its bytes in parts. Raises NotFound."""
        with self._storage.read() as tx:
            picture = existing(pictures.get(tx, user_id, picture_id), _("This picture does not exist."))
        return picture, pictures.parts(self._storage, picture)

    def select(self, user_id: str, message_id: str) -> Message:
        """Show the branch that holds this message, from now on. Raises NotFound."""
        with self._storage.read() as tx:
            message = known_message(messages.get(tx, user_id, message_id))
            leaf_id = branches.newest_below(tx, user_id, message.conversation_id, message_id)
        self._change(user_id, message.conversation_id, leaf_id=leaf_id)
        return message

    def rename(self, user_id: str, conversation_id: str, title: str) -> None:
        """Give a conversation another title. Raises NotFound, Invalid, TooLarge."""
        title = " ".join(clean(title).split())
        if not title:
            raise Invalid(_("Write a title first."))
        if len(title) > LONGEST_TITLE_CHARS:
            raise TooLarge(
                _("The title is too long: %(limit)s characters are allowed.") % {"limit": LONGEST_TITLE_CHARS}
            )
        self._change(user_id, conversation_id, title=title)

    def pin(self, user_id: str, conversation_id: str, pinned: bool) -> None:
        """Pin a conversation to the top of the list, or unpin it. Raises NotFound."""
        self._change(user_id, conversation_id, pinned=pinned)

    def delete(self, user_id: str, conversation_id: str, by: Actor | None = None) -> None:
        """Delete a conversation and stop its running replies; `restore` undoes it for a day. Raises NotFound."""

        def delete(tx: Connection) -> list[str]:
            if not conversations.change(tx, user_id, conversation_id, deleted_at=datetime.now(UTC)):
                raise _unknown()
            audit.note(tx, by, "conversation_deleted", conversation_id)
            return messages.request_stops(tx, conversation_id)

        for reply_id in self._storage.run(delete):
            self._hub.stop(reply_id)

    def is_restorable(self, user_id: str, conversation_id: str) -> bool:
        """Whether the user has deleted this conversation, and `restore` still undoes it; the id may be any text."""
        with self._storage.read() as tx:
            return _is_young(conversations.deleted_at(tx, user_id, clean(conversation_id)))

    def restore(self, user_id: str, conversation_id: str, by: Actor | None = None) -> None:
        """Undo a deletion. Raises Gone after UNDO_TIME, NotFound for a purged conversation."""

        def restore(tx: Connection) -> None:
            deleted_at = conversations.deleted_at(tx, user_id, conversation_id, lock=True)
            if deleted_at and not _is_young(deleted_at):
                raise Gone(_("It is too late: a deleted conversation can be restored for one day."))
            if not conversations.restore(tx, user_id, conversation_id):
                raise NotFound(_("This conversation does not exist, or it was deleted more than a day ago."))
            audit.note(tx, by, "conversation_restored", conversation_id)

        self._storage.run(restore)

    def _change(self, user_id: str, conversation_id: str, **values: object) -> None:
        if not self._storage.run(lambda tx: conversations.change(tx, user_id, conversation_id, **values)):
            raise _unknown()


def _part(tx: Connection, conversation: Conversation, at: str | None, before: str | None, last: int) -> _Part:
    """The part of a conversation that a page shows, as `Conversations.show` says."""
    user_id, wanted = conversation.user_id, before or at
    path = branches.path(tx, user_id, conversation.id, conversation.leaf_id)
    if wanted and wanted not in path:
        end = branches.newest_below(tx, user_id, conversation.id, wanted)
        path = branches.path(tx, user_id, conversation.id, end) if end else path
    place = path.index(wanted) if wanted in path else None
    first, after = bounds(tx, path, place, min(last, PAGE_MESSAGES), is_end=bool(before))
    siblings = branches.siblings(tx, conversation.id, [None, *path][first:after])
    later = path[after:]
    later_id, leaf_id = later[0] if later else "", path[-1] if path else ""
    return _Part(path[first:after], siblings, first, len(later), later_id, leaf_id)


def known(conversation: Conversation | None) -> Conversation:
    """The conversation. Raises NotFound for None."""
    if conversation is None:
        raise _unknown()
    return conversation


def _is_young(deleted_at: datetime | None) -> bool:
    return deleted_at is not None and deleted_at >= datetime.now(UTC) - UNDO_TIME


def _unknown() -> NotFound:
    return NotFound(_("This conversation does not exist."))


def _mark(last: Listed) -> str:
    """The place of the last conversation on a page, for the address of the next page."""
    return f"{last.pinned:d} {last.updated_at.isoformat()} {last.id}"


def _place(mark: str) -> conversations.Place | None:
    """The place that `_mark` wrote; None for any other text."""
    with suppress(ValueError, OverflowError):
        pinned, updated_at, last_id = clean(mark).split(" ")
        return pinned == "1", datetime.fromisoformat(updated_at).astimezone(UTC), last_id
    return None


def too_many_conversations(limit: int) -> TooLarge:
    """The error for a user who would have more than `limit` conversations."""
    return TooLarge(
        _("You may have %(limit)s conversations, and this would be more. Delete some first.") % {"limit": number(limit)}
    )


def bounds(tx: Connection, path: list[str], place: int | None, last: int, *, is_end: bool) -> tuple[int, int]:
    """Where the messages of a branch that a page shows begin and end.

    They go on to the end of the branch, if the page has room for all of them from `place` on; else they begin there,
    or end right before it with `is_end`.
    """
    first = max(len(path) - last, 0)
    if place is not None:
        first = min(first, max(place - LAST_MESSAGES, 0) if is_end else place)
    number = _fitting(tx, path[first:][::-1]) if len(path) - first <= PAGE_MESSAGES else 0
    if place is None or len(path) - number <= max(place - is_end, 0):
        return len(path) - number, len(path)
    if is_end:
        return place - _fitting(tx, path[first:place][::-1]), place
    return place, place + _fitting(tx, path[place : place + PAGE_MESSAGES])


def _fitting(tx: Connection, message_ids: Sequence[str]) -> int:
    """How many of these messages, from the first on, have PAGE_CHARS characters together; at least one."""
    lengths = messages.lengths(tx, message_ids)
    totals = accumulate(lengths[message_id] for message_id in message_ids)
    return min(max(sum(total <= PAGE_CHARS for total in totals), 1), len(message_ids))
