"""The pages beside the chat: each has its reader's list, and says nothing of errors that nobody made."""

from __future__ import annotations

import re

import html5lib
import pytest

from tests.team import problem, sign_in
from tests.visitor import text_of

PAGES = (
    "/settings",
    "/account",
    "/account/delete",
    "/keys",
    "/shares",
    "/search",
    "/conversations",
    "/admin/users",
    "/admin/limits",
    "/admin/limits/{bob}",
    "/admin/log",
    "/admin/models",
    "/admin/notice",
    "/admin/presets",
    "/admin/presets/{preset}",
    "/admin/upstream",
    "/admin/usage",
)


def marked(page: str, role: str) -> str:
    """What a page says at once to a screen reader, by the role of the element."""
    elements = [one for one in html5lib.parse(page, namespaceHTMLElements=False).iter() if one.get("role") == role]
    return "".join("".join(one.itertext()) for one in elements).strip()


@pytest.fixture
def settled(make_team):
    """An administrator with a conversation and a preset for everybody, and a colleague."""
    team = make_team(api=True, sharing="team")
    carol = team.join("Carol", "admin")
    team.join("Bob")
    carol.end(carol.new_chat("My garden"))
    carol.post_form("/admin/presets", name="Short", model="gpt-4", temperature="", system="Be short")
    preset = carol.get("/admin/presets").text.partition("/admin/presets/")[2][:36]
    return carol, {"bob": team.user_id("Bob"), "preset": preset}


def test_each_page_has_the_list_of_its_reader_and_no_problem(settled):
    carol, ids = settled

    answers = {path: carol.get(path.format(**ids)) for path in PAGES}

    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(PAGES, 200)
    assert [path for path, answer in answers.items() if "My garden" not in text_of(answer.text)] == []
    assert {path: problem(answer) for path, answer in answers.items()} == dict.fromkeys(PAGES, "")
    assert {path: marked(answer.text, "status") for path, answer in answers.items()} == dict.fromkeys(PAGES, "")


def test_a_stranger_is_led_to_the_sign_in_where_there_is_no_problem_yet(team):
    stranger = team.stranger()

    led = [stranger.get(path, allow_redirects=False) for path in ("/", "/account")]
    pages = [stranger.get(path).text for path in ("/sign-in", f"/invite/{team.invite()}")]

    assert [answer.status_code for answer in led] == [303, 303]
    assert [answer.headers["Location"].replace("%2F", "/") for answer in led] == ["/sign-in", "/sign-in?next=/account"]
    assert [marked(page, "alert") + marked(page, "status") for page in pages] == ["", ""]


def test_only_who_opens_a_page_is_led_to_the_sign_in(team):
    stranger = team.stranger()
    cases = [
        ("GET", "/settings", {"Accept": "text/html"}, 303),
        ("HEAD", "/settings", {"Accept": "text/html"}, 303),
        ("GET", "/settings", {"Accept": None}, 303),
        ("GET", "/settings", {"X-Fragment": "0"}, 303),
        ("GET", "/settings", {"X-Fragment": "1"}, 401),
        ("GET", "/settings", {"Accept": "application/json"}, 401),
        ("POST", "/preferences", {"Accept": "text/html"}, 401),
    ]

    for method, path, headers, status in cases:
        answer = stranger.request(method, path, headers=headers, allow_redirects=False)
        assert (method, headers, answer.status_code) == (method, headers, status)


def test_a_refused_form_keeps_what_was_typed(settled):
    carol, ids = settled
    typed = {"name": "Long", "model": "gpt-4", "temperature": "hot", "system": "Be <long>", "seed": "9"}

    preset = carol.post_form(f"/admin/presets/{ids['preset']}", **typed)
    key = carol.post_form("/keys", name="My script", days="never")

    assert (preset.status_code, problem(preset)) == (400, "The temperature is a number from 0 to 2.")
    assert all(value in preset.text for value in ('value="Long"', 'value="hot"', "Be &lt;long&gt;", 'value="9"'))
    assert (key.status_code, bool(problem(key))) == (400, True)
    assert 'value="My script"' in key.text


PRESET = {"name": "Short", "model": "gpt-4", "temperature": "", "system": ""}
SAVED = [
    ("/admin/limits", {"role": "member"}, "The limits are saved."),
    ("/admin/limits/{bob}", {}, "The limits are saved."),
    ("/admin/models", {"role": "member", "model": "gpt-4"}, "The models are saved."),
    ("/admin/notice", {"notice": "Hi"}, "Saved."),
    ("/admin/presets", PRESET, "Saved."),
    ("/admin/presets/{preset}", PRESET, "Saved."),
    ("/presets", PRESET, "Saved."),
    ("/preferences", {"read_aloud": "1"}, "Saved."),
]


def test_a_saved_form_leads_to_a_page_that_says_so_once(settled):
    carol, ids = settled

    for path, fields, sentence in SAVED:
        answer = carol.post(path.format(**ids), data=fields, headers={"Referer": f"{carol.base_url}/settings"})

        assert answer.history[0].status_code == 303
        assert (path, saved(answer.text)) == (path, [sentence])
        assert saved(carol.get(answer.url).text) == []


def test_a_page_says_all_that_was_saved_on_it_and_nothing_of_other_pages(settled):
    carol, _ids = settled

    for path, fields, sentence in SAVED[:1] + SAVED[2:4]:
        carol.post_form("/presets", **PRESET)
        for _ in range(2):
            carol.post_form(path, **fields)
        assert (path, saved(carol.get(path).text)) == (path, [f"{sentence} {sentence}"])


def saved(page: str) -> list[str]:
    elements = html5lib.parse(page, namespaceHTMLElements=False).iter()
    return ["".join(one.itertext()) for one in elements if one.get("class") == "settings__saved"]


def test_the_pages_of_a_member_know_who_is_there(settled):
    carol, _ids = settled
    carol.post_form("/keys", name="script", days="30")

    lost, start, account = (carol.get(path).text for path in ("/nowhere", "/", "/account"))

    assert "Sign in" not in text_of(lost)
    assert re.search('data-user="[0-9a-f]{16}"', start)
    assert "Revoke all my API keys too (1)" in text_of(account)
    assert "12 characters or more" in text_of(account)


def test_the_tag_of_a_user_needs_the_secret_of_the_instance(team, make_site, tmp_path):
    carol = team.join("Carol")
    here = carol.get("/").text
    carol.base_url = make_site(login="password", data_dir=tmp_path / "other").extensions["url"]
    sign_in(carol, "carol")
    there = carol.get("/").text

    tags = [re.findall('data-user="([0-9a-f]{16})"', page) for page in (here, there)]

    assert [len(found) for found in tags] == [1, 1]
    assert tags[0] != tags[1]


def test_the_settings_say_what_a_preset_and_a_file_may_hold(make_visitor):
    visitor = make_visitor(retention_days=30, retention_pinned="keep", max_import_bytes=7 * 2**20)

    page = visitor.get("/settings").text

    assert 'name="name" required maxlength="60"' in page
    assert "Up to 7 MB." in text_of(page)
    assert "30 days after its last message. Pinned ones are kept. For imported" in text_of(page)
    assert [f">{effort}</option>" in page for effort in ("low", "medium", "high")] == [True] * 3


def test_a_refused_preset_of_a_user_is_in_the_form_of_a_new_one(alice):
    answer = alice.post_form("/presets", name="Long", model="gpt-4", temperature="hot", system="Be <long>", top_p="9")

    assert answer.status_code == 400
    form = answer.text.partition('id="new-preset" open')[2]
    assert [value in form for value in ('value="Long"', 'value="hot"', "Be &lt;long&gt;", 'value="9"')] == [True] * 4
    assert 'role="alert">' in form


def test_the_shortcuts_have_the_names_of_the_readers_keyboard(alice):
    for browser, key in [("Mozilla/5.0 (Macintosh; Intel Mac OS X)", "⌘"), ("Mozilla/5.0", "Ctrl")]:
        for path in ("/settings", "/shortcuts"):
            answer = alice.get(path, headers={"User-Agent": browser, "X-Fragment": "1"})
            assert f"<kbd>{key}" in answer.text
