"""The provider: chat completions from Lockchat, or any server with the same protocol, as a stream of deltas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from webapp.chat import OfferedModel, Option, merge
from webapp.config import Config, UpstreamConfig
from webapp.errors import UpstreamError
from webapp.upstream import listing, transport
from webapp.upstream.exchange import Exchange, bounded, check
from webapp.upstream.lifeline import Lifeline
from webapp.upstream.payloads import load
from webapp.upstream.refusals import Body, Refusals
from webapp.upstream.relay import Relay
from webapp.upstream.stream import Stream

url = "http://super.lockchat.app"
model = ["gpt-4", "gpt-3.5-turbo"]
supports_stream = True
needs_auth = False
working = True  # the original package's loader reads it first

LIST_BYTES = 8 * 2**20
LIST_VALUES = 700_000  # as many as a list of LIST_BYTES usually has; they take less than 100 ms
LIST_SECONDS = 10.0
LIST_PATH = "/models"


def _create_completion(
    model: str, messages: list[dict[str, Any]], stream: bool, temperature: float = 0.7, **kwargs: Any
) -> Iterator[str]:
    """Yield the text tokens of the answer, without its pictures; without `stream` the whole answer is one token.

    `base_url` and the keyword arguments of Lockchat override the environment. None and False count as not given.
    Ignores other names. Raises UpstreamError, and ConfigError for an invalid setting.
    """
    given = {name: value for name, value in kwargs.items() if value is not None and value is not False}
    config = Config.from_env()
    lockchat = Lockchat.of(config, given.get("base_url") or config.url or url, **given)
    deltas = lockchat.stream(messages, model, temperature, stream)
    try:
        yield from (delta.text for delta in deltas if delta.text) if stream else [merge(list(deltas)).text]
    finally:
        deltas.close()
        lockchat.close()


_hints = {name: hint.__name__ for name, hint in get_type_hints(_create_completion).items()}
_arguments = ", ".join(f"{name}: {_hints[name]}" for name in ("model", "messages", "stream", "temperature"))
params = f"g4f.Providers.Lockchat supports: ({_arguments})"


@dataclass(frozen=True, eq=False)
class Lockchat(UpstreamConfig):
    """One upstream, for many threads. The keyword arguments are the fields of UpstreamConfig."""

    base_url: str = field(repr=False)  # may contain a password
    _exchange: Exchange = field(init=False, repr=False)
    _refusals: Refusals = field(default_factory=Refusals, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_exchange", Exchange(self.base_url, self))  # the class is frozen

    @classmethod
    def of(cls, config: UpstreamConfig, base_url: str, /, **changes: Any) -> Lockchat:
        """Return the upstream that `config` describes. `changes` override its settings; ignores other names."""
        names = [setting.name for setting in fields(UpstreamConfig)]
        return cls(base_url, **{name: changes.get(name, getattr(config, name)) for name in names})

    def stream(
        self,
        messages: list[dict[str, Any]],
        model: str,
        temperature: float | None = None,
        stream: bool = True,
        options: Mapping[str, Option] | None = None,
    ) -> Stream:
        """Return the answer to `messages`. The first `next` sends the request.

        Without `temperature` none is sent; `options` are sent as they are.
        """
        body: Body = {**(options or {}), "messages": messages, "model": model, "stream": stream}
        if stream:  # some refuse the options of a stream that is none
            body["stream_options"] = {"include_usage": True}
        if temperature is not None:
            body = {"temperature": temperature, **body}
        return Stream(self._exchange, self, body, self._refusals)

    def relay(self, body: Body) -> Relay:
        """Return the answer to a checked request in the upstream's own events. The first `next` sends the request."""
        return Relay(self._exchange, self, body, self._refusals)

    def models(self) -> list[str]:
        """Return the ids of the models that the upstream offers. Raises UpstreamError."""
        return [model.id for model in self.offered_models()]

    @property
    def address(self) -> str:
        """The address that paths are added to, without secrets, for users."""
        return self._exchange.place("")

    @property
    def list_address(self) -> str:
        """The address of the list of models without secrets, for users and the log."""
        return self._exchange.place(LIST_PATH)

    def offered_models(self) -> list[OfferedModel]:
        """Return the models that chat, in the upstream's order. Raises UpstreamError with a `status`."""
        line = self._exchange.line(LIST_SECONDS)
        line.start("first_token_timeout", LIST_SECONDS)
        try:
            models, failure = self._ask_models(line), None
        except UpstreamError as error:
            models, failure = [], error
        finally:
            line.end()
        deployment = self._exchange.address.deployment
        if failure and failure.status in (404, 405) and deployment:
            return [OfferedModel(deployment)]  # Azure has no list at the address of one model
        if failure:
            raise self._exchange.shown(failure, line)
        return models

    def close(self) -> None:
        """Close the idle connections."""
        self._exchange.close()

    def _ask_models(self, line: Lifeline) -> list[OfferedModel]:
        response = self._exchange.send(line, "GET", LIST_PATH)
        try:
            check(response)
            body = bounded(transport.read(response), LIST_BYTES)
            if body.lstrip().startswith(b"<"):
                raise UpstreamError("html")
            return listing.read(load(body, LIST_VALUES) if len(body) <= LIST_BYTES else None)
        except UpstreamError as failure:
            failure.status = response.status_code
            raise
        finally:
            response.close()
