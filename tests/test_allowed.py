"""What of a request to the API is passed on: of any JSON, only the fields of the list, or a refusal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp import allowed
from webapp.allowed import _FIELDS, _PARTS, _WORDS_OF_MESSAGE
from webapp.errors import Invalid

SENT = {"model", "messages", *_FIELDS}
NAMES = st.sampled_from([*SENT, *_PARTS, *_WORDS_OF_MESSAGE, "n", "content", "tool_calls", "type", "url", "function"])
WORDS = st.sampled_from(["user", "assistant", "text", "image_url", "function", "auto", "data:,", "http://10.0.0.1/"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
PARTS = st.fixed_dictionaries({"type": WORDS, "text": WORDS, "image_url": st.fixed_dictionaries({"url": WORDS})})
MESSAGES = st.fixed_dictionaries({"role": WORDS, "content": WORDS | st.lists(PARTS | VALUES, max_size=3)})


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.lists(MESSAGES | VALUES, max_size=3), st.booleans())
def test_any_request_is_refused_or_has_known_fields_only(fields, messages, is_plausible):
    said = {**fields, "model": "gpt-4", "messages": messages} if is_plausible else fields

    try:
        body = allowed.read(json.dumps(said).encode())
    except Invalid:
        return

    assert body.keys() <= SENT
    assert {"model", "messages", "stream"} <= body.keys()
    for message in body["messages"]:
        assert message.keys() <= {*_WORDS_OF_MESSAGE, "content", "tool_calls"}
        parts = message["content"] if isinstance(message["content"], list) else []
        assert all(part["image_url"]["url"].startswith("data:") for part in parts if "image_url" in part)
        assert all(part.keys() == {"type", part["type"]} for part in parts)
    assert allowed.read(json.dumps(body).encode()) == body


@pytest.mark.parametrize("name", ["$ref", "$dynamicRef", "$recursiveRef"])
def test_a_schema_leads_to_its_own_parts_only(name):
    def read(reference):
        schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"items": [{name: reference}]}}}
        said = {"model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": schema}
        return allowed.read(json.dumps(said).encode())

    assert read("#/$defs/a")["response_format"]["json_schema"]["schema"] == {"items": [{name: "#/$defs/a"}]}
    for away in ("http://10.0.0.1/a.json", "//10.0.0.1", "file:///etc/passwd", "other.json"):
        with pytest.raises(Invalid, match="their own parts"):
            read(away)
