"""Every dialect of upstream is read right: text, reasoning, tokens, refused parameters, errors, the address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.dialects import Answer, Counted, Dialect, Failure, Refusal
from tests.dialects.azure import AZURE
from tests.dialects.deepseek import DEEPSEEK
from tests.dialects.gemini import GEMINI
from tests.dialects.groq import GROQ
from tests.dialects.litellm import LITELLM
from tests.dialects.llamacpp import LLAMACPP
from tests.dialects.lmstudio import LMSTUDIO
from tests.dialects.mistral import MISTRAL
from tests.dialects.ollama import OLLAMA
from tests.dialects.openai import OPENAI
from tests.dialects.openrouter import OPENROUTER
from tests.dialects.sglang import SGLANG
from tests.dialects.tgi import TGI
from tests.dialects.vllm import VLLM
from tests.upstream import Request, Step, Upstream, body, error, token, tokens
from webapp.chat import Delta, Usage
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat

DIALECTS = (
    *(OPENAI, AZURE, OPENROUTER, LITELLM, VLLM, LLAMACPP, OLLAMA),
    *(LMSTUDIO, MISTRAL, DEEPSEEK, GEMINI, GROQ, SGLANG, TGI),
)
QUESTION = [{"role": "user", "content": "hi"}]
WITH_SYSTEM = [{"role": "system", "content": "Be brief."}, *QUESTION]
WHOLE = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello world"}, "finish_reason": "stop"}]}

# Whether a request has the parameter that the upstream refuses.
HAS = {
    "temperature": lambda asked: "temperature" in asked,
    "reasoning_effort": lambda asked: "reasoning_effort" in asked,
    "stream_options": lambda asked: "stream_options" in asked,
    "stream": lambda asked: asked.get("stream") is True,
    "system": lambda asked: any(message["role"] == "system" for message in asked["messages"]),
}


def cases(kind: str) -> Any:
    """A mark that runs a test for all answers, refusals or failures of all dialects."""
    rows = [(dialect, case) for dialect in DIALECTS for case in getattr(dialect, kind)]
    names = [f"{dialect.name}: {case.parameter if kind == 'refusals' else case.name}" for dialect, case in rows]
    return pytest.mark.parametrize(("dialect", "case"), rows, ids=names)


@dataclass
class Outcome:
    """What came of one question: the deltas, and the error that ended them."""

    deltas: list[Delta] = field(default_factory=list)
    failure: UpstreamError | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def divided(self) -> tuple[str, str]:
        """The reasoning and the text, without white space at their ends.

        A delta with `was_reasoning` says that all text before it was reasoning: the tag that opened it was eaten.
        """
        reasoning, text = "", ""
        for delta in self.deltas:
            if getattr(delta, "was_reasoning", False):
                reasoning, text = reasoning + text, ""
            reasoning, text = reasoning + delta.reasoning, text + delta.text
        return reasoning.strip(), text.strip()

    @property
    def text(self) -> str:
        return self.divided[1]

    @property
    def finish(self) -> str | None:
        return next((delta.finish_reason for delta in reversed(self.deltas) if delta.finish_reason), None)

    @property
    def usage(self) -> Usage | None:
        return next((delta.usage for delta in reversed(self.deltas) if delta.usage), None)

    def all_of(self, name: str) -> list[Any]:
        """What the deltas bring of one kind: images, sources."""
        return [item for delta in self.deltas for item in getattr(delta, name, None) or ()]


def ask(
    upstream: Upstream, dialect: Dialect, messages: Any = QUESTION, *, listens: bool = False, **options: Any
) -> Outcome:
    """Ask once, without tries after a failure, and read to the end; `listens` as the page does."""
    client, outcome = Lockchat(upstream.url + dialect.base, retries=0), Outcome()
    try:
        stream = client.stream(messages, "m", **options)
        if listens:
            stream.listen(lambda activity: None, lambda: None)
        outcome.deltas.extend(stream)
    except UpstreamError as failure:
        outcome.failure = failure
    finally:
        client.close()
    outcome.requests = [request.json for request in upstream.requests]
    return outcome


def counted(usage: Usage | None) -> Counted | None:
    if usage is None:
        return None
    return Counted(usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens, usage.cached_tokens)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_the_matrix_is_complete(dialect: Dialect) -> None:
    """DeepSeek refuses nothing that is sent here: it sees `stream` beside it."""
    assert any(answer.usage for answer in dialect.answers)
    assert any(answer.reasoning for answer in dialect.answers) or dialect in (OPENAI, AZURE)
    assert dialect.refusals or dialect is DEEPSEEK
    assert len(dialect.failures) >= 3


@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "byte by byte"])
@cases("answers")
def test_an_answer_is_read(upstream: Upstream, dialect: Dialect, case: Answer, byte_by_byte: bool) -> None:
    upstream.answer(*body(*case.events, byte_by_byte=byte_by_byte))

    outcome = ask(upstream, dialect)

    assert outcome.failure is None
    assert outcome.divided == (case.reasoning, case.text)
    assert outcome.finish == case.finish


@cases("answers")
def test_its_tokens_are_counted(upstream: Upstream, dialect: Dialect, case: Answer) -> None:
    if case.usage is None:
        pytest.skip("this answer counts no tokens")
    upstream.answer(*body(*case.events))

    outcome = ask(upstream, dialect)

    assert counted(outcome.usage) == case.usage


@cases("refusals")
def test_a_refused_parameter_is_left_out(upstream: Upstream, dialect: Dialect, case: Refusal) -> None:
    """The first question has it, the second goes without; the next question of this client has it no more."""
    has = HAS[case.parameter]
    upstream.always(lambda request: error(case.status, case.said) if has(request.json) else answer_to(request))

    outcome = ask(upstream, dialect, **asking_for(case))

    assert outcome.failure is None
    assert outcome.text == "Hello world"
    assert [has(asked) for asked in outcome.requests] == [True, False]
    assert "hi" in json.dumps(outcome.requests[-1]["messages"])


@cases("refusals")
def test_a_refusal_is_remembered(upstream: Upstream, dialect: Dialect, case: Refusal) -> None:
    has = HAS[case.parameter]
    upstream.always(lambda request: error(case.status, case.said) if has(request.json) else answer_to(request))
    client = Lockchat(upstream.url + dialect.base, retries=0)
    options = asking_for(case)
    messages = options.pop("messages", QUESTION)

    for _ in range(3):
        list(client.stream(messages, "m", **options))
    client.close()

    assert [has(request.json) for request in upstream.requests] == [True, False, False, False]


@cases("refusals")
def test_a_parameter_that_is_always_refused_is_asked_for_twice_at_most(
    upstream: Upstream, dialect: Dialect, case: Refusal
) -> None:
    upstream.always(*error(case.status, case.said))

    outcome = ask(upstream, dialect, **asking_for(case))

    assert outcome.failure is not None
    assert outcome.failure.code == "bad_request"
    assert len(outcome.requests) == 2


@cases("failures")
def test_an_error_has_its_code(upstream: Upstream, dialect: Dialect, case: Failure) -> None:
    upstream.always(*script_of(case))

    outcome = ask(upstream, dialect)

    assert outcome.failure is not None
    assert outcome.failure.code == case.code
    assert outcome.text == ("" if case.status else "Once")


@cases("failures")
def test_its_sentence_is_quoted(upstream: Upstream, dialect: Dialect, case: Failure) -> None:
    """The upstream's own words, without JSON and without punctuation that lost its neighbour."""
    upstream.always(*script_of(case))

    outcome = ask(upstream, dialect)

    assert outcome.failure is not None
    assert case.words in outcome.failure.detail
    assert not re.search(r"[{}]|\\n|^[-:,;.)\]]|\s[.,;:)\]](?:\s|$)|[-:,;(\[]$", outcome.failure.detail)


def test_a_whole_answer_is_asked_for_without_stream_options(upstream: Upstream) -> None:
    upstream.answer(*error(200, WHOLE))

    outcome = ask(upstream, DEEPSEEK, stream=False)

    assert outcome.text == "Hello world"
    assert ["stream_options" in asked for asked in outcome.requests] == [False]


def test_usage_is_asked_for_and_nothing_else(upstream: Upstream) -> None:
    outcome = ask(upstream, OPENAI)

    (asked,) = outcome.requests
    assert asked.pop("stream_options") == {"include_usage": True}
    assert asked == {"messages": QUESTION, "model": "m", "stream": True}


def asking_for(case: Refusal) -> dict[str, Any]:
    """The arguments of `stream` that put the parameter into the request."""
    if case.parameter == "temperature":
        return {"temperature": 0.0 if "positive" in str(case.said) else 0.5}
    if case.parameter == "reasoning_effort":
        return {"options": {"reasoning_effort": "high"}}
    return {"messages": WITH_SYSTEM} if case.parameter == "system" else {}


def answer_to(request: Request) -> list[Step]:
    return tokens("Hello", " world") if request.json["stream"] else error(200, WHOLE)


def script_of(case: Failure) -> Iterator[Step]:
    """The error as the upstream sends it; one in the stream comes after a first token."""
    yield from error(case.status, case.said) if case.status else body(token("Once"), case.said)
