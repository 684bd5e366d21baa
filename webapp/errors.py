"""One tree of errors, each with a code and the sentence that the user reads."""

from __future__ import annotations

from types import MappingProxyType

from webapp.chat import Failure
from webapp.language import gettext as _
from webapp.language import mark, ngettext, number


class AppError(Exception):
    """An error that the user is told about; `sentence` is in the user's language."""

    code = "error"
    retry_after: int | None = None

    def __init__(self, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self._sentence = sentence
        self.retry_after = retry_after

    @property
    def sentence(self) -> str:
        return self._sentence


class Invalid(AppError):
    """The form holds something that cannot be used."""

    code = "invalid"


class TooLarge(AppError):
    """The form holds more than is allowed."""

    code = "too_large"


class NotFound(AppError):
    """It does not exist, or it is not this user's."""

    code = "not_found"


class Gone(AppError):
    """It existed, and it is too late to ask for it."""

    code = "gone"


class Forbidden(AppError):
    """The request comes from somewhere it must not come from."""

    code = "forbidden"


class Misdirected(AppError):
    """The request asks for a host that this server is not."""

    code = "misdirected"


class Conflict(AppError):
    """The request contradicts what is already there."""

    code = "conflict"


class Busy(AppError):
    """A limit is reached or the server is restarting; `retry_after` seconds later it may work."""

    code = "busy"


class StorageUnavailable(AppError):
    """The database cannot be read or written right now."""

    code = "storage"


class StorageConflict(StorageUnavailable):
    """Another transaction was in the way, and the database has rolled this one back: worth another try."""

    code = "storage"


class StorageFull(StorageUnavailable):
    """The database has no room left."""

    code = "storage_full"


class ConfigError(AppError):
    """A setting cannot be used; the sentence names it, its value and what is accepted."""

    code = "config"


# reason -> (code, sentence). The reason is what is stored; the code is what programs compare.
REASONS = MappingProxyType(
    {
        "auth": ("auth", mark("The upstream does not accept this server's key. An administrator has to check it.")),
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
        "model_not_found": ("model_not_found", mark("The upstream does not have this model. Choose another one.")),
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
        "empty": ("protocol", mark("The upstream sent an empty answer.")),
        "internal": ("upstream", mark("Something went wrong in this server. The administrator finds it in the log.")),
    }
)


class UpstreamError(AppError):
    """The upstream failed.

    `reason` is a key of REASONS and decides `code`. `detail` is the upstream's own sentence, already
    cleaned. `retry_after` is in seconds. Raises KeyError for an unknown reason.
    """

    def __init__(self, reason: str, detail: str = "", retry_after: int | None = None) -> None:
        self.code, self._message = REASONS[reason]
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason, retry_after=retry_after)

    @property
    def sentence(self) -> str:
        sentences = [_(self._message)]
        if self.retry_after:
            wait = ngettext("It asks to wait %(num)s second.", "It asks to wait %(num)s seconds.", self.retry_after)
            sentences.append(wait % {"num": number(self.retry_after)})
        if self.detail:
            sentences.append(f"({self.detail})")
        return " ".join(sentences)

    @property
    def failure(self) -> Failure:
        """The same as a value, to be stored with the reply."""
        return Failure(self.reason, self.detail, self.retry_after)

    @classmethod
    def of(cls, failure: Failure) -> UpstreamError:
        """The error that a stored failure came from; an unknown reason counts as `upstream`."""
        reason = failure.reason if failure.reason in REASONS else "upstream"
        return cls(reason, failure.detail, failure.retry_after)
