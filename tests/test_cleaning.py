"""A secret in an upstream's sentence is masked in every usual spelling, and nothing else is."""

from __future__ import annotations

import string
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from webapp.upstream import cleaning
from webapp.upstream.cleaning import clean, mask

KEY = "gT7xQ2-mZp9_kLw4vB8n"
SENTENCES = [
    "Rate limit reached for gpt-4 in organization org-abc on tokens per min. Limit: 10000 / min.",
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
    "The server is overloaded or not ready yet; please retry after 20 seconds.",
    "Модель перегружена, повторите запрос через 20 секунд.",
    "Temperature must be between 0 and 2, but it is 3.5!",
]

keys = st.text(string.ascii_letters + string.digits, min_size=16, max_size=48)
separators = st.text(" -_.,:;/|*'\"()\t\n\u200b\u200d\ufeff\u00ad\u2060\u0301", min_size=1, max_size=3)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(KEY, id="as it is"),
        pytest.param(KEY.upper(), id="in capitals"),
        pytest.param(KEY[::-1], id="reversed"),
        pytest.param(" ".join(KEY), id="spaced out"),
        pytest.param("-".join(KEY), id="with hyphens"),
        pytest.param("\u200b".join(KEY), id="with invisible characters"),
        pytest.param(" ".join(KEY[::-1]), id="reversed and spaced out"),
        pytest.param(" ".join(KEY[at : at + 4] for at in range(0, 20, 4)), id="in groups of four"),
        pytest.param(KEY[:6], id="its first six"),
        pytest.param(KEY[-6:], id="its last six"),
        pytest.param(KEY[7:13], id="six from its middle"),
        pytest.param(f"{KEY[:6]}...{KEY[-6:]}", id="both its ends"),
        pytest.param(quote(KEY), id="quoted"),
        pytest.param("".join(f"%{ord(letter):02x}" for letter in KEY), id="percent codes"),
        pytest.param("".join(f"\\u{ord(letter):04x}" for letter in KEY), id="JSON codes"),
        pytest.param("".join(f"&#{ord(letter)};" for letter in KEY), id="HTML codes"),
        pytest.param("".join(f"&amp;#x{ord(letter):x};" for letter in KEY), id="HTML codes twice"),
        pytest.param("".join(f"&amp;#{ord(letter)};" for letter in KEY), id="decimal HTML codes twice"),
        pytest.param(KEY.encode().hex(), id="hex"),
        pytest.param(b64encode(KEY.encode()).decode(), id="base64"),
        pytest.param(b64encode(f"me:{KEY}".encode()).decode(), id="base64 with a name before it"),
        pytest.param("".join(chr(ord(letter) + 0xFEE0) for letter in KEY), id="full-width letters"),
        pytest.param(f"{KEY[:9]}<b></b>{KEY[9:]}", id="with markup inside"),
    ],
)
def test_a_key_is_masked(said: str) -> None:
    shown = cleaning.clean(f"We got {said} from you", (KEY,))

    assert set(shown.removeprefix("We got ").removesuffix(" from you")) <= set("….=;")


@pytest.mark.parametrize(
    "key", ["Qx7-first+key/==", "a&b=ü #", "käse-größe-8", "пароль-ключ", "pass word", "k&y=1/2+3"]
)
@pytest.mark.parametrize("encode", [quote, quote_plus, lambda key: quote(quote(key, safe=""), safe="")])
@pytest.mark.parametrize("change", [str, str.lower])
def test_a_url_encoded_key_is_masked(key: str, encode: Callable[[str], str], change: Callable[[str], str]) -> None:
    shown = cleaning.clean(f"We got {change(encode(key))} from you", (key,))

    assert shown == "We got … from you"


@given(keys, separators, st.integers(0, 5))
def test_no_row_of_six_characters_survives_what_is_put_between_them(key: str, separator: str, form: int) -> None:
    spelled = [key, key[::-1], separator.join(key), separator.join(key[::-1]), key[:6], key[-6:]][form]

    shown = cleaning.clean(f"It said {spelled} to us", (key,)).casefold()

    letters = "".join(filter(str.isalnum, shown.removeprefix("it said").removesuffix("to us")))
    pieces = {way[at : at + 6] for way in (key.casefold(), key[::-1].casefold()) for at in range(len(key) - 5)}
    assert not any(piece in letters for piece in pieces)


@given(keys, st.sampled_from(SENTENCES))
def test_innocent_words_stay(key: str, sentence: str) -> None:
    letters = "".join(filter(str.isalnum, sentence.casefold()))
    assume(not any(key[at : at + 6].casefold() in letters + letters[::-1] for at in range(len(key))))

    assert mask(sentence, (key,)) == sentence


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("k", "The key k is OK", "The key … is OK"),
        ("k!", "The key k! is not every letter k", "The key … is not every letter k"),
        ("ключ1", "The key ключ1 is wrong", "The key … is wrong"),
        ("ab1c", "xab1cx", "…"),
        ("abc123", "abc123, xabc123x and a b c 1 2 3; abc12", "…, … and …; abc12"),
        ("key-one", "key-one and the key one of many keys", "… and the … of many keys"),
        ("tokens1", "of tokens 10 or tokens1", "of tokens 10 or …"),
        ("!?!?!?!?!", "Really!? !?!?!?!?!", "Really!? …"),
        ("", "Nothing to mask", "Nothing to mask"),
    ],
)
def test_a_short_secret_is_masked_as_a_whole_only(secret: str, said: str, shown: str) -> None:
    assert mask(said, (secret,)) == shown


def test_short_secrets_may_differ_in_length() -> None:
    assert mask("It is abc1", ("abc12", "abc1")) == "It is …"


@pytest.mark.parametrize("before", [0, 1, 2])
def test_eight_characters_of_a_base64_code_are_masked_wherever_the_key_lies_in_it(before: int) -> None:
    code = b64encode(b"\0" * before + KEY.encode()).decode()
    first, end = {0: (0, 26), 1: (2, 28), 2: (3, 29)}[before]  # the characters that the key alone decides

    assert mask(f"{code[first : first + 8]} it began", (KEY,)) == "… it began"
    assert mask(f"It ended {code[end - 8 : end]}", (KEY,)) == "It ended …"


@pytest.mark.parametrize("part", [KEY[:5], KEY[-5:], KEY[4::-1], KEY[:-6:-1]])
def test_five_characters_of_a_key_are_no_secret(part: str) -> None:
    assert mask(f"It is {part} here", (KEY,)) == f"It is {part} here"


def test_a_key_from_an_environment_that_is_not_utf8_is_masked() -> None:
    key = b"na\xefve-key".decode("utf-8", "surrogateescape")

    assert mask(f"We got {key} from you", (key,)) == "We got … from you"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Too\u202e bu\u200bsy", "Too busy"),
        ("Too\x07busy", "Too busy"),
        ("Too busy ().", "Too busy."),
        ("There is no model X", "There is no model X"),
    ],
)
def test_a_sentence_is_shown_without_invisible_characters_and_lost_punctuation(said: str, shown: str) -> None:
    assert clean(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        pytest.param("word " * 39 + "words", "word " * 39 + "words", id="200 characters"),
        pytest.param("word " * 39 + "words!", "word " * 38 + "word …", id="201 characters"),
        pytest.param("Very busy. " + "<br> " * 197 + "soon", "Very busy. soon", id="1000 characters with markup"),
        pytest.param("Very busy. " + "<br> " * 197 + "later", "Very busy.", id="1001 characters with markup"),
    ],
)
def test_a_long_sentence_ends_after_a_whole_word(said: str, shown: str) -> None:
    assert clean(said) == shown


@pytest.mark.parametrize(
    "added",
    [
        "\n\nLiteLLM: model group 'team' failed with the error above. No fallback was attempted.",
        "\nmodel=team. context_window_fallbacks=None. fallbacks=None.\n\nSet 'context_window_fallback' - https://x.example",
        " Received Model Group=team\nAvailable Model Group Fallbacks=None LiteLLM Retried: 2 times",
    ],
)
def test_what_litellm_adds_for_its_operator_is_left_out(added: str) -> None:
    assert clean("litellm.RateLimitError: Too many requests." + added) == "Too many requests."
