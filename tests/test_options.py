"""What few set: max_tokens, top_p, seed, reasoning_effort. Sent only when set, kept, and left out where refused."""

from __future__ import annotations

import re

import pytest

from tests.test_presets import add
from tests.upstream import error
from tests.visitor import text_of

OPTIONS = {"max_tokens": "500", "top_p": "0,9", "seed": "-7", "reasoning_effort": "low"}
SENT = {"max_tokens": 500, "top_p": 0.9, "seed": -7, "reasoning_effort": "low"}


def sent(request) -> dict[str, object]:
    return {name: value for name, value in request.json.items() if name in SENT}


def test_they_are_sent_from_the_send_that_names_them(alice, upstream):
    alice.end(alice.new_chat("a", **OPTIONS))

    alice.end(alice.say("b"))

    assert [sent(request) for request in upstream.requests] == [SENT, SENT]


def test_unset_ones_are_not_sent(alice, upstream):
    alice.end(alice.new_chat("a", **OPTIONS))

    alice.end(alice.say("b", **dict.fromkeys(OPTIONS, "") | {"seed": "1"}))

    assert sent(upstream.requests[1]) == {"seed": 1}


def test_a_preset_gives_them_to_the_form_of_a_new_chat(alice):
    preset = add(alice, **OPTIONS)

    page = alice.get(f"/?preset={preset}").text
    settings = alice.get("/settings").text

    for name, value in SENT.items():
        assert f'name="{name}" autocomplete="off" value="{value}"' in page
    assert re.search(f'id="seed-{preset}" [^>]* value="-7"', settings)
    assert "<option selected>low</option>" in settings


def test_one_that_the_model_refuses_is_left_out_and_said(alice, upstream):
    upstream.answer(*error(400, "Unsupported parameter: 'seed' is not supported with this model."))

    alice.end(alice.new_chat("a", **OPTIONS))

    assert [sent(request).keys() for request in upstream.requests] == [SENT.keys(), SENT.keys() - {"seed"}]
    assert "The model does not accept the seed that you set" in text_of(alice.page())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", "0"),
        ("max_tokens", "1.5"),
        ("max_tokens", "many"),
        ("top_p", "1.1"),
        ("top_p", "nan"),
        ("seed", str(2**63)),
        ("reasoning_effort", "huge"),
    ],
)
def test_what_no_model_takes_is_refused(alice, name, value):
    answer = alice.post_form("/conversations", text="Keep me", **{name: value})

    assert answer.status_code == 400
    assert f"{name} is " in text_of(answer.text)
    assert "Keep me</textarea>" in answer.text
    assert f'value="{value}"' in answer.text


FORM = {"system": "Write as {{ who }} to {{reader}}; {{who}} is brief. {{}} {{a\nb}} {x}"}


def test_fields_are_asked_for_and_filled_in(alice):
    preset = add(alice, **FORM)

    asked = alice.get(f"/?preset={preset}").text
    used = alice.post(f"/presets/{preset}/use", data={"field-0": "a <poet>", "field-1": "a child"}).text

    assert asked.count('<textarea class="edit__text"') == 2
    assert f'action="/presets/{preset}/use"' in asked
    assert "Write as a &lt;poet&gt; to a child; a &lt;poet&gt; is brief. {{}} {{a\nb}} {x}</textarea>" in used
    assert f'action="/presets/{preset}/use"' not in used
    assert alice.get(f"/presets/{preset}/use").url.endswith(f"/?preset={preset}")


def test_a_field_without_a_value_stays(alice):
    preset = add(alice, **FORM)

    used = alice.post(f"/presets/{preset}/use", data={"field-1": "a child"}).text

    assert "Write as {{ who }} to a child;" in used


def test_bob_uses_none_of_alices_presets(alice, bob):
    assert bob.post(f"/presets/{add(alice)}/use").status_code == 404


def test_presets_stand_under_the_greeting(alice):
    preset = add(alice)

    page = alice.get("/").text

    assert page.index("welcome__title") < page.index(f'href="/?preset={preset}"') < page.index('id="composer"')


def test_the_composers_settings_become_a_preset(alice):
    fields = {"name": "Mine", "model": "gpt-4", "temperature": "", "system": "Be kind.", "text": "unsent"}

    saved = alice.post("/presets", data=fields | OPTIONS, headers={"X-Fragment": "1"})
    refused = alice.post("/presets", data=fields | {"name": ""}, headers={"X-Fragment": "1"})

    assert (saved.status_code, saved.text) == (201, "Saved.")
    assert (refused.status_code, refused.text) == (400, "Give the preset a name.")
    assert "Be kind.</textarea>" in alice.get("/settings").text
