"""The language of the page: how it is chosen, and that everything a person sees or hears is in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import html5lib
import pytest
from babel.messages import Catalog
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po
from flask import render_template

from tests.upstream import Wait, body, token, tokens
from tests.visitor import text_of
from webapp import language, sse
from webapp.chat import Failure, Message, Outcome, Usage
from webapp.errors import REASONS

ROOT = Path(__file__).parent.parent
CATALOGUES = sorted(language.DIRECTORY.glob("*/LC_MESSAGES/messages.po"))
UNKNOWN = "00000000-0000-4000-8000-000000000000"
NOW = datetime(2026, 5, 3, 23, 59, tzinfo=UTC)

# What stands in Latin letters on a Russian page too: names, formats, the languages themselves.
ALLOWED = {
    "Lockchat",
    "UTC",
    "ChatGPT",
    "Claude",
    "Open",
    "WebUI",
    "LibreChat",
    "Markdown",
    "JSON",
    "zip",
    "LOCKCHAT_URL",
    "EN",
    "RU",
    "English",
    "gpt-4",
    "gpt-3.5-turbo",
    "demo",
    "Enter",
    "Esc",
    "Shift",
    "Tab",
    "Ctrl",
    "Alt",
    "C",
    "K",
    "O",
    # parameters of the wire, and their values
    "max_tokens",
    "top_p",
    "seed",
    "reasoning_effort",
    "none",
    "minimal",
    "low",
    "medium",
    "high",
    "xhigh",
}
SPOKEN = ("aria-label", "title", "placeholder", "alt")


@pytest.fixture(autouse=True)
def language_of_this_thread():
    """Leave it as it was."""
    yield
    language.use("en")


@pytest.fixture
def russian(alice):
    """Alice with a browser that asks for Russian."""
    alice.headers["Accept-Language"] = "ru-RU,ru;q=0.9,en;q=0.8"
    return alice


# Chosen by the cookie, then by the browser


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-GB,en;q=0.9,ru;q=0.8", "en"),
        ("en;q=0.3, ru;q=0.7", "ru"),
        ("de, fr;q=0.9, ru;q=0.1", "ru"),
        ("de-AT", "en"),
        ("ru;q=0", "en"),
        ("ru;q=0, *", "en"),
        ("*", "en"),
        ("", "en"),
        (";;q=,=x", "en"),
    ],
)
def test_the_browser_says_which_language_it_prefers(alice, accepted, chosen):
    page = alice.get("/", headers={"Accept-Language": accepted}).text

    assert f'<html lang="{chosen}"' in page
    assert {"en": "New chat", "ru": "Новый чат"}[chosen] in text_of(page)


@pytest.mark.parametrize(("cookie", "accepted"), [("ru", "en"), ("en", "ru")])
def test_what_the_person_chose_counts_more(alice, cookie, accepted):
    alice.post_form("/preferences", language=cookie)

    page = alice.get("/nowhere", headers={"Accept-Language": accepted}).text

    assert f'<html lang="{cookie}"' in page


def test_a_missing_file_is_missed_in_the_language_of_the_browser(russian):
    assert "Такой страницы нет." in text_of(russian.get("/static/nowhere.css").text)


def test_the_script_is_told_of_an_error_in_the_language_of_the_person(russian):
    answer = russian.post("/conversations", data={"text": ""}, headers={"X-Fragment": "1"})

    assert answer.text == "Сначала напишите сообщение."


def test_the_stream_ends_in_the_language_of_the_person(russian, upstream):
    go_on = threading.Event()
    upstream.answer(*body(token("Ответ"), Wait(go_on), framing="close"))
    events = russian.events(russian.new_chat("Вопрос"))
    next(events)

    go_on.set()
    end = json.loads([*events][-1].data)

    assert end["message"] == "Связь с сервером модели оборвалась раньше, чем закончился ответ."
    assert "Ещё раз" in end["html"]


# The catalogues


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Catalog:
    """The messages of the sources, as the README's command extracts them."""
    path = tmp_path_factory.mktemp("sources") / "messages.pot"
    options = ["-q", "extract", "-F", "pyproject.toml", "-k", "mark", "-o", str(path), "."]
    subprocess.run([sys.executable, "-m", "babel.messages.frontend", *options], cwd=ROOT, check=True)
    with path.open("rb") as file:
        return read_po(file)


def forms(said: str | Sequence[str]) -> tuple[str, ...]:
    """The singular and plurals of what is said; the only form of what has no plural."""
    return (said,) if isinstance(said, str) else tuple(said)


def messages_of(catalogue: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Each message with its translation, each in all its forms."""
    return {forms(message.id): forms(message.string) for message in catalogue if message.id}


@pytest.fixture(params=CATALOGUES, ids=lambda path: path.parent.parent.name)
def catalogue(request) -> Catalog:
    with request.param.open("rb") as file:
        return read_po(file, locale=request.param.parent.parent.name)


def test_every_message_of_the_sources_is_translated(sources, catalogue):
    translations = messages_of(catalogue)

    missing = [message for message in messages_of(sources) if not all(translations.get(message, [""]))]

    assert missing == []
    assert [message.id for message in catalogue if message.id and message.fuzzy] == []


def test_nothing_is_translated_that_the_sources_lack(sources, catalogue):
    assert messages_of(catalogue).keys() - messages_of(sources).keys() == set()
    assert not catalogue.obsolete


def test_a_translation_has_the_placeholders_of_its_message(catalogue):
    def placeholders(texts: tuple[str, ...]) -> set[tuple[str, ...]]:
        return {tuple(sorted(re.findall(r"%(?:\(\w+\))?.?", text))) for text in texts}

    for message, said in messages_of(catalogue).items():
        assert placeholders(said) == placeholders(message)
    assert [error for message in catalogue for error in message.check(catalogue)] == []


def test_a_translation_ends_like_its_message(catalogue):
    def ends(texts: tuple[str, ...]) -> set[str]:
        return {re.search("[.…:]?$", text)[0] for text in texts}

    for message, said in messages_of(catalogue).items():
        assert ends(said) == ends(message)
        assert [text.strip() for text in said] == list(said)


def test_the_compiled_catalogue_is_up_to_date(catalogue, tmp_path):
    compiled = tmp_path / "messages.mo"
    with compiled.open("wb") as file:
        write_mo(file, catalogue)

    with (language.DIRECTORY / str(catalogue.locale) / "LC_MESSAGES/messages.mo").open("rb") as file:
        committed = read_mo(file)

    with compiled.open("rb") as file:
        assert messages_of(committed) == messages_of(read_mo(file))
    assert committed.plural_expr == catalogue.plural_expr


def test_a_catalogue_names_no_person_and_no_machine(catalogue):
    text = (language.DIRECTORY / str(catalogue.locale) / "LC_MESSAGES/messages.po").read_text()

    assert "@" not in re.sub("EMAIL@ADDRESS|LL@li.org", "", text)  # what a new catalogue has there
    assert "/work" not in text
    assert "#: " not in text


def test_the_sample_number_of_a_catalogue_can_be_read(catalogue):
    assert re.fullmatch(r"1\D?234\D5", catalogue.get("1,234.5").string)


# Plurals, numbers, dates


@pytest.mark.parametrize(
    ("count", "english", "russian"),
    [
        (0, "0 tokens", "0 токенов"),
        (1, "1 token", "1 токен"),
        (2, "2 tokens", "2 токена"),
        (5, "5 tokens", "5 токенов"),
        (11, "11 tokens", "11 токенов"),
        (12, "12 tokens", "12 токенов"),
        (21, "21 tokens", "21 токен"),
        (22, "22 tokens", "22 токена"),
        (111, "111 tokens", "111 токенов"),
        (1234, "1,234 tokens", "1\u00a0234 токена"),
    ],
)
def test_plurals(count, english, russian):
    for name, expected in [("en", english), ("ru", russian)]:
        language.use(name)
        assert language.ngettext("%(num)s token", "%(num)s tokens", count) == expected


@pytest.mark.parametrize(
    ("value", "decimals", "english", "russian"),
    [
        (0.44, 1, "0.4", "0,4"),
        (12.5, 1, "12.5", "12,5"),
        (34.6, 0, "35", "35"),
        (999, 0, "999", "999"),
        (1234567, 0, "1,234,567", "1\u00a0234\u00a0567"),
        (1234.56, 1, "1,234.6", "1\u00a0234,6"),
    ],
)
def test_numbers(value, decimals, english, russian):
    for name, expected in [("en", english), ("ru", russian)]:
        language.use(name)
        assert language.number(value, decimals) == expected


def test_dates():
    days = [datetime(2026, month, 3, tzinfo=UTC) for month in range(1, 13)]
    assert language.date(days[4]) == "3 May 2026"

    language.use("ru")

    months = [
        "января",
        "февраля",
        "марта",
        "апреля",
        "мая",
        "июня",
        "июля",
        "августа",
        "сентября",
        "октября",
        "ноября",
        "декабря",
    ]
    assert [language.date(day) for day in days] == [f"3 {month} 2026" for month in months]


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("en", "1,234 tokens · 500 tokens/s · first token after 0.4 s"),
        ("ru", "1 234 токена · 500 ток./с · первый токен через 0,4 с"),
    ],
)
def test_what_a_reply_cost_is_told_in_the_language(site, accepted, expected):
    outcome = Outcome("done", usage=Usage(9, 1234), first_token_seconds=0.4, seconds=2.868)

    page = shown(site, accepted, outcome)

    assert expected in " ".join(text_of(page).split())


def test_a_temperature_may_be_typed_with_a_comma(alice, upstream):
    alice.end(alice.new_chat("Hi", temperature="0,7"))

    assert upstream.requests[0].json["temperature"] == 0.7


# Texts of another script than the page's


@pytest.mark.parametrize(
    ("text", "on_english", "on_russian"),
    [
        ("Hello there", "", "en"),
        ("Привет, мир", "ru", ""),
        ("Ёлка: def f(x) — это функция, а lambda — другая", "ru", ""),
        ("Как сказать Donaudampfschifffahrtsgesellschaftskapitän?", "", "en"),
        ("Привіт, їжаче, як твої справи?", "", ""),  # Ukrainian is no Russian
        ("שלום עולם", "he", "he"),
        ("مرحبا بالعالم", "ar", "ar"),
        ("你好，世界", "zh", "zh"),
        ("漢字を書くのは楽しい", "ja", "ja"),
        ("안녕하세요 세계", "ko", "ko"),
        ("Γειά σου Κόσμε", "el", "el"),
        ("สวัสดีชาวโลก a", "", ""),
        ("2 + 2 = 4 👍", "", ""),
        ("", "", ""),
        ("Привет " * 100 + "hello " * 1000, "ru", ""),  # its beginning tells
    ],
)
def test_the_script_of_a_text_tells_its_language(text, on_english, on_russian):
    for name, expected in [("en", on_english), ("ru", on_russian)]:
        language.use(name)
        assert language.foreign(text) == expected


def test_what_is_foreign_to_the_page_is_marked_for_screen_readers(alice, upstream):
    upstream.answer(*tokens("Hello there"))
    alice.end(alice.new_chat("Привет"))

    english = alice.page()
    russian = alice.get(f"/c/{alice.conversation_id}", headers={"Accept-Language": "ru"}).text

    assert langs(english) == {"h1": "ru", "Привет": "ru", "Hello there": None}
    assert langs(russian) == {"h1": None, "Привет": None, "Hello there": "en"}


def langs(page: str) -> dict[str, str | None]:
    """What the heading and each message of a page say of their language."""
    body = html5lib.parse(page, namespaceHTMLElements=False).find("body")
    texts = body.findall(".//div[@class='log']//div[@class='message__body']")
    found = {"".join(text.itertext()).strip(): text.get("lang") for text in texts}
    return {"h1": body.find(".//h1").get("lang")} | found


# Nothing in English on a Russian page


def untranslated(page: str) -> set[str]:
    """The Latin words that a person sees, hears or is told by the script."""
    document = html5lib.parse(page, namespaceHTMLElements=False)
    texts = ["".join(document.find("head/title").itertext()), *document.find("body").itertext()]
    texts += [element.get(name, "") for element in document.iter() for name in SPOKEN]
    texts += json.loads(document.find("body").get("data-words")).values()
    return words_of(texts)


def words_of(texts: list[str]) -> set[str]:
    text = re.sub("запрос [0-9a-f]{12}", "", "\n".join(texts))
    return set(re.findall(r"[A-Za-z][\w.-]*[\w-]|[A-Za-z]", text)) - ALLOWED


def test_english_on_a_page_would_be_noticed(alice):
    assert {"New", "chat", "Send", "Thinking", "Search"} <= untranslated(alice.get("/").text)


@pytest.mark.parametrize("path", ["/", "/search", "/search?q=кит", "/settings"])
def test_a_page_of_its_own_is_in_russian(russian, path):
    page = russian.get(path)

    assert page.status_code == 200
    assert untranslated(page.text) == set()


def test_a_deletion_is_told_in_russian(russian):
    russian.end(russian.new_chat("Удали меня"))

    page = russian.post(f"/c/{russian.conversation_id}/delete").text

    assert "Разговор удалён." in text_of(page)
    assert untranslated(page) == set()


def test_the_welcome_to_the_demo_is_in_russian(make_site, visit):
    visitor = visit()
    visitor.base_url = make_site(url=None).extensions["url"]

    page = visitor.get("/", headers={"Accept-Language": "ru"}).text

    assert "Это демонстрация." in text_of(page)
    assert untranslated(page) <= {"demo-thinking"}


def test_a_conversation_is_in_russian(russian, upstream):
    usage = {"prompt_tokens": 9, "completion_tokens": 21}
    upstream.always(*body(token(reasoning_content="Мысль"), *tokens("Ответ", usage=usage)[2:-1]))
    reply = russian.new_chat("Вопрос про кита")
    russian.end(reply)
    russian.reply_of(russian.post_form(f"/m/{reply}/retry", key=UNKNOWN))
    russian.end(russian.say("Ещё вопрос"))

    shown = [
        russian.page(),
        russian.get(f"/c/{russian.conversation_id}?last=2").text,
        russian.get(f"/c/{russian.conversation_id}?edit={question_of(russian.page())}").text,
        russian.get("/search?q=кита").text,
    ]

    assert "21 токен" in text_of(shown[0])
    assert "предыдущих сообщения" in text_of(shown[1])
    assert "Отмена" in text_of(shown[2])
    assert re.search(r"Вы · \d+ [а-я]+ 20\d\d", text_of(shown[3]))
    assert [untranslated(page) for page in shown] == [set()] * 4


def question_of(page: str) -> str:
    """The id of the last question of a page."""
    return re.findall('message--user" id="m-([0-9a-f-]+)"', page)[-1]


def test_a_running_reply_is_in_russian(russian, upstream):
    upstream.answer(*body(Wait()))
    russian.new_chat("Вопрос")

    page = russian.page()

    assert "Ждём ответа…" in text_of(page)
    assert untranslated(page) == set()


def test_the_settings_with_a_preset_are_in_russian(russian):
    preset = {"name": "Редактор", "model": "gpt-4", "temperature": "0.7", "system": "Правь"}

    saved = russian.post("/presets", data=preset)
    refused = russian.post("/presets", data=preset | {"temperature": "жарко"})

    assert "Сохранено." in text_of(saved.text)
    assert "Температура — это число от 0 до 2." in text_of(refused.text)
    assert untranslated(saved.text) == untranslated(refused.text) == set()


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", f"/c/{UNKNOWN}", {}, 404),
        ("GET", f"/m/{UNKNOWN}/raw", {}, 404),
        ("DELETE", "/", {}, 405),
        ("POST", "/conversations", {"data": {"text": ""}}, 400),
        ("POST", "/conversations", {"data": {"text": "Привет", "model": "нет"}}, 400),
        ("POST", "/conversations", {"data": {"text": "Привет", "temperature": "жарко"}}, 400),
        ("POST", "/conversations", {"data": {"text": "ы" * 100_001}}, 413),
        ("POST", "/conversations", {"data": b"text=" + b"1" * (17 * 2**20)}, 413),
        (
            "POST",
            "/conversations",
            {"data": b"--x\r\n1", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
        ),
        ("POST", "/conversations", {"data": {"text": "Привет"}, "headers": {"Origin": "http://evil.example"}}, 403),
        ("POST", "/import", {"files": {"file": ("x.json", b"{}")}}, 400),
        ("POST", "/import", {}, 400),
        ("POST", f"/c/{UNKNOWN}/rename", {"data": {"title": ""}}, 400),
    ],
)
def test_an_error_page_is_in_russian(russian, method, path, options, status):
    answer = russian.request(method, path, **options)

    assert answer.status_code == status
    assert '<html lang="ru"' in answer.text
    assert untranslated(answer.text) == set()


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/", {"Host": "a..b"}, 400, set()),
        ("/", {"Host": "evil.example"}, 421, {"LOCKCHAT_HOSTS", "evil.example"}),
        ("/", {"X-Real-IP": "10.0.0.9"}, 403, {"LOCKCHAT_ALLOW_OPEN", "proxy"}),
        ("/metrics", {"Host": "evil.example", "Accept": "text/html"}, 421, {"LOCKCHAT_HOSTS", "evil.example"}),
    ],
)
def test_what_the_server_cannot_be_used_for_is_said_in_russian(russian, path, headers, status, words):
    answer = russian.get(path, headers=headers)

    assert answer.status_code == status
    assert untranslated(answer.text) == words


def test_metrics_are_refused_in_russian(make_site):
    client = make_site(allow_open=frozenset({"proxy"})).test_client()

    answer = client.get("/metrics", headers={"Accept-Language": "ru", "X-Real-IP": "10.0.0.9"})

    assert answer.status_code == 403
    assert untranslated(answer.text) == {"LOCKCHAT_METRICS_TOKEN"}


def test_a_form_whose_host_a_proxy_changed_is_refused_in_russian(make_site):
    client = make_site(allow_open=frozenset({"proxy"})).test_client()
    asked = {"Origin": "https://chat.example", "X-Forwarded-Host": "chat.example", "Accept-Language": "ru"}

    answer = client.post("/conversations", data={"text": "Привет"}, headers=asked)

    assert answer.status_code == 403
    settings = "nginx: proxy_set_header Host $http_host; Apache: ProxyPreserveHost On"
    assert untranslated(answer.text) == words_of([settings, "https://chat.example", "localhost"])


@pytest.mark.parametrize(
    ("address", "name", "status"), [("10.0.0.6", "alice", 403), ("10.0.0.5", "", 401), ("10.0.0.5", "a,b", 403)]
)
def test_who_comes_by_no_sign_in_of_the_proxy_is_refused_in_russian(make_site, address, name, status):
    client = make_site(login="proxy", proxies=("10.0.0.5",)).test_client()
    headers = {"Remote-User": name, "Accept-Language": "ru"}

    answer = client.get("/", headers=headers, environ_overrides={"REMOTE_ADDR": address})

    assert answer.status_code == status
    assert untranslated(answer.text) == set()


def test_where_a_proxy_signs_users_in_a_password_is_refused_in_russian(make_site):
    client = make_site(login="proxy", proxies=("10.0.0.5",)).test_client()
    headers, peer = {"Remote-User": "alice", "Accept-Language": "ru"}, {"REMOTE_ADDR": "10.0.0.5"}

    answer = client.post("/sign-in", headers=headers, environ_overrides=peer)

    assert answer.status_code == 404
    assert untranslated(answer.text) == set()


def test_an_account_speaks_russian(team):
    alice = team.join("Алиса")
    alice.headers["Accept-Language"] = "ru"

    refused = alice.post_form("/account/password", current="ключ", password="новый пароль")
    saved = alice.get("/account?saved=1")

    assert "Пароль изменён." in text_of(saved.text)
    browser = words_of([alice.headers["User-Agent"]])
    assert untranslated(refused.text) | untranslated(saved.text) == browser


def test_the_script_is_told_in_russian_where_a_conversation_went(russian):
    russian.end(russian.new_chat("Привет"))
    move = {"url": f"/c/{russian.conversation_id}/move", "headers": {"X-Fragment": "1"}}

    told = [russian.post(data=data, **move).text for data in ({"name": "Сад"}, {"folder": ""})]

    assert words_of(told) == set()


def test_what_an_open_page_says_of_other_tabs_is_in_russian(russian):
    with russian.get("/changes", stream=True) as answer:
        first = next(sse.decode(iter(lambda: answer.raw.read1(65536), b"")))

    words = json.loads(first.data)["words"]

    assert words.keys() == {"running", "unread", "deleted"}
    assert words_of(list(words.values())) == set()


def test_an_error_page_follows_the_cookie_too(alice):
    alice.post_form("/preferences", language="ru")

    assert "Такой страницы нет." in text_of(alice.get("/nowhere").text)
    assert untranslated(alice.request("DELETE", "/").text) == set()


@pytest.mark.parametrize("reason", REASONS)
def test_a_failed_reply_is_in_russian(site, reason):
    page = shown(site, "ru", Outcome("error", failure=Failure(reason)))

    assert "message--failed" in page
    assert words_of([text_of(page)]) == set()


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("stopped"),
        Outcome("interrupted"),
        Outcome("done", "length"),
        Outcome("done", "content_filter"),
        Outcome("done", saved=False),
    ],
)
def test_a_reply_that_ended_early_is_in_russian(site, outcome):
    page = text_of(shown(site, "ru", outcome))

    assert len(page) > len("Ассистент Копировать Ещё раз ")
    assert words_of([page]) == set()


def shown(site, accepted: str, outcome: Outcome) -> str:
    """A reply with this outcome, as the page shows it."""
    message = Message(UNKNOWN, UNKNOWN, UNKNOWN, "assistant", "Ответ", outcome.status, NOW, outcome=outcome)
    with site.test_request_context("/"):
        language.use(accepted)
        return render_template("_reply.html", message=message)


# One more language


def test_a_third_language_is_one_catalogue(sources, alice, tmp_path, monkeypatch):
    german = Catalog(locale="de")
    german.add("English", "Deutsch")
    german.add("New chat", "Neuer Chat")
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "messages.mo").open("wb") as file:
        write_mo(file, german)
    monkeypatch.setattr(language, "DIRECTORY", tmp_path)
    forget_catalogues()

    try:
        page = alice.get("/", headers={"Accept-Language": "de-AT"}).text
        names = language.names()
    finally:
        monkeypatch.undo()
        forget_catalogues()

    assert names == {"en": "English", "de": "Deutsch"}
    assert '<html lang="de"' in page
    assert "Neuer Chat" in text_of(page)
    assert "Send" in text_of(page)  # what is missing is said in English


def forget_catalogues() -> None:
    for cached in (language.available, language._catalogue, language._own_name):
        cached.cache_clear()
