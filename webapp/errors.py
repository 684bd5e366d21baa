"""The errors that users see, each with a code and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from webapp.chat import Failure
from webapp.language import gettext as _
from webapp.language import mark, ngettext

Value = TypeVar("Value")


class AppError(Exception):
    """An error that the user sees; `sentence` is in the user's language."""

    code = "error"

    def __init__(self, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after

    @property
    def sentence(self) -> str:
        return str(self)


class Invalid(AppError):
    """A field of the form is invalid."""

    code = "invalid"


class TooLarge(AppError):
    """The form exceeds a size limit."""

    code = "too_large"


class NotFound(AppError):
    """The page or record does not exist, or belongs to another user."""

    code = "not_found"


def existing(value: Value | None, sentence: str) -> Value:
    """The value. Raises NotFound for None."""
    if value is None:
        raise NotFound(sentence)
    return value


class ModelNotFound(NotFound):
    """A program names a model that its user may not use."""

    code = "model_not_found"


class Gone(AppError):
    """The record existed, but it is too late to restore it."""

    code = "gone"


class Forbidden(AppError):
    """The sender may not do this: it is another site or machine, or has no token."""

    code = "forbidden"


class NotAdmitted(Forbidden):
    """Somebody has signed in elsewhere, as `name`, and may not come in here."""

    def __init__(self, sentence: str, name: str) -> None:
        super().__init__(sentence)
        self.name = name


class Misdirected(AppError):
    """The request names a host that this server does not serve."""

    code = "misdirected"


class Conflict(AppError):
    """The request contradicts the stored data."""

    code = "conflict"


class Busy(AppError):
    """A limit is reached or the server is restarting. Retry after `retry_after` seconds."""

    code = "busy"


class SignedOut(AppError):
    """Nobody is signed in here, and the page is for those who are."""

    code = "signed_out"


class Throttled(Busy):
    """Too many attempts. Retry after `retry_after` seconds."""

    code = "throttled"


class Limited(Busy):
    """A limit that an administrator has set is reached. Retry after `retry_after` seconds."""

    code = "limited"


class ProviderError(AppError):
    """The identity provider does not answer (`is_away`), or not as it should. `reason` is for the log."""

    code = "identity_provider"

    def __init__(self, reason: str, *, is_away: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_away = is_away

    @property
    def sentence(self) -> str:
        if self.is_away:
            return _("The identity provider does not answer at the moment. Try again in a moment.")
        return _("The identity provider's answer cannot be used. An administrator can find the reason in the log.")


class StorageUnavailable(AppError):
    """The database cannot be read or written right now."""

    code = "storage"


class StorageConflict(StorageUnavailable):
    """The database rolled the transaction back because of another one. Worth retrying."""


class StorageFull(StorageUnavailable):
    """The database has no room left."""

    code = "storage_full"


class ConfigError(AppError):
    """A setting is invalid. The sentence names it, its value and the accepted values."""

    code = "config"


# reason -> (code, sentence). Storage keeps the reason; programs compare the code.
REASONS: Mapping[str, tuple[str, str]] = {
    "auth": ("auth", mark("The upstream does not accept this server's key. An administrator has to check it.")),
    "forbidden": ("auth", mark("The upstream does not allow this request.")),
    "quota": ("quota", mark("The upstream's quota is used up. An administrator has to renew it.")),
    "rate_limited": ("rate_limited", mark("The upstream receives too many requests. Wait a moment, then retry.")),
    "bad_request": ("bad_request", mark("The upstream does not accept this request.")),
    "context_length": (
        "context_length",
        mark("This conversation is too long for the model. Start a new chat or choose another model."),
    ),
    "too_large": ("too_large", mark("The message is too large for the upstream. Shorten it and retry.")),
    "answer_too_large": ("too_large", mark("The answer is longer than this server allows, so it was cut here.")),
    "line_too_large": ("too_large", mark("The upstream sent a line longer than this server allows.")),
    "no_room": (
        "unavailable",
        mark("This server has no room for more pictures at the moment, so the answer was cut here. Retry later."),
    ),
    "model_not_found": ("model_not_found", mark("The upstream does not have this model. Choose another one.")),
    "other_api": (
        "bad_request",
        mark("The upstream offers this model through another interface only. Choose another model."),
    ),
    "no_models": (
        "model_not_found",
        mark("The upstream offers no model to chat with. An administrator has to add one."),
    ),
    "filtered": ("filtered", mark("The upstream's content filter withheld the answer.")),
    "connect_timeout": ("timeout", mark("The upstream could not be reached in time.")),
    "first_token_timeout": ("timeout", mark("The upstream did not begin to answer in time.")),
    "idle_timeout": ("timeout", mark("The upstream fell silent in the middle of the answer.")),
    "total_timeout": ("timeout", mark("The answer took longer than this server allows, so it was cut here.")),
    "unavailable": ("unavailable", mark("The upstream is not available at the moment.")),
    "upstream": ("upstream", mark("The upstream reported an error.")),
    "network": ("network", mark("The upstream could not be reached.")),
    "tls": ("network", mark("The upstream's certificate cannot be verified. An administrator has to check it.")),
    "cut_off": ("network", mark("The connection to the upstream broke before the answer was complete.")),
    "protocol": ("protocol", mark("The upstream sent something that is not an answer.")),
    "html": ("protocol", mark("The upstream sent a web page instead of an answer.")),
    "redirect": ("protocol", mark("The upstream sent a redirect, which this server does not follow.")),
    "unframed": ("protocol", mark("The upstream sent its answer without event framing, so it cannot be read.")),
    "tool": ("protocol", mark("The model asked for a tool, and this page runs none.")),
    "picture": ("protocol", mark("The model gave only a picture, which this page cannot show.")),
    "no_answer": ("protocol", mark("The model thought about it, but gave no answer.")),
    "empty": ("protocol", mark("The upstream sent an empty answer.")),
    "internal": (
        "upstream",
        mark("Something went wrong in this server. The administrator can find the error in the log."),
    ),
}


class UpstreamError(AppError):
    """The upstream failed; `status` is the HTTP status of its answer, where it matters.

    `reason` is a key of REASONS and sets `code`. `detail` is the upstream's own sentence, already
    cleaned. `retry_after` is in seconds. Raises KeyError for an unknown reason.
    """

    status: int | None = None

    def __init__(self, reason: str, detail: str = "", retry_after: int | None = None) -> None:
        self.code, self._message = REASONS[reason]
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason, retry_after=retry_after)

    @property
    def sentence(self) -> str:
        sentences = [_(self._message)]
        if seconds := self.retry_after:
            sentences.append(ngettext("It asks to wait %(num)s second.", "It asks to wait %(num)s seconds.", seconds))
        if self.detail:
            sentences.append(f"({self.detail})")
        return " ".join(sentences)

    @property
    def failure(self) -> Failure:
        """The value that storage keeps with the reply."""
        return Failure(self.reason, self.detail, self.retry_after)

    @classmethod
    def of(cls, failure: Failure) -> UpstreamError:
        """Return the error of a stored failure. An unknown reason becomes `upstream`."""
        reason = failure.reason if failure.reason in REASONS else "upstream"
        return cls(reason, failure.detail, failure.retry_after)
