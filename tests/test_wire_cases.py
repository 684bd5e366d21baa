"""What public reports say that inference servers send, and what must come of it."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import pytest

from tests.dialects import DONE, chunk
from tests.dialects.openai import OPENAI
from tests.test_dialects import QUESTION, Outcome, ask, counted
from tests.upstream import Close, Step, Upstream, Wait, body, error, event, tokens
from tests.visitor import Visitor, text_of
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat
from webapp.upstream import answers, asking

NO_TEMPERATURE = {
    "error": {
        "message": "Unsupported parameter: 'temperature' is not supported with this model.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": None,
    }
}


def stream(*events: bytes) -> list[Step]:
    """An answer that ends in good order."""
    return body(*events, chunk({}, "stop"), DONE)


def said(*texts: str) -> list[Step]:
    return stream(*(chunk({"content": text}) for text in texts))


def answer(upstream: Upstream, script: list[Step], **options: Any) -> Outcome:
    upstream.answer(*script)
    return ask(upstream, OPENAI, **options)


LINKS = ["https://a.example/1", "https://b.example/2"]
WITH_SOURCES = stream(
    chunk({"content": "Oslo is big [1][2]."}, citations=LINKS, search_results=[{"title": "A", "url": LINKS[0]}])
)
CALL = {"name": "get_weather", "arguments": '{"city":"Oslo"}'}
ASKS_FOR_A_TOOL = body(
    chunk(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": CALL}],
        }
    ),
    chunk({}, "tool_calls"),
    DONE,
)
THINKS_TOO_LONG = body(chunk({"reasoning_content": "Let me think long about it"}), chunk({}, "length"), DONE)


class TestTemperature:
    def test_it_is_not_sent_where_nobody_set_it(self, upstream: Upstream) -> None:
        upstream.always(lambda request: refuse_temperature(request.json))

        outcome = ask(upstream, OPENAI)

        assert (outcome.text, outcome.failure, len(outcome.requests)) == ("Hello", None, 1)

    def test_the_answer_comes_where_it_is_refused(self, upstream: Upstream) -> None:
        upstream.always(lambda request: refuse_temperature(request.json))

        outcome = ask(upstream, OPENAI, temperature=0.2)

        assert (outcome.text, outcome.failure, len(outcome.requests)) == ("Hello", None, 2)

    def test_what_is_refused_for_one_model_is_sent_to_another(self, upstream: Upstream) -> None:
        upstream.always(
            lambda request: refuse_temperature(request.json) if request.json["model"] == "gpt-5" else tokens("Hello")
        )
        client = Lockchat(upstream.url, retries=0)

        for model in ("gpt-5", "gpt-5", "gpt-4"):
            list(client.stream(QUESTION, model, temperature=0.2))
        client.close()

        sent = [(request.json["model"], "temperature" in request.json) for request in upstream.requests]
        assert sent == [("gpt-5", True), ("gpt-5", False), ("gpt-5", False), ("gpt-4", True)]


class TestThinking:
    @pytest.mark.parametrize(
        "texts",
        [
            ("<think>", "\nI should greet.", "\n</think>", "\n\nHello there!"),
            ("<think>\nI should greet.\n</think>\n\nHello there!",),
            tuple("<think>\nI should greet.\n</think>\n\nHello there!"),
            tuple("<thinking>I should greet.</thinking>Hello there!"),
            tuple("I should greet.\n</think>\n\nHello there!"),
            tuple(
                "<|channel|>analysis<|message|>I should greet.<|end|>"
                "<|start|>assistant<|channel|>final<|message|>Hello there!"
            ),
        ],
        ids=["as reported", "in one delta", "a character a delta", "another tag", "a tag that was eaten", "harmony"],
    )
    def test_tags_divide_the_thought_from_the_text(self, upstream: Upstream, texts: tuple[str, ...]) -> None:
        outcome = answer(upstream, said(*texts))

        assert outcome.divided == ("I should greet.", "Hello there!")

    @pytest.mark.parametrize(
        "text",
        [
            "The model writes `<think>` and then `</think>`.",
            "```html\n<think>\nhm\n</think>\n```\n",
            "Use the tag <think> to begin, and </think> to end.",
            "a <b and c",
        ],
    )
    def test_an_answer_about_the_tags_is_text(self, upstream: Upstream, text: str) -> None:
        outcome = answer(upstream, said(*text))

        assert outcome.divided == ("", text.strip())

    def test_a_budget_used_up_while_thinking_is_told(self, upstream: Upstream) -> None:
        outcome = answer(upstream, THINKS_TOO_LONG)

        assert outcome.divided == ("Let me think long about it", "")
        assert outcome.failure is None or "length" in outcome.failure.sentence
        assert outcome.finish == "length" or outcome.failure is not None
        assert "empty answer" not in sentence_of(outcome)

    def test_thinking_parts_of_the_content_are_reasoning(self, upstream: Upstream) -> None:
        part = {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm let me see"}], "closed": True}

        outcome = answer(upstream, stream(chunk({"content": [part]}), chunk({"content": "Bonjour"})))

        assert outcome.divided == ("Hmm let me see", "Bonjour")

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "thinking", "thinking": "Hmm"},
            {"type": "reasoning", "reasoning": "Hmm"},
            {"type": "reasoning", "text": "Hmm"},
            {"type": "reasoning_text", "text": "Hmm"},
            {"type": "summary_text", "text": "Hmm"},
            {"type": "thinking", "summary": "Hmm"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hmm", "signature": "s"}]},
        ],
        ids=str,
    )
    def test_a_part_is_reasoning_by_its_kind(self, upstream: Upstream, part: Any) -> None:
        text = {"type": "text", "text": "Hello"}

        assert answer(upstream, stream(chunk({"content": [part, text]}))).divided == ("Hmm", "Hello")

    def test_reasoning_beside_the_content_comes_before_that_in_it(self, upstream: Upstream) -> None:
        part = {"type": "thinking", "thinking": "B"}

        outcome = answer(upstream, stream(chunk({"reasoning": "A", "content": [part, {"type": "text", "text": "C"}]})))

        assert outcome.divided == ("AB", "C")

    @pytest.mark.parametrize(
        ("delta", "divided"),
        [
            ({"reasoning_content": "A", "content": "B"}, ("A", "B")),
            ({"reasoning": "A", "content": "B"}, ("A", "B")),
            ({"reasoning": "A", "reasoning_details": [{"text": "A"}], "content": "B"}, ("A", "B")),
            ({"reasoning_details": [{"type": "reasoning.text", "text": "A"}], "content": "B"}, ("A", "B")),
            ({"reasoning_details": [{"type": "reasoning.summary", "summary": "A"}], "content": "B"}, ("A", "B")),
            ({"reasoning_details": {"text": "A"}, "content": "B"}, ("A", "B")),
            ({"reasoning_text": "A", "content": "B"}, ("A", "B")),
            ({"text": "B"}, ("", "B")),
            ({"refusal": "B"}, ("", "B")),
            ({"content": {"type": "text", "text": "B"}}, ("", "B")),
            ({"content": [7, None, {"type": "text", "text": "B"}]}, ("", "B")),
            ({"content": "<thought>A", "extra_content": {"google": {"thought": True}}}, ("A", "")),
            ({"content": "A", "reasoning": "B", "extra_content": {"google": {"thought": True}}}, ("AB", "")),
            ({"content": "B", "extra_content": {"google": {"thought": False}}}, ("", "B")),
            ({"content": "B", "extra_content": {"google": None}}, ("", "B")),
            ({"content": " </thought>B", "extra_content": {"google": {"thought": True}}}, ("", "B")),
        ],
        ids=str,
    )
    def test_a_delta_is_divided(self, upstream: Upstream, delta: dict[str, Any], divided: tuple[str, str]) -> None:
        assert answer(upstream, stream(chunk(delta))).divided == divided

    def test_several_parts_of_reasoning_are_one(self, upstream: Upstream) -> None:
        parts = [{"type": "thinking", "thinking": text} for text in ("Hmm ", "let me see")]

        outcome = answer(upstream, stream(chunk({"content": [*parts, {"type": "text", "text": "Bonjour"}]})))

        assert outcome.divided == ("Hmm let me see", "Bonjour")

    @pytest.mark.parametrize(
        "part",
        ["Bonjour", *({"type": "text", name: "Bonjour"} for name in ("text", "summary", "refusal", "content"))],
        ids=str,
    )
    def test_a_part_of_the_content_is_text_by_any_name(self, upstream: Upstream, part: Any) -> None:
        assert answer(upstream, stream(chunk({"content": [part]}))).divided == ("", "Bonjour")


class TestEnds:
    def test_null_between_two_events_is_nothing(self, upstream: Upstream) -> None:
        outcome = answer(upstream, stream(chunk({"content": "Hel"}), b"data: null\n\n", chunk({"content": "lo"})))

        assert (outcome.text, outcome.finish, outcome.failure) == ("Hello", "stop", None)

    @pytest.mark.parametrize(
        ("said", "code", "words"),
        [
            ({"detail": "Model crashed"}, "upstream", "Model crashed"),
            (
                {"code": "DataInspectionFailed", "message": "May contain inappropriate content."},
                "filtered",
                "May contain",
            ),
            ({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "quota", ""),
            (
                {"choices": None, "error_type": "BadRequestError", "error_message": "Maximum context length is 8"},
                "context_length",
                "8",
            ),
        ],
        ids=["FastAPI", "DashScope", "MiniMax", "DeepInfra"],
    )
    @pytest.mark.parametrize("before", [(), (chunk({"content": "Hel"}),)], ids=["at once", "after text"])
    def test_an_event_without_choices_says_why_no_answer_comes(
        self, upstream: Upstream, before: tuple[bytes, ...], said: Any, code: str, words: str
    ) -> None:
        outcome = answer(upstream, body(*before, event(said)))

        assert outcome.failure is not None
        assert outcome.failure.code == code
        assert words in outcome.failure.sentence

    @pytest.mark.parametrize(
        "said",
        [
            {"message": "Searching the web"},
            *({"base_resp": {"status_code": code}} for code in (0, "0", 200, "success")),
            {"error_message": ""},
        ],
    )
    def test_what_an_event_without_choices_says_beside_an_answer_is_no_failure(
        self, upstream: Upstream, said: Any
    ) -> None:
        outcome = answer(upstream, stream(event(said), chunk({"content": "Hello"})))

        assert (outcome.text, outcome.failure) == ("Hello", None)

    def test_what_an_event_says_before_text_or_beside_choices_is_not_why_it_breaks_off(
        self, upstream: Upstream
    ) -> None:
        before = (chunk({"content": "Hel"}), event({"message": "Searching the web"}), chunk({"content": "lo"}))

        outcome = answer(upstream, body(event({"message": "Loading the model"}), *before, chunk({}, msg="success")))

        assert outcome.text == "Hello"
        assert outcome.failure is not None
        assert outcome.failure.reason == "cut_off"

    def test_the_word_null_is_no_finish_reason(self, upstream: Upstream) -> None:
        outcome = answer(upstream, body(chunk({"content": "Hel"}, "null"), chunk({"content": "lo"}, "null")))

        assert outcome.text == "Hello"
        assert outcome.failure is not None
        assert outcome.failure.reason == "cut_off"

    def test_an_answer_that_ends_with_a_network_error_has_failed(self, upstream: Upstream) -> None:
        outcome = answer(upstream, body(chunk({"content": "Hel"}), chunk({}, "network_error"), DONE))

        assert outcome.text == "Hel"
        assert outcome.failure is not None
        assert outcome.failure.code == "upstream"

    @pytest.mark.parametrize(
        ("message", "text"),
        [("Hello", "Hello"), ("Hello there", "Hello there"), ("Something else", "Hello"), ("", "Hello")],
    )
    def test_a_last_chunk_with_the_message_adds_only_its_rest(
        self, upstream: Upstream, message: str, text: str
    ) -> None:
        last = {"index": 0, "message": {"role": "assistant", "content": message}, "finish_reason": "stop"}

        outcome = answer(
            upstream,
            body(chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk(None, choices=[last]), DONE),
        )

        assert (outcome.text, outcome.finish, outcome.failure) == (text, "stop", None)

    def test_a_last_chunk_with_the_message_repeats_no_reasoning(self, upstream: Upstream) -> None:
        message = {"role": "assistant", "content": "Hello", "reasoning_content": "Why?"}
        last = {"index": 0, "message": message, "finish_reason": "stop"}

        outcome = answer(
            upstream,
            body(chunk({"reasoning_content": "Why?"}), chunk({"content": "Hello"}), chunk(None, choices=[last]), DONE),
        )

        assert (outcome.divided, outcome.failure) == (("Why?", "Hello"), None)

    def test_a_last_chunk_with_the_message_brings_reasoning_that_has_not_come(self, upstream: Upstream) -> None:
        message = {"role": "assistant", "content": "Hello", "reasoning_content": "Why?"}
        last = {"index": 0, "message": message, "finish_reason": "stop"}

        outcome = answer(upstream, body(chunk({"content": "Hello"}), chunk(None, choices=[last]), DONE))

        assert (outcome.divided, outcome.failure) == (("Why?", "Hello"), None)

    @pytest.mark.parametrize(
        "last",
        [
            {"delta": {"content": "lo"}, "message": {"role": "assistant", "content": "Hello"}},
            {"text": "lo", "message": None},
        ],
        ids=["a delta beside the message", "text beside an empty message"],
    )
    def test_a_last_chunk_with_new_text_adds_it(self, upstream: Upstream, last: dict[str, Any]) -> None:
        last |= {"index": 0, "finish_reason": "stop"}

        assert answer(upstream, body(chunk({"content": "Hel"}), chunk(None, choices=[last]), DONE)).text == "Hello"

    @pytest.mark.parametrize(
        ("choices", "text"),
        [
            ([{"index": 0, "text": "A"}, {"index": 1, "text": "B"}], "A"),
            ([{"index": 1, "text": "B"}, {"index": 0, "text": "A"}], "A"),
            ([{"index": 1, "text": "B"}, {"text": "A"}], "A"),
            ([{"text": "A"}, {"index": 1, "text": "B"}], "A"),
            ([None, {"index": 0, "text": "A"}], "A"),
            ([{"index": 1, "text": "B"}], ""),
        ],
    )
    def test_of_several_answers_the_first_is_read(self, upstream: Upstream, choices: list[Any], text: str) -> None:
        assert answer(upstream, stream(chunk(None, choices=choices))).text == text

    def test_a_count_that_only_an_earlier_chunk_has_is_kept(self, upstream: Upstream) -> None:
        first, second = {"prompt_tokens": 5, "completion_tokens": 1}, {"completion_tokens": 3}

        outcome = answer(upstream, stream(chunk({"content": "A"}, usage=first), chunk({"content": "B"}, usage=second)))

        assert counted(outcome.usage) == (5, 3, None, None)

    @pytest.mark.parametrize(
        ("usage", "expected"),
        [
            ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2, None, None)),
            ({"input_tokens": 5, "output_tokens": 2}, (5, 2, None, None)),
            ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, (5, None, None, 4)),
            ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 4}, (5, None, None, 4)),
            ({"prompt_tokens": 5, "cache_read_input_tokens": 4}, (5, None, None, 4)),
            ({"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 4}}, (None, 5, 4, None)),
            ({"completion_tokens": 5, "reasoning_tokens": 4}, (None, 5, 4, None)),
            ({"prompt_tokens": 0, "completion_tokens": 2**31 - 1}, (0, 2**31 - 1, None, None)),
            ({"prompt_tokens": -1, "completion_tokens": 2**31}, None),
            ({"prompt_tokens": "5", "completion_tokens": True}, None),
            ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("place", ["usage", "x_groq", "choice"])
    def test_tokens_are_counted_by_any_name_in_any_place(
        self, upstream: Upstream, usage: dict[str, Any], expected: tuple[int | None, ...] | None, place: str
    ) -> None:
        choice = {"index": 0, "delta": {"content": "Hello"}}
        told: dict[str, Any] = {
            "usage": {"usage": usage},
            "x_groq": {"x_groq": {"usage": usage}, "usage": {}},
            "choice": {"choices": [choice | {"usage": usage}]},
        }[place]

        outcome = answer(upstream, stream(event({"choices": [choice], **told})))

        assert (outcome.text, counted(outcome.usage)) == ("Hello", expected)

    def test_zeros_do_not_replace_a_count(self, upstream: Upstream) -> None:
        counts, zeros = {"prompt_tokens": 5, "completion_tokens": 2}, {"prompt_tokens": 0, "completion_tokens": 0}

        outcome = answer(upstream, stream(chunk({"content": "A"}, usage=counts), chunk({"content": "B"}, usage=zeros)))

        assert counted(outcome.usage) == (5, 2, None, None)

    @pytest.mark.parametrize("call", [{"index": 0, "function": {"arguments": "{}"}}, {"function": {"name": 5}}, "x"])
    def test_a_tool_without_a_name_is_none_beside_text(self, upstream: Upstream, call: Any) -> None:
        outcome = answer(upstream, stream(chunk({"content": "Hello"}), chunk({"tool_calls": [call]})))

        assert (outcome.text, outcome.deltas[-1].tool, outcome.failure) == ("Hello", "", None)

    def test_a_tool_that_the_model_asks_for_is_named(self, upstream: Upstream) -> None:
        outcome = answer(upstream, ASKS_FOR_A_TOOL)

        assert "tool" in sentence_of(outcome)
        assert "get_weather" in sentence_of(outcome)

    def test_done_without_a_finish_reason_on_a_broken_connection_is_cut_off(self, upstream: Upstream) -> None:
        outcome = answer(upstream, body(chunk({"content": "Once upon"}), DONE, Close()))

        assert outcome.text == "Once upon"
        assert outcome.failure is not None
        assert outcome.failure.code == "network"

    @pytest.mark.parametrize("nothing", [b"data: null\n\n", b"data:\n\n", b"data: {}\n\n"], ids=str)
    def test_an_event_of_nothing_between_thought_and_text_loses_neither(
        self, upstream: Upstream, nothing: bytes
    ) -> None:
        thought, text = chunk({"reasoning_content": "Hm"}), chunk({"content": "Hello"})

        outcome = answer(upstream, body(nothing, thought, nothing, text, nothing, chunk({}, "stop"), DONE))

        assert (outcome.divided, outcome.finish, outcome.failure) == (("Hm", "Hello"), "stop", None)

    @pytest.mark.parametrize("finish", ["abort", "timeout", "cancelled", "TIMEOUT"])
    def test_an_answer_that_the_server_gave_up_is_cut_off(self, upstream: Upstream, finish: str) -> None:
        outcome = answer(upstream, body(chunk({"content": "Hel"}), chunk({}, finish), DONE))

        assert outcome.text == "Hel"
        assert outcome.failure is not None
        assert outcome.failure.reason == "cut_off"

    @pytest.mark.parametrize("name", ["content", "reasoning_content"])
    def test_an_answer_that_goes_on_after_its_finish_reason_may_be_cut_off(self, upstream: Upstream, name: str) -> None:
        outcome = answer(upstream, body(chunk({"role": "assistant"}, "stop"), chunk({name: "Once upon"}), Close()))

        assert "".join(outcome.divided) == "Once upon"
        assert outcome.failure is not None
        assert outcome.failure.reason == "cut_off"

    def test_the_limit_that_an_answer_reached_is_told_though_text_follows(self, upstream: Upstream) -> None:
        outcome = answer(upstream, body(chunk({"content": "Once"}, "length"), chunk({"content": " upon"}), DONE))

        assert (outcome.text, outcome.finish, outcome.failure) == ("Once upon", "length", None)

    def test_a_finish_reason_before_the_answer_leaves_it_its_time(
        self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "FINISH_SECONDS", 0.05)

        outcome = answer(
            upstream, body(chunk({"role": "assistant"}, "stop"), Wait(0.3), chunk({"content": "Hi"}), DONE)
        )

        assert (outcome.text, outcome.finish, outcome.failure) == ("Hi", None, None)

    def test_a_finish_reason_that_spells_null_is_none(self, upstream: Upstream) -> None:
        outcome = answer(upstream, body(chunk({"content": "Once upon"}, "null")))

        assert outcome.text == "Once upon"
        assert outcome.failure is not None
        assert outcome.failure.reason == "cut_off"

    def test_a_tab_that_nobody_escaped_is_read(self, upstream: Upstream) -> None:
        raw = chunk({"content": "one TAB two"}).replace(b"TAB", b"\t")

        assert answer(upstream, body(raw, chunk({}, "stop"), DONE)).text == "one \t two"

    def test_events_divided_by_single_newlines_are_read(self, upstream: Upstream) -> None:
        events = [*(chunk({"content": word}) for word in ("one ", "two ", "three")), chunk({}, "stop"), DONE]

        outcome = answer(upstream, body(b"".join(event.replace(b"\n\n", b"\n") for event in events)))

        assert (outcome.text, outcome.finish, outcome.failure) == ("one two three", "stop", None)


def test_sources_come_with_the_answer(upstream: Upstream) -> None:
    outcome = answer(upstream, WITH_SOURCES)

    assert outcome.text == "Oslo is big [1][2]."
    assert all(link in repr(outcome.all_of("sources")) for link in LINKS)


@pytest.mark.parametrize(
    ("said", "address", "title"),
    [
        ("https://a.example/1", "https://a.example/1", ""),
        ({"url": "https://a.example/1", "title": "A"}, "https://a.example/1", "A"),
        ({"link": "https://a.example/1", "title": "A"}, "https://a.example/1", "A"),  # of Zhipu
        (
            {"type": "url_citation", "url_citation": {"url": "https://a.example/1", "title": "A"}},
            "https://a.example/1",
            "A",
        ),
        ({"url_citation": None, "url": "https://a.example/1"}, "https://a.example/1", ""),
    ],
)
@pytest.mark.parametrize("name", ["citations", "annotations", "search_results", "web_search"])
def test_a_source_is_read_in_every_shape(upstream: Upstream, said: Any, address: str, title: str, name: str) -> None:
    beside = answer(upstream, stream(chunk({"content": "A"}, **{name: [said]})))
    inside = answer(upstream, stream(chunk({"content": "A", name: [said]})))

    for outcome in (beside, inside):
        assert [(source.url, source.title) for source in outcome.all_of("sources")] == [(address, title)]


def test_the_words_of_gemini_for_too_long_are_known(upstream: Upstream) -> None:
    message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."

    outcome = answer(upstream, error(400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}]))

    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.detail) == ("context_length", message)


class TestThePage:
    """The same, as people see it."""

    def test_neither_tags_nor_thoughts_are_sent_again(self, upstream: Upstream, alice: Visitor) -> None:
        upstream.answer(*said("<think>", "\nI should greet.", "\n</think>", "\n\nHello there!"))
        alice.end(alice.new_chat("Hi"))

        alice.end(alice.say("And now?"))

        sent = json.dumps(upstream.requests[-1].json["messages"])
        assert "Hello there!" in sent
        assert "think" not in sent
        assert "greet" not in sent

    def test_a_budget_used_up_while_thinking_is_told(self, upstream: Upstream, alice: Visitor) -> None:
        assert re.search("length.*think|think.*length", told(alice, upstream, THINKS_TOO_LONG), re.I)

    def test_the_tool_that_was_asked_for_is_named(self, upstream: Upstream, alice: Visitor) -> None:
        assert "get_weather" in told(alice, upstream, ASKS_FOR_A_TOOL)

    def test_a_setting_that_had_to_be_dropped_is_told(self, upstream: Upstream, alice: Visitor) -> None:
        opened = threading.Event()
        upstream.always(lambda request: [Wait(opened), *refuse_temperature(request.json)])

        end = alice.end(alice.new_chat("Hi", temperature="0.2"), opened)

        assert end["why"] == "done"
        assert "temperature" in text_of(end["html"]).lower()

    def test_the_sources_are_links_under_the_answer(self, upstream: Upstream, alice: Visitor) -> None:
        upstream.answer(*WITH_SOURCES)

        alice.end(alice.new_chat("How big is Oslo?"))

        assert all(f'href="{link}"' in alice.page() for link in LINKS)

    def test_what_is_told_of_a_reply_is_there_after_a_reload(self, upstream: Upstream, alice: Visitor) -> None:
        upstream.always(lambda request: refuse_temperature(request.json))

        alice.end(alice.new_chat("Hi", temperature="0.2"))

        assert "does not accept the temperature" in text_of(alice.page())

    def test_the_page_says_that_the_upstream_works(self, upstream: Upstream, alice: Visitor) -> None:
        go_on = threading.Event()
        upstream.answer(*body(b": OPENROUTER PROCESSING\n\n", Wait(go_on), chunk({"content": "Hi"}, "stop"), DONE))

        seen = []
        for news in alice.events(alice.new_chat("Hi")):
            seen.append((news.event, news.data))
            if "working" in news.data:
                go_on.set()

        assert any('"activity":"working"' in data for name, data in seen if name in ("reset", "status"))
        assert seen[-1][0] == "end"

    def test_text_that_was_reasoning_becomes_it_while_one_looks_on(self, upstream: Upstream, alice: Visitor) -> None:
        go_on = threading.Event()
        upstream.answer(
            *body(
                chunk({"content": "I should greet."}),
                Wait(go_on),
                chunk({"content": "\n</think>\n\nHello"}, "stop"),
                DONE,
            )
        )

        resets = []
        for news in alice.events(alice.new_chat("Hi")):
            if news.event == "reset":
                resets.append(json.loads(news.data))
            if "greet" in news.data:
                go_on.set()

        assert resets[-1]["thought"].strip() == "I should greet."
        assert "greet" not in resets[-1]["html"]


def told(alice: Visitor, upstream: Upstream, script: list[Step]) -> str:
    """What the end of a reply says, above and below it."""
    opened = threading.Event()
    upstream.answer(Wait(opened), *script)
    end = alice.end(alice.new_chat("Hi"), opened)
    return f"{end.get('message', '')} {text_of(end.get('html', ''))}"


def sentence_of(outcome: Outcome) -> str:
    return outcome.failure.sentence if isinstance(outcome.failure, UpstreamError) else ""


def refuse_temperature(asked: dict[str, Any]) -> list[Step]:
    return error(400, NO_TEMPERATURE) if "temperature" in asked else tokens("Hello")


def event_of(choice: dict[str, Any] | None = None, **names: Any) -> dict[str, Any]:
    """A chunk with the text "Hi", changed so."""
    usual = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None, "logprobs": None}
    return {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [usual | (choice or {})]} | names


NOTHING_BUT_TEXT = [
    event_of(),
    event_of(usage=None),
    event_of(usage={}),
    event_of({"delta": {"role": "assistant", "content": "Hi"}}),
    event_of({"delta": {"content": "Hi", "reasoning": "", "tool_calls": None}}),
]
MORE = [
    *(None, [], "Hi"),
    event_of(usage={"prompt_tokens": 7}),
    event_of(citations=["https://a.example"]),
    event_of(object="error"),
    *(event_of(choices=choices) for choices in (None, [], "x", [None], event_of()["choices"] * 2)),
    *(event_of({"index": index}) for index in (1, None)),
    event_of({"finish_reason": "stop"}),
    event_of({"message": {"content": "Hi"}}),
    *(event_of({"delta": delta}) for delta in (None, "Hi", {}, {"content": None}, {"role": "assistant"})),
    *(event_of({"delta": delta}) for delta in ({"content": [{"text": "Hi"}]}, {"content": "Hi", "reasoning": "Hm"})),
    event_of({"delta": {"content": "Hi", "tool_calls": [{"index": 0}]}}),
]


def test_a_chunk_of_nothing_but_text_is_told_from_all_others() -> None:
    assert [answers.text_of(payload) for payload in NOTHING_BUT_TEXT] == ["Hi"] * len(NOTHING_BUT_TEXT)
    assert [payload for payload in MORE if answers.text_of(payload) is not None] == []
