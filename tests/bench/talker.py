"""An upstream for many streams at once, in a process of its own.

The question says what the answer is: `honest SECONDS` gets plain words at the speed of a model, each fifth of them
the time at which it was sent, as `@MILLISECONDS.` of the monotonic clock; `hostile NAME` gets a text of
`tests.faults.hostile` in small tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import re
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from tests.faults.hostile import TEXTS
from tests.upstream import chunk, head, token

TOKENS_A_SECOND = (20, 30)
TOKENS_A_PARAGRAPH = 150
HOSTILE_SECONDS = 100.0  # how long a hostile answer takes: some 120 tokens a second, as a fast model speaks
HOSTILE_TOKEN_CHARS = 8
HOSTILE_PAUSE_SECONDS = 0.05
LAST_WORDS = "That is all."
MODELS = b'{"object": "list", "data": [{"id": "gpt-4"}]}'


def serve(port: Connection) -> None:
    """Serve until the process is ended; the number of the port goes into the pipe."""
    asyncio.run(_serve(port))


async def _serve(port: Connection) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=1000)
    port.send(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"content-length: (\d+)", request, re.I)
            body = await reader.readexactly(int(length[1])) if length else b""
            if request.startswith("GET"):
                writer.write(head(content_type="application/json", content_length=len(MODELS)) + MODELS)
                continue
            writer.write(head(content_type="text/event-stream", transfer_encoding="chunked"))
            async for text in _texts(json.loads(body)["messages"][-1]["content"]):
                writer.write(chunk(b"".join(map(token, text))))
                await writer.drain()
            writer.write(chunk(token(finish="stop") + b"data: [DONE]\n\n") + chunk(b""))
            await writer.drain()
    writer.close()


async def _texts(question: str):
    """The tokens of the answer, some at a time."""
    kind, _, what = question.partition(" ")
    if kind == "honest":
        pause = 1 / random.uniform(*TOKENS_A_SECOND)
        next_at = time.monotonic()
        for word in itertools.takewhile(_until(next_at + float(what)), _words()):
            yield [word if word else f" @{time.monotonic_ns() // 1_000_000}."]
            next_at += pause
            await asyncio.sleep(max(next_at - time.monotonic(), 0))
        yield [f"\n\n{LAST_WORDS}"]
    else:
        text = TEXTS.get(what, "Hello")
        pieces = [text[at : at + HOSTILE_TOKEN_CHARS] for at in range(0, len(text), HOSTILE_TOKEN_CHARS)]
        size = int(len(pieces) * HOSTILE_PAUSE_SECONDS / HOSTILE_SECONDS) + 1
        for at in range(0, len(pieces), size):
            yield pieces[at : at + size]
            await asyncio.sleep(HOSTILE_PAUSE_SECONDS)


def _until(deadline: float):
    return lambda _word: time.monotonic() < deadline


def _words() -> Iterator[str]:
    """Words without end; the empty one stands for the time."""
    for number in itertools.count(1):
        if number % TOKENS_A_PARAGRAPH == 0:
            yield "\n\nAnd"
        yield "" if number % 5 == 0 else f" word{number}"
