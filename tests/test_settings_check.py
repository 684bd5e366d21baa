"""One rule for the settings of a reply: the chat and the presets refuse and accept the same values."""

from __future__ import annotations

import pytest

from tests.visitor import text_of

FIELDS = {"model": "gpt-4", "temperature": "0.5", "system": "Be brief."}


def through_a_send(visitor, fields):
    return visitor.post_form("/conversations", text="Hello", **fields)


def through_a_preset(visitor, fields):
    return visitor.post_form("/presets", name="Mine", **fields)


DOORS = pytest.mark.parametrize("door", [through_a_send, through_a_preset])


@DOORS
@pytest.mark.parametrize(
    ("field", "value", "status", "sentence"),
    [
        ("model", "gpt-99", 400, "The model gpt-99 is not offered here."),
        ("temperature", "hot", 400, "The temperature is a number from 0 to 2."),
        ("temperature", "nan", 400, "The temperature is a number from 0 to 2."),
        ("temperature", "-0,1", 400, "The temperature is a number from 0 to 2."),
        ("temperature", "2.1", 400, "The temperature is a number from 0 to 2."),
        ("system", "s" * 100_001, 413, "The system prompt is too long: 100,001 characters, 100,000 are allowed."),
    ],
)
def test_both_doors_refuse_the_same_settings_with_the_same_words(alice, door, field, value, status, sentence):
    answer = door(alice, FIELDS | {field: value})

    assert answer.status_code == status
    assert sentence in text_of(answer.text)


@DOORS
@pytest.mark.parametrize("temperature", ["0,2", "0", "2", "1.5"])
def test_both_doors_accept_the_same_temperatures(alice, door, temperature):
    assert door(alice, FIELDS | {"temperature": temperature}).status_code == 303


@DOORS
def test_a_system_prompt_is_measured_as_it_is_stored(alice, door):
    """A browser sends each line end as two characters."""
    assert door(alice, FIELDS | {"system": "\r\n" * 100_000}).status_code == 303
