"""The built-in upstream: a small WSGI app with Lockchat's protocol, used when no real upstream is set.

It has no model. It streams the texts of `demo_texts/` at the pace of a model, in the language of the question.
A question with one of `WORDS` makes it fail or stall as real upstreams do.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MODELS = ("demo", "demo-thinking")
WORDS = frozenset(
    ["/think", "/long", "/fast", "/error", "/error-middle", "/busy", "/empty", "/silence", "/stall", "/cut"]
)
"""Commands in a question, each a separate word. /error-middle, /stall and /cut work only in a stream."""

TOKENS_PER_SECOND = 35.0
FAST_TOKENS_PER_SECOND = 1_000.0
RETRY_AFTER_SECONDS = 30  # too long for a retry, so the page shows it
LONG_SECTIONS = 40
BREAK_TOKENS = 40  # every text has more
BODY_BYTES = 32 * 2**20
TEXTS = Path(__file__).parent / "demo_texts"

Answer = Callable[["StartResponse"], Iterable[bytes]]


@cache
def start() -> str:
    """Return the base URL of this process's demo. The first call starts it on a free loopback port."""
    return Demo().url


class Demo:
    """A running demo with the base URL `url`. `close` stops it."""

    def __init__(self, tokens_per_second: float = TOKENS_PER_SECOND) -> None:
        app = make_app(tokens_per_second)
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="demo", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(WSGIRequestHandler):
    """Uses HTTP/1.1 for chunked answers, and logs nothing: Lockchat logs its own requests."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        pass


def make_app(tokens_per_second: float = TOKENS_PER_SECOND) -> WSGIApplication:
    """Return the demo as a WSGI app that streams at this rate."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case "GET", "/v1/models":
                models = [{"id": model, "object": "model", "owned_by": "lockchat"} for model in MODELS]
                answer = _whole({"object": "list", "data": models})
            case "POST", "/v1/chat/completions":
                answer = _complete(environ, tokens_per_second)
            case _, path:
                answer = _error("404 Not Found", f"There is no {path} here.", "not_found")
        return answer(start_response)

    return app


def _complete(environ: WSGIEnvironment, tokens_per_second: float) -> Answer:
    try:
        request = json.loads(environ["wsgi.input"].read(min(int(environ["CONTENT_LENGTH"]), BODY_BYTES)))
        model, stream = request["model"], request.get("stream", False)
        messages = [(message["role"], _content(message)) for message in request["messages"]]
        questions = [said for role, said in messages if role == "user"]
        question = questions[-1]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return _error("400 Bad Request", "This is not a chat completion request.", "invalid_request")
    if model not in MODELS:
        return _error("404 Not Found", f"The demo has no model {model!r}.", "model_not_found")
    # An unanswered question is joined with the next one. Only the last one counts.
    words = WORDS & set(question.rpartition("\n\n")[2].split())
    if "/error" in words:
        return _error("500 Internal Server Error", "The demo was asked to fail.", "server_error")
    if "/busy" in words:
        return _error("429 Too Many Requests", "The demo was asked to be busy.", "rate_limit_exceeded")
    if "/silence" in words:
        return lambda start_response: _be_silent(environ)
    reasoning, text = _speak(questions, words, thinking=model == "demo-thinking")
    usage = {
        "prompt_tokens": sum(len(_tokens(said)) for _, said in messages),
        "completion_tokens": len(_tokens(reasoning)) + len(_tokens(text)),
    }
    if not stream:
        return _whole(_completion(model, reasoning, text, usage))
    pause_seconds = 1 / (FAST_TOKENS_PER_SECOND if "/fast" in words else tokens_per_second)
    return partial(_streamed, environ, model, reasoning, text, usage, words, pause_seconds)


def _content(message: dict[str, Any]) -> str:
    """Return the text of a message: its string, or the text of its parts."""
    content = message["content"]
    if content is None and message["role"] == "assistant":
        return ""  # it only calls a tool
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _speak(questions: list[str], words: frozenset[str], *, thinking: bool) -> tuple[str, str]:
    """Return reasoning and text: the tour for the first question, later a short answer that quotes the question."""
    question = questions[-1]
    language = "ru" if re.search("[а-яё]", question, re.IGNORECASE) else "en"
    reasoning = _read("reasoning", language) if thinking or "/think" in words else ""
    if "/empty" in words:
        return reasoning, ""
    if "/long" in words:
        section = _read("section", language)
        sections = [
            section.replace("{{n}}", str(n)).replace("{{square}}", str(n * n)) for n in range(1, LONG_SECTIONS + 1)
        ]
        return reasoning, "\n".join(sections)
    if len(questions) == 1:
        return reasoning, _read("tour", language)
    said = " ".join(word for word in question.split() if word not in WORDS)
    return reasoning, _read("again", language).replace("{{question}}", said[:200] + "…" * (len(said) > 200) or "…")


@cache
def _read(name: str, language: str) -> str:
    return (TEXTS / f"{name}.{language}.md").read_text(encoding="utf-8")


def _tokens(text: str) -> list[str]:
    """Return the text in pieces of about the size of a model's tokens."""
    return re.findall(r"\s*(?:\w{1,6}|[^\w\s]{1,2})|\s+", text)


def _streamed(
    environ: WSGIEnvironment,
    model: str,
    reasoning: str,
    text: str,
    usage: dict[str, int],
    words: frozenset[str],
    pause_seconds: float,
    start_response: StartResponse,
) -> Iterator[bytes]:
    """Yield the event stream of an answer. The server closes it when the client leaves."""
    chunk = partial(_chunk, f"chatcmpl-{uuid.uuid4().hex}", model)
    start_response("200 OK", [("Content-Type", "text/event-stream; charset=utf-8")])
    yield chunk({"role": "assistant", "content": ""})
    for token in _tokens(reasoning):
        time.sleep(pause_seconds)
        yield chunk({"reasoning_content": token})
    for number, token in enumerate(_tokens(text)):
        if number == BREAK_TOKENS:
            yield from _break_off(environ, words)
            if "/error-middle" in words:
                return
        time.sleep(pause_seconds)
        yield chunk({"content": token})
    yield chunk({}, finish_reason="stop")
    yield chunk(usage=usage)
    yield b"data: [DONE]\n\n"


def _break_off(environ: WSGIEnvironment, words: frozenset[str]) -> Iterator[bytes]:
    """Fail or stall in the middle of an answer, if the question asks for it."""
    if "/error-middle" in words:
        error = {"message": "The demo was asked to fail in the middle.", "type": "server_error", "code": "server_error"}
        yield _event({"error": error})
    elif "/stall" in words:
        _be_silent(environ)
    elif "/cut" in words:
        raise ConnectionAbortedError  # closes the connection without the last chunk and without a log line


def _be_silent(environ: WSGIEnvironment) -> NoReturn:
    """Send nothing until the client leaves."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.recv(1)
    raise ConnectionAbortedError


def _chunk(
    answer_id: str,
    model: str,
    delta: dict[str, str] | None = None,
    *,
    finish_reason: str | None = None,
    usage: dict[str, int] | None = None,
) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    body = {"id": answer_id, "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
    return _event({**body, "choices": choices, **({"usage": usage} if usage else {})})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def _completion(model: str, reasoning: str, text: str, usage: dict[str, int]) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **({"reasoning_content": reasoning} if reasoning else {})}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def _error(status: str, message: str, code: str) -> Answer:
    kind = "server_error" if status.startswith("5") else "invalid_request_error"
    return _whole({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)


def _whole(data: dict[str, Any], status: str = "200 OK") -> Answer:
    """Return an answer that sends a JSON document at once."""

    def answer(start_response: StartResponse) -> Iterable[bytes]:
        body = json.dumps(data, ensure_ascii=False).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if status.startswith("429"):
            headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))
        start_response(status, headers)
        return [body]

    return answer
