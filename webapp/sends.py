"""What a user sends and what it makes: the values of a send and a turn, and the check of a send."""

from __future__ import annotations

from dataclasses import dataclass, replace

from webapp.chat import Conversation, Message
from webapp.errors import Invalid, TooLarge
from webapp.language import gettext as _
from webapp.language import number
from webapp.settings import Typed
from webapp.text import clean, new_id

KEY_CHARS = 64


@dataclass(frozen=True, slots=True)
class Send:
    """What a user sends: the text, and the settings that apply from now on. `key` identifies this send.

    `parent_id` is the last message that the user saw; None is the end of the shown branch.
    `address` is the browser's: limits hold for addresses too.
    """

    text: str
    key: str
    settings: Typed
    parent_id: str | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its reply, and their conversation."""

    conversation: Conversation
    question: Message
    reply: Message


def checked(send: Send, max_chars: int) -> Send:
    """The send with a cleaned text, parent and key. Raises Invalid, TooLarge."""
    text = clean(send.text)
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise Invalid(_("Write a message first."))
    if len(text) > max_chars:
        raise TooLarge(
            _("The message is too long: %(length)s characters, %(limit)s are allowed.")
            % {"length": number(len(text)), "limit": number(max_chars)}
        )
    return replace(send, text=text, key=checked_key(send.key), parent_id=clean(send.parent_id or "") or None)


def checked_key(key: str) -> str:
    """The key of a send, a new one where it is empty. Raises Invalid."""
    if len(key) > KEY_CHARS:
        raise Invalid(_("The form is broken. Reload the page and send it again."))
    return clean(key) or new_id()
