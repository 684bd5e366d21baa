"""The API for programs: the models, and chat completions as OpenAI's clients ask for them.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from webapp import allowed
from webapp.errors import AppError, SignedOut
from webapp.language import gettext as _
from webapp.openings import Opening
from webapp.upstream.payloads import dump
from webapp.upstream.relay import Payload
from webapp.views import api_errors, forms, http, problems
from webapp.views.parts import parts
from webapp.views.visitor import current_user

MOST_BYTES = 16 * 2**20  # of a request: some pictures
BEAT = b": the model is at work\n\n"

blueprint = Blueprint("api", __name__)


@blueprint.get("/v1/models")
def list_models() -> ResponseReturnValue:
    names = parts().offers.to(current_user().id).names
    models = [{"id": name, "object": "model", "created": 0, "owned_by": "lockchat"} for name in names]
    return jsonify({"object": "list", "data": models})


@blueprint.post("/v1/chat/completions")
def create_completion() -> ResponseReturnValue:
    holder, size, completions = current_user().holder, min(forms.size(), MOST_BYTES), parts().completions
    with ExitStack() as held:
        held.enter_context(completions.place(holder, size))
        body = allowed.read(forms.receive_bytes(MOST_BYTES))
        answer = completions.ask(holder, body, size)
        held.callback(answer.close)
        opening = held.enter_context(http.watched(answer.abort))
        if not body["stream"]:
            return Response(dump(_first(iter(list(answer)))), mimetype="application/json")
        pieces = answer.with_beats(completions.beat_seconds)
        held.callback(pieces.close)
        first = _first(pieces)  # an error that comes before it still has a status
        response = http.streamed(_events(chain([first], pieces), opening), "text/event-stream; charset=utf-8")
        response.call_on_close(held.pop_all().close)
        return response


def _first(pieces: Iterator[Payload | None]) -> Payload | None:
    """The first piece; None for a beat. Raises SignedOut if the answer was cut off before it came."""
    for piece in pieces:
        return piece
    raise SignedOut(_("The API key is missing or wrong, or it has expired or been revoked."))


def _events(pieces: Iterator[Payload | None], opening: Opening) -> Iterator[bytes]:
    """The answer as an event stream; a failure in its middle is its last event.

    In silence a comment keeps proxies from closing the connection; clients ignore it:
    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    try:
        for piece in pieces:
            if opening.is_over:
                return
            yield BEAT if piece is None else _event(piece)
        if not opening.is_over:
            yield b"data: [DONE]\n\n"
    except AppError as error:
        problems.count(error.code)
        yield _event(api_errors.said(error))


def _event(payload: Payload) -> bytes:
    return b"data: " + dump(payload) + b"\n\n"
