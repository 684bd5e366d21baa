"""The values of a chat: conversations, messages, settings, and how a reply ends."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Role = Literal["user", "assistant"]
Status = Literal["streaming", "done", "stopped", "interrupted", "error"]
Option = int | float | str
Activity = Literal["working", "calling"]  # the upstream is at work; the model writes a call of a tool


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the upstream counted for one reply.

    Reasoning tokens are part of the completion's, cached tokens part of the prompt's.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A web page that a reply relies on. `title` may be empty."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Picture:
    """A picture that a model sent. `kind` is its media type, by its bytes, and `size` its number of bytes.

    `width` and `height` are in pixels, 0 where unknown. A stored picture has an id, one that arrives has its data.
    """

    kind: str
    size: int
    width: int = 0
    height: int = 0
    id: str = ""
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model that the upstream offers; `window` is in tokens. None where the upstream does not say."""

    id: str
    window: int | None = None
    sees_images: bool | None = None


@dataclass(slots=True, unsafe_hash=True)  # not frozen: one is made a token, which would take three times as long
class Delta:
    """What one step of a stream adds to a reply; any part may be empty.

    `finish_reason` is the upstream's own word (stop, length, content_filter ...), on the last delta only, as `usage`,
    `sources`, the `tool` that the model asked for and the user's settings that the model refused (`dropped`), with
    "picture" where a picture was left out.
    `was_reasoning`: all text before this delta was reasoning. `activity`, for followers: what the upstream does
    meanwhile.
    """

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    sources: tuple[Reference, ...] = ()
    tool: str = ""
    dropped: tuple[str, ...] = ()
    images: tuple[Picture, ...] = ()
    was_reasoning: bool = False
    activity: Activity | None = None


def merge(deltas: Sequence[Delta]) -> Delta:
    """Return one delta with the text and the reasoning of all these."""
    texts: list[str] = []
    reasoning: list[str] = []
    for delta in deltas:
        if delta.was_reasoning:
            reasoning += texts
            texts = []
        texts.append(delta.text)
        reasoning.append(delta.reasoning)
    was_reasoning = any(delta.was_reasoning for delta in deltas)
    return Delta("".join(texts), "".join(reasoning), was_reasoning=was_reasoning)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a reply failed: a reason of `errors.REASONS` and the upstream's own cleaned words."""

    reason: str
    detail: str = ""
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reply ended; `saved` is False until storage has it."""

    status: Status
    finish_reason: str | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    first_token_seconds: float | None = None
    seconds: float | None = None
    sources: tuple[Reference, ...] = ()
    tool: str = ""
    dropped: tuple[str, ...] = ()
    saved: bool = True


@dataclass(frozen=True, slots=True)
class Final:
    """The values to save of a finished reply."""

    reply_id: str
    text: str
    reasoning: str
    html: str | None
    renderer: int | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that a reply is asked for with.

    `options` are those of `webapp.settings.OPTIONS` that the user has set, as the request has them.
    """

    model: str
    temperature: float | None  # None: the model's default
    system: str
    options: Mapping[str, Option] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class Conversation(Settings):
    """One conversation of one user, with the settings of its next reply.

    `leaf_id` is the last message of the branch that is shown, `folder` the name of the folder, "" without one.
    """

    id: str
    user_id: str
    title: str
    leaf_id: str | None
    created_at: datetime
    updated_at: datetime
    pinned: bool = False
    folder: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a user's conversations. A new conversation in it begins with its preset, if it has one."""

    id: str
    name: str
    preset_id: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation in the list of a user's conversations. `updated_at` is the time of its last use."""

    id: str
    title: str
    pinned: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Node:
    """A message's place in the tree of its conversation."""

    id: str
    parent_id: str | None


@dataclass(frozen=True, slots=True)
class Preset(Settings):
    """Settings that a user has saved under a name, to begin a conversation with. `is_shared`: for everybody."""

    id: str
    name: str
    is_shared: bool = False


Stamp = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A question or a reply. `parent_id` is the message it answers; siblings share a parent.

    `html` is the rendered text of a finished reply, made by renderer version `renderer`. `siblings` are the ids
    of all messages with the same parent, this one included, in the order of insertion, where the caller asked for them.
    `pictures` are those of a reply, in order.
    `window` is the context window of a reply's model in tokens, `least_tokens` a lower bound of those in its request.
    `is_imported`: its words and figures are those of a file, which anybody can write.
    `stamp` differs when anything of a finished message does, where the caller asked for it.
    `page` is its HTML in a page, where that is kept; then the message comes without its texts.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    text: str
    status: Status
    created_at: datetime
    reasoning: str = ""
    html: str | None = None
    renderer: int | None = None
    model: str = ""
    outcome: Outcome | None = None
    window: int | None = None
    least_tokens: int | None = None
    siblings: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    is_imported: bool = False
    stamp: Stamp = field(default=(), compare=False)
    page: bytes | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """The bytes of its text, reasoning and pictures."""
        texts = len(self.text.encode()) + len(self.reasoning.encode())
        return texts + sum(picture.size for picture in self.pictures)


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits for the end of the reply `reply_id`. `settings` are the fields of its form.

    `is_held`: it could not be sent, and waits for its user.
    """

    user_id: str
    conversation_id: str
    reply_id: str
    key: str
    text: str
    settings: Mapping[str, Any]
    address: str
    is_held: bool = False
