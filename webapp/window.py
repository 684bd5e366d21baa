"""How full the context window of a model is, and whether the upstream can have read a whole conversation.

Servers cut without a word: Ollama drops the beginning of what exceeds its window, and answers with status 200.
https://github.com/ollama/ollama/blob/main/docs/faq.mdx, "How can I specify the context window size?"
"""

from __future__ import annotations

import re

from webapp.chat import Message, Outcome, Usage

NEARLY_FULL = 0.9
VARIED_CHARS = 12  # different ones, in a text that is no repeated phrase
BYTES_PER_TOKEN = 4  # of most languages, on the average
READ_CHARS = 400_000  # of one text: they take up to 40 ms; the rest only adds tokens

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_LONG = re.compile(r"\S{33,}")  # base64, a path: no token is longer than 32 characters
_RUN = re.compile(r"(\S)\1{3,}")


def least_tokens(text: str) -> int:
    """Return how many tokens the text has at least, for any tokenizer in use.

    No token goes on after white space; long words have one for each 32 characters. Two Chinese or Japanese characters
    take a token; fewer where one phrase repeats, which may be a token itself. A quarter is left out, for tokenizers to
    come. Of 40 texts cl100k, o200k and an old tokenizer of Claude make at least 1.2 times as many tokens.
    """
    text = text[:READ_CHARS]
    tokens = len(text.split())
    tokens += sum(len(_without_rulers(word)) // 32 for word in _LONG.findall(text))
    if not text.isascii():
        cjk = "".join(_CJK.findall(_without_rulers(text)))
        tokens += len(cjk) // (2 if len(set(cjk)) >= VARIED_CHARS else 8)
    return tokens * 3 // 4


def counted(outcome: Outcome, asked_tokens: int, answer_bytes: int) -> tuple[int, int, int]:
    """Return the tokens of a request and of its answer; and how many of them are estimated, not the upstream's numbers.

    `asked_tokens` is an estimate of the request's. A request that failed without an answer counts nothing.
    """
    usage = outcome.usage or Usage()
    is_nothing = outcome.status == "error" and not answer_bytes and not outcome.usage
    prompt = 0 if is_nothing else asked_tokens
    completion = -(-answer_bytes // BYTES_PER_TOKEN)
    estimated = (prompt if usage.prompt_tokens is None else 0) + (completion if usage.completion_tokens is None else 0)
    return (
        prompt if usage.prompt_tokens is None else usage.prompt_tokens,
        completion if usage.completion_tokens is None else usage.completion_tokens,
        estimated,
    )


def _without_rulers(text: str) -> str:
    """Return the text without repeated characters: a ruler of many dashes may be one token."""
    return _RUN.sub(r"\1", text)


def used_tokens(message: Message) -> int | None:
    """Return the tokens of the window that a reply and its conversation took; None where the upstream has not said."""
    usage = message.outcome.usage if message.outcome else None
    if usage is None or not usage.prompt_tokens:
        return None
    return usage.prompt_tokens + (usage.completion_tokens or 0)


def is_cut(message: Message) -> bool:
    """Return whether the upstream has read fewer tokens than the conversation has."""
    usage = message.outcome.usage if message.outcome else None
    if usage is None or not usage.prompt_tokens:
        return False
    # Some upstreams leave the cached tokens out of the prompt's.
    read = usage.prompt_tokens + (usage.cached_tokens or 0)
    return read < (message.least_tokens or 0)


def is_nearly_full(message: Message) -> bool:
    """Return whether a reply has nearly filled the window."""
    used = used_tokens(message)
    return bool(used and message.window and used >= NEARLY_FULL * message.window)
