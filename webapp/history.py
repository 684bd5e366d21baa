"""What the upstream reads of a conversation: the messages of one branch, and the request made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from webapp.chat import Conversation, Role
from webapp.errors import TooLarge
from webapp.following import text_so_far
from webapp.generation import Generation
from webapp.language import gettext as _
from webapp.language import number
from webapp.loop import give_way
from webapp.storage import branches

HISTORY_CHARS = 4_000_000  # the largest windows of models are about as large
MESSAGE_CHARS = 30  # around each message on the wire


@dataclass(frozen=True, slots=True)
class History:
    """The messages up to the leaf, the first one first; `chars` is their size on the wire."""

    leaf_id: str | None = None
    messages: tuple[tuple[Role, str], ...] = ()
    chars: int = 0


def read(tx: Connection, running: Mapping[str, Generation], conversation: Conversation, leaf_id: str | None) -> History:
    """The history of a branch. Raises TooLarge for one that is longer than any model reads.

    A history without its beginning would be another conversation than the one on the page.
    Take `running` before the transaction: a reply leaves the hub after storage has it.
    """
    found: list[tuple[Role, str]] = []
    chars, at = 0, leaf_id
    while at:
        part = branches.said(tx, conversation.user_id, conversation.id, at, HISTORY_CHARS - chars)
        for one in part:
            text = text_so_far(tx, one.id, running) if one.status == "streaming" else one.text
            found.append((one.role, text))
            chars += len(text) + MESSAGE_CHARS
        if chars > HISTORY_CHARS:
            raise TooLarge(
                _(
                    "This conversation is too long to be sent: %(limit)s characters are allowed."
                    " Start a new chat, or edit an earlier message."
                )
                % {"limit": number(HISTORY_CHARS)}
            )
        at = part[-1].parent_id if part else None
        give_way()  # lets the other streams run
    return History(leaf_id, tuple(found[::-1]), chars)


def wire(system: str, messages: Iterable[tuple[Role, str]]) -> list[dict[str, str]]:
    """The messages of a request to the upstream.

    Skips replies without text and joins neighbours of one role: many chat templates refuse roles that do not alternate.
    """
    groups: list[tuple[str, list[str]]] = []
    for role, text in [("system", system), *messages]:
        if groups and text and groups[-1][0] == role:
            groups[-1][1].append(text)
        elif text:
            groups.append((role, [text]))
    return [{"role": role, "content": "\n\n".join(texts)} for role, texts in groups]
