"""The history of a conversation: the messages of one branch, and the request to the upstream made of them."""

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
from webapp.window import least_tokens

HISTORY_CHARS = 4_000_000  # about the largest context windows of models
MESSAGE_CHARS = 30  # of JSON around each message


@dataclass(frozen=True, slots=True)
class History:
    """The messages from the first one to the leaf; `chars` is their size in a request, `least_tokens` a lower bound."""

    leaf_id: str | None = None
    messages: tuple[tuple[Role, str], ...] = ()
    chars: int = 0
    least_tokens: int = 0


def read(tx: Connection, running: Mapping[str, Generation], conversation: Conversation, leaf_id: str | None) -> History:
    """The history of a branch. Raises TooLarge if it is longer than any model reads.

    Does not cut the beginning: the page shows the whole conversation.
    Take `running` before the transaction: the hub drops a reply after it is stored.
    """
    found: list[tuple[Role, str]] = []
    chars, tokens, at = 0, 0, leaf_id
    while at:
        part = branches.said(tx, conversation.user_id, conversation.id, at, HISTORY_CHARS - chars)
        for one in part:
            text = text_so_far(tx, one.id, running) if one.status == "streaming" else one.text
            found.append((one.role, text))
            chars += len(text) + MESSAGE_CHARS
            tokens += least_tokens(text)
            give_way()
        if chars > HISTORY_CHARS:
            raise TooLarge(
                _(
                    "This conversation is too long to be sent: %(limit)s characters are allowed."
                    " Start a new chat, or edit an earlier message."
                )
                % {"limit": number(HISTORY_CHARS)}
            )
        at = part[-1].parent_id if part else None
    return History(leaf_id, tuple(found[::-1]), chars, tokens)


def wire(system: str, messages: Iterable[tuple[Role, str]]) -> list[dict[str, str]]:
    """The messages of a request to the upstream.

    Skips empty replies and joins neighbours of one role: many chat templates require alternating roles.
    """
    groups: list[tuple[str, list[str]]] = []
    for role, text in [("system", system), *messages]:
        if groups and text and groups[-1][0] == role:
            groups[-1][1].append(text)
        elif text:
            groups.append((role, [text]))
    return [{"role": role, "content": "\n\n".join(texts)} for role, texts in groups]
