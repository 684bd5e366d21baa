"""Conversations out and in: as Markdown, as JSON, as a zip; ours and ChatGPT's. Others are in test_transfer_foreign."""

from __future__ import annotations

import io
import json
import mimetypes
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, select

from tests.samples import some
from tests.upstream import Wait, body, token, tokens
from tests.visitor import Visitor, text_of
from tests.wait import wait_until
from webapp.archive import READ_MESSAGES
from webapp.arrivals import Arrivals
from webapp.chat import Conversation, Message
from webapp.config import Config
from webapp.errors import StorageUnavailable
from webapp.files import reader, record, zips
from webapp.limits import Holder
from webapp.storage import conversations, messages, schema
from webapp.text import new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = "This file holds no conversations of Lockchat, ChatGPT, Claude, Open WebUI or LibreChat."
BROKEN = "This file is broken: its messages do not fit together."


@pytest.fixture
def branched(alice, upstream):
    """A conversation of Alice's with two replies to one question, the second one shown."""
    upstream.answer(*tokens("The **first** answer"))
    reply = alice.new_chat("What is\nthis?", model="gpt-3.5-turbo", temperature="0.25", system="Be brief.\nBe kind.")
    settle(alice)
    upstream.answer(*tokens("The second answer"))
    alice.post_form(f"/m/{reply}/retry")
    settle(alice)
    return alice.conversation_id


@pytest.fixture
def import_file(alice):
    """Import a file as Alice; the answer."""

    def import_file(data: bytes | str, name: str = "file.json"):
        return alice.post("/import", files={"file": (name, data)}, allow_redirects=False)

    return import_file


def settle(visitor: Visitor) -> None:
    """Wait until the replies of the conversation are saved."""
    wait_until(lambda: "streaming" not in {one["status"] for one in exported(visitor)["messages"]}, 20)


def exported(visitor: Visitor, conversation_id: str = "") -> dict:
    answer = visitor.get(f"/c/{conversation_id or visitor.conversation_id}/export?format=json")
    assert answer.status_code == 200, answer.text
    return answer.json()


def place_of(answer) -> str:
    """The id of the conversation that an import leads to."""
    assert answer.status_code == 303, text_of(answer.text)
    return answer.headers["Location"].removeprefix("/c/")


def renumbered(value: dict) -> dict:
    """An export with numbers for ids."""
    numbers = {message["id"]: n for n, message in enumerate(value["messages"])}
    messages = [
        message | {"id": numbers[message["id"]], "parent": numbers.get(message["parent"])}
        for message in value["messages"]
    ]
    return value | {"id": "", "leaf": numbers[value["leaf"]], "messages": messages}


def zip_of(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return file.getvalue()


def ours(*messages: dict, **values: object) -> str:
    """Our JSON, with what is left out filled in."""
    value = {"format": "lockchat", "version": 1, "title": "T", "model": "gpt-4", "temperature": 1, "system": ""}
    filled = [{"role": "user", "text": "Hi", "parent": None} | message for message in messages]
    return json.dumps(value | {"messages": filled} | values)


def chatgpt(*nodes: tuple, **values: object) -> dict:
    """A conversation of ChatGPT's export: nodes are (id, parent, role, content) and what else the message holds."""
    mapping = {
        node_id: {"id": node_id, "parent": parent, "children": [], "message": role and said(role, content, **rest)}
        for node_id, parent, role, content, rest in nodes
    }
    return {"title": "Trip", "create_time": 1700000000.5, "mapping": mapping, "current_node": nodes[-1][0]} | values


def said(role: str, content: object, **rest: object) -> dict:
    content = {"content_type": "text", "parts": [content]} if isinstance(content, str) else content
    return {"author": {"role": role}, "content": content, "create_time": 1700000001, "metadata": {}} | rest


def message(message_id: str, text: str, conversation_id: str = "") -> Message:
    return Message(message_id, conversation_id, None, "user", text, "done", NOW)


def texts(value: dict) -> list[tuple[str, str, str]]:
    """Role, text and reasoning of the messages of an export."""
    return [(message["role"], message["text"], message["thought"]) for message in value["messages"]]


def test_markdown_holds_the_shown_branch(alice, branched, monkeypatch):
    mimetypes.init()
    monkeypatch.setitem(mimetypes.types_map, ".md", "application/x-genesis-rom")  # as some systems have it

    answer = alice.get(f"/c/{branched}/export?format=md")

    heading, about, *rest = answer.content.decode().split("\n\n")
    assert heading == "# What is this?"
    assert about.startswith("*gpt-3.5-turbo, 20")
    assert "\n\n".join(rest) == (
        "> Be brief.\n> Be kind.\n\n## You\n\nWhat is\nthis?\n\n## Assistant (gpt-3.5-turbo)\n\nThe second answer\n"
    )
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Length"] == str(len(answer.content))  # how far a browser's download is


def test_markdown_says_how_a_reply_ended(alice, upstream):
    upstream.answer(*body(token("So far"), Wait()))
    reply = alice.new_chat("Go on")
    alice.stop(reply)
    settle(alice)

    answer = alice.get(f"/c/{alice.conversation_id}/export")

    assert answer.text.endswith("\n\n*Stopped.*\n")


def test_json_holds_every_branch(alice, branched):
    value = exported(alice)

    assert (value["format"], value["version"], value["title"]) == ("lockchat", 1, "What is this?")
    assert (value["model"], value["temperature"], value["system"]) == ("gpt-3.5-turbo", 0.25, "Be brief.\nBe kind.")
    question, first, second = value["messages"]
    assert (question["role"], question["parent"], question["text"]) == ("user", None, "What is\nthis?")
    assert (first["role"], first["parent"], first["status"]) == ("assistant", question["id"], "done")
    assert (first["text"], second["text"]) == ("The **first** answer", "The second answer")
    assert value["leaf"] == second["id"]


def test_json_holds_what_is_saved_of_a_running_reply(alice, upstream):
    upstream.answer(*body(token("So far"), Wait()))
    alice.new_chat("Go on")

    saved = wait_until(lambda: [one for one in exported(alice)["messages"] if one["text"] == "So far"], 20)

    assert saved[0]["status"] == "streaming"


@pytest.mark.parametrize(
    ("title", "disposition"),
    [
        ("Plain title", 'attachment; filename="{day} Plain title.md"'),
        (
            "Привет",
            "attachment; filename=\"{day} .md\"; filename*=UTF-8''{day}%20%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82.md",
        ),
        ('../a\\b: "c"?', 'attachment; filename="{day} .. a b c.md"'),
    ],
)
def test_the_file_is_named_by_day_and_title(alice, title, disposition):
    alice.new_chat(title)

    answer = alice.get(f"/c/{alice.conversation_id}/export?format=md")

    day = exported(alice)["created_at"][:10]
    assert answer.headers["Content-Disposition"] == disposition.format(day=day).replace(f'"{day} .md"', f'"{day} .md"')


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("a\u202egpj.exe", "2026-01-01 agpj.exe"),
        ("a\x07b\n", "2026-01-01 ab"),
        ("...", "2026-01-01"),
        ("CON", "2026-01-01 CON"),
        ("я" * 200, "2026-01-01 " + "я" * 75),
    ],
)
def test_a_file_name_suits_every_file_system(title, name):
    conversation = Conversation("", 0, "", "", "", title, None, NOW, NOW)

    assert record.file_name(conversation) == name


def test_another_format_is_refused(alice, branched):
    assert alice.get(f"/c/{branched}/export?format=pdf").status_code == 400


@pytest.mark.parametrize("ending", ["md", "json"])
def test_bob_sees_404_for_alices_export(alice, bob, branched, ending):
    answer = bob.get(f"/c/{branched}/export?format={ending}")

    assert answer.status_code == 404
    assert "What is" not in answer.text


def test_all_are_exported_as_a_zip_under_names_of_their_own(alice, bob):
    bob.new_chat("Not hers")
    for text in ("Same", "SAME", "Other"):
        alice.end(alice.new_chat(text))

    answer = alice.get("/export")

    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    day = exported(alice)["created_at"][:10]
    names = {"Other", "SAME", "Same (2)"}
    assert set(archive.namelist()) == {f"{day} {name}.{ending}" for name in names for ending in ("md", "json")}
    assert json.loads(archive.read(f"{day} Other.json"))["title"] == "Other"
    assert archive.read(f"{day} Same (2).md").decode().startswith("# Same\n")
    assert archive.testzip() is None


def test_without_conversations_the_zip_is_empty(alice):
    assert zipfile.ZipFile(io.BytesIO(alice.get("/export").content)).namelist() == []


def test_a_deleted_conversation_is_not_exported(alice, branched):
    alice.post_form(f"/c/{branched}/delete")

    assert alice.get(f"/c/{branched}/export?format=json").status_code == 404
    assert zipfile.ZipFile(io.BytesIO(alice.get("/export").content)).namelist() == []


def test_an_import_of_an_export_exports_the_same(alice, bob, branched):
    before = exported(alice)

    imported = place_of(bob.post("/import", files={"file": ("x.json", json.dumps(before))}, allow_redirects=False))

    after = exported(bob, imported)
    assert renumbered(after) == renumbered(before)
    assert {one["id"] for one in after["messages"]}.isdisjoint(one["id"] for one in before["messages"])


def test_pins_and_figures_come_along(alice, bob, upstream):
    upstream.answer(*tokens("An answer", usage={"prompt_tokens": 3, "completion_tokens": 40}))
    alice.end(alice.new_chat("Hi"))
    alice.post_form(f"/c/{alice.conversation_id}/pin", pinned="1")
    before = exported(alice)

    imported = place_of(bob.post("/import", files={"file": ("x.json", json.dumps(before))}, allow_redirects=False))

    assert (before["pinned"], before["messages"][1]["tokens"]) == (True, 40)
    assert renumbered(exported(bob, imported)) == renumbered(before)
    assert "40 tokens" in text_of(bob.page(imported))


def test_an_answer_that_ends_in_code_swallows_nothing(alice, upstream):
    upstream.answer(*tokens("```python\nprint(1)\n~~~\n"))
    alice.end(alice.new_chat("Code"))
    alice.end(alice.say("Thanks"))

    lines = alice.get(f"/c/{alice.conversation_id}/export?format=md").text.split("\n")

    assert lines[lines.index("~~~") + 1 :][:4] == ["", "```", "", "## You"]


def test_a_refused_file_leaves_an_address_that_works(alice, import_file):
    assert import_file("nonsense").status_code == 400
    assert alice.get("/import").url.endswith("/settings#transfer")


def test_an_imported_conversation_is_shown_found_and_goes_on(alice, branched, import_file, upstream):
    file = json.dumps(exported(alice) | {"id": "from elsewhere"}).replace("second", "**2nd**")
    alice.conversation_id = place_of(import_file(file))

    alice.end(alice.say("Go on"))

    assert "The <strong>2nd</strong> answer" in alice.page()
    assert alice.conversation_id in alice.get("/search?q=2nd").text
    assert [one["content"] for one in upstream.requests[-1].json["messages"]] == [
        "Be brief.\nBe kind.",
        "What is\nthis?",
        "The **2nd** answer",
        "Go on",
    ]


def test_an_imported_failure_says_what_it_said(alice, upstream, import_file):
    upstream.answer(*body(b"data: [DONE]\n\n"))
    alice.new_chat("Say nothing")
    settle(alice)

    alice.conversation_id = place_of(import_file(json.dumps(exported(alice) | {"id": "from elsewhere"})))

    assert "The upstream sent an empty answer." in text_of(alice.page())


def test_a_zip_of_ours_brings_all_of_them_to_another_user(alice, bob):
    for text in ("One", "Two"):
        alice.end(alice.new_chat(text))
    data = alice.get("/export").content

    answer = bob.post("/import", files={"file": ("all.zip", data)}, allow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    page = bob.get("/").text
    assert page.index(">Two<") < page.index(">One<")


@pytest.mark.parametrize(
    ("tongue", "sentence"), [("en", "2 conversations were imported."), ("ru", "Загружено 2 разговора.")]
)
def test_an_import_of_several_says_how_many(alice, import_file, tongue, sentence):
    alice.post_form("/preferences", language=tongue)

    page = alice.get(
        import_file(zip_of(a__json=ours({"id": "a"}), b__json=ours({"id": "b"})), "all.zip").headers["Location"]
    ).text

    assert sentence in text_of(page)
    assert sentence not in text_of(alice.get("/").text)


def test_a_chatgpt_export_becomes_a_conversation(alice, import_file):
    value = chatgpt(
        ("root", None, None, None, {}),
        ("s", "root", "system", "", {}),
        ("q", "s", "user", "Where to?", {}),
        ("t", "q", "assistant", {"content_type": "thoughts", "thoughts": [{"summary": "x", "content": "Hm."}]}, {}),
        ("c", "t", "assistant", {"content_type": "code", "text": "search('x')"}, {"recipient": "web"}),
        ("r", "c", "tool", "results", {}),
        ("a", "r", "assistant", "To Rome.", {"metadata": {"model_slug": "gpt-4o"}}),
        ("q1", "a", "user", "And then?", {"create_time": 1700000010.25}),
        ("a1", "q1", "assistant", "Home.", {"create_time": None}),
        ("q2", "a", "user", "And before?", {"create_time": 1700000020}),
    )

    imported = exported(alice, place_of(import_file(json.dumps([value]))))

    assert texts(imported) == [
        ("user", "Where to?", ""),
        ("assistant", "To Rome.", "Hm."),
        ("user", "And then?", ""),
        ("assistant", "Home.", ""),
        ("user", "And before?", ""),
    ]
    first, answer, then, home, before = imported["messages"]
    assert [then["parent"], before["parent"], home["parent"]] == [answer["id"], answer["id"], then["id"]]
    assert (imported["title"], imported["created_at"]) == ("Trip", "2023-11-14T22:13:20.500000+00:00")
    assert then["created_at"] == "2023-11-14T22:13:30.250000+00:00"
    assert (answer["model"], answer["status"], first["model"]) == ("gpt-4o", "done", "")
    assert imported["model"] == "gpt-4"
    assert imported["leaf"] == before["id"]


def test_what_is_not_text_is_named(alice, import_file):
    parts = [
        {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"},
        "What is this?",
        {"content_type": "audio_transcription", "text": "I said so"},
        {"content_type": "audio_asset_pointer"},
        {"content_type": "unheard_of"},
        None,
    ]
    value = chatgpt(("q", None, "user", {"content_type": "multimodal_text", "parts": parts}, {}))

    imported = exported(alice, place_of(import_file(json.dumps(value))))

    said = "[image]\n\nWhat is this?\n\nI said so\n\n[audio]\n\n[file]\n\n[file]"
    assert texts(imported) == [("user", said, "")]


def test_chatgpts_zip_is_read_without_what_else_is_in_it(import_file, alice):
    values = [chatgpt(("q", None, "user", f"Question {n}", {}), title=f"Chat {n}") for n in range(2)]
    data = zip_of(user__json='{"id": "x"}', conversations__json=json.dumps(values), chat__html="<html>")

    answer = import_file(data, "export.zip")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Chat 0" in alice.get("/").text


def test_hidden_messages_of_chatgpt_stay_hidden(alice, import_file):
    hidden = {"metadata": {"is_visually_hidden_from_conversation": True}}
    value = chatgpt(("i", None, "user", "Instructions", hidden), ("q", "i", "user", "Question", {}))

    imported = exported(alice, place_of(import_file(json.dumps([value]))))

    assert texts(imported) == [("user", "Question", "")]


def test_chatgpts_retries_stay_siblings(alice, import_file):
    value = chatgpt(
        ("q", None, "user", "Question", {}),
        ("a", "q", "assistant", "First", {}),
        ("b", "q", "assistant", "Second", {}),
        current_node="a",
    )

    imported = exported(alice, place_of(import_file(json.dumps([value]))))

    question, first, second = imported["messages"]
    assert (first["text"], second["text"], imported["leaf"]) == ("First", "Second", first["id"])
    assert first["parent"] == second["parent"] == question["id"]


@pytest.mark.parametrize(
    ("file", "sentence"),
    some(
        [
            ("", "Choose a file first."),
            (b"\xff\xfe\x00", NOTHING),
            ("null", NOTHING),
            ("[]", NOTHING),
            ("[1]", NOTHING),
            ("{}", NOTHING),
            ('{"mapping": []}', NOTHING),
            ('[{"mapping": {}}]', NOTHING),
            ("[" * 100_000, NOTHING),
            ("1" * 10_000, NOTHING),
            (json.dumps([chatgpt(("s", None, "system", "x", {}))]), NOTHING),
            (ours({"id": "a"}, version=2), "This file was made by another version of Lockchat."),
            (ours(), BROKEN),
            (ours({"id": 1}), BROKEN),
            (ours({"id": "a", "parent": "b"}), BROKEN),
            (ours({"id": "a", "parent": ["b"]}), BROKEN),
            (ours({"id": "a", "parent": "a"}), BROKEN),
            (ours({"id": "a"}, {"id": "b", "parent": "c"}, {"id": "c", "parent": "b"}), BROKEN),
            (ours({"id": "a"}, {"id": "a"}), BROKEN),
            (ours({"id": "a", "role": "system"}), BROKEN),
            (ours(messages=7), BROKEN),
            (ours(messages=["x"]), BROKEN),
            (b"PK\x05\x06" + bytes(18), NOTHING),
            (zip_of(a__json="{}"), NOTHING),
            (zip_of(a__txt="{}"), NOTHING),
        ],
        3,
    ),
)
def test_a_file_that_cannot_be_used_is_refused_and_nothing_is_stored(alice, import_file, file, sentence):
    answer = import_file(file) if file else alice.post_form("/import")

    assert answer.status_code == 400
    assert sentence in text_of(answer.text)
    assert "Your conversations will appear here." in text_of(alice.get("/").text)


def test_a_damaged_zip_is_refused(import_file):
    data = bytearray(zip_of(a__json="".join(map(str, range(5000)))))
    data[100:200] = bytes(100)

    answer = import_file(bytes(data))

    assert answer.status_code == 400
    assert "This zip file cannot be read." in text_of(answer.text)


def test_odd_values_become_usable_ones(alice, import_file):
    file = ours(
        {"id": "a", "text": "x\0\ud800y\r\n", "created_at": "never", "status": "streaming"},
        {"id": "b", "parent": "a", "role": "assistant", "text": None, "status": "streaming", "created_at": 1e300},
        {"id": "c", "parent": "b", "created_at": "9999-12-31T23:59:59"},
        {"id": "d", "parent": "c", "role": "assistant", "status": "unheard of", "created_at": "0001-01-01T00:00+14:00"},
        title=["?"],
        model=None,
        temperature=float("nan"),
        leaf="nowhere",
        created_at="2024-02-03T04:05:06",
        updated_at=float("inf"),
    )

    value = exported(alice, place_of(import_file(file)))

    a, b, c, d = value["messages"]
    assert (a["text"], a["status"], b["status"], b["text"], d["status"]) == (
        "x\ufffd\ufffdy\n",
        "done",
        "interrupted",
        "",
        "done",
    )
    assert (value["title"], value["model"], value["temperature"]) == ("x\ufffd\ufffdy", "gpt-4", None)
    assert value["leaf"] == d["id"]
    assert value["updated_at"] == value["created_at"] == a["created_at"] == "2024-02-03T04:05:06+00:00"
    assert c["created_at"] <= datetime.now(UTC).isoformat()


def test_reasoning_is_cleaned_as_text_is(alice, import_file):
    file = ours({"id": "a"}, {"id": "b", "parent": "a", "role": "assistant", "thought": "x\0\ud800y\r\n"})

    value = exported(alice, place_of(import_file(file)))

    assert value["messages"][1]["thought"] == "x\ufffd\ufffdy\n"


def test_siblings_of_one_time_keep_their_order(alice, import_file):
    same = "2024-01-01T00:00:00+00:00"
    file = ours(*({"id": str(n), "text": str(n), "created_at": same} for n in range(30)))

    value = exported(alice, place_of(import_file(file)))

    assert [message["text"] for message in value["messages"]] == [str(n) for n in range(30)]


def test_a_file_beyond_the_limit_is_refused_with_the_limit(import_file):
    answer = import_file(b"[" + b" " * (65 * 2**20))

    assert answer.status_code == 413
    assert "The file is too large: 64 MB are allowed." in text_of(answer.text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: zip_of(a__json=" " * (Config.max_import_bytes + 1)),
        lambda: zip_of(a__json=" " * (Config.max_import_bytes // 2), b__json=" " * (Config.max_import_bytes // 2 + 1)),
        lambda: zip_of(a__json="[" + "[]," * reader.MAX_JSON_VALUES + "[]]"),
        lambda: zip_of(**{f"{n}__json": "" for n in range(zips.MAX_MEMBERS + 1)}),
    ],
    ids=["one member", "all members", "many values", "many members"],
)
def test_a_zip_that_would_grow_too_large_is_refused(import_file, make):
    answer = import_file(make())

    assert answer.status_code == 413
    assert "What this file holds is too large: 64 MB are allowed." in text_of(answer.text)


@pytest.mark.parametrize(
    "values",
    [
        [chatgpt(("q", None, "user", "x", {}))] * (reader.MAX_CONVERSATIONS + 1),
        [chatgpt(*((str(n), n and str(n - 1), "user", "x", {}) for n in range(reader.MAX_MESSAGES + 1)))],
    ],
    ids=["conversations", "messages"],
)
def test_more_than_a_file_may_hold_is_refused(alice, import_file, values):
    answer = import_file(json.dumps(values))

    assert answer.status_code == 413
    assert "One file may hold 2,000 conversations and 20,000 messages" in text_of(answer.text)
    assert "Your conversations will appear here." in text_of(alice.get("/").text)


@pytest.mark.parametrize("field", ["text", "thought"])
def test_a_reply_that_no_upstream_could_have_sent_is_refused(make_site, field):
    visitor = Visitor(make_site(max_answer_bytes=1000).extensions["url"])

    answer = visitor.post("/import", files={"file": ("x.json", ours({"id": "a", field: "x" * 1001}))})

    assert answer.status_code == 413
    assert "A message in this file is too long: 1,000 characters are allowed." in text_of(answer.text)
    visitor.close()


def test_a_system_prompt_that_is_too_long_is_refused(import_file):
    answer = import_file(ours({"id": "a"}, system="x" * 100_001))

    assert answer.status_code == 413


def test_names_of_models_and_reasons_are_cut(alice, import_file):
    long = "x" * 100_000
    file = ours({"id": "a", "role": "assistant", "model": long, "failure": long, "failure_detail": long}, model=long)

    assert len(json.dumps(exported(alice, place_of(import_file(file))))) < 2000


def test_an_import_is_stored_in_short_transactions():
    values = [message(f"{n}", "x" * (60_000 if n < 10 else 10)) for n in range(300)]

    parts = list(reader.batches([record.Record(None, values[:200]), record.Record(None, values[200:])]))

    assert [one for part in parts for one in part.messages] == values
    assert [len(part.messages) for part in parts] == [1] * 9 + [50, 50, 50, 50, 50, 41]
    assert sum(len(part.conversations) for part in parts) == 2


def test_an_import_that_breaks_off_shows_nothing(alice, site, import_file):
    alice.conversation_id = place_of(import_file(ours({"id": "a"})))
    archive = site.extensions["lockchat"].archive
    with site.extensions["lockchat"].storage.read() as tx:
        user_id = tx.exec_driver_sql("SELECT user_id FROM conversations").scalar_one()
    conversation = Conversation("gpt-4", 1.0, "", "c" * 36, "", "Half", None, NOW, NOW)

    def break_off():
        yield reader.Batch([conversation], [message("a", "Hi", conversation.id)])
        raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        archive._add(Holder(user_id), break_off())

    assert "Half" not in alice.get("/").text
    assert alice.get(f"/c/{conversation.id}").status_code == 404
    assert alice.get("/search?q=Hi").text.count("/c/") == alice.get("/search?q=Hi").text.count(alice.conversation_id)


def test_others_write_while_a_large_file_is_imported(alice, bob, site):
    """Counted, not timed: no transaction of an import has more than a batch in it."""
    rows: list[int] = []
    storage = site.extensions["lockchat"].storage
    event.listen(storage._cheap, "begin", lambda connection: rows.append(0))

    def see(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT INTO messages"):
            rows[-1] += len(parameters) if executemany else 1

    event.listen(storage._cheap, "before_cursor_execute", see)
    file = ours(*({"id": str(n), "parent": str(n - 1) if n else None} for n in range(2000)))

    answer = alice.post("/import", files={"file": ("x.json", file)}, allow_redirects=False)

    assert answer.status_code == 303
    assert sum(rows) == 2000
    assert max(rows) <= reader.BATCH_MESSAGES


def test_a_file_is_read_in_another_process(alice, import_file, monkeypatch):
    monkeypatch.setattr("json.loads", None)

    assert import_file(ours({"id": "a"})).status_code == 303


def test_a_file_that_takes_too_long_is_given_up(import_file, monkeypatch):
    monkeypatch.setattr("webapp.files.reader.READ_SECONDS", 0.001)

    answer = import_file(ours({"id": "a"}))

    assert answer.status_code == 413
    assert "This file takes too long to read." in text_of(answer.text)


def test_one_user_makes_and_reads_few_files_at_a_time(alice, site, import_file):
    archive = site.extensions["lockchat"].archive
    alice.conversation_id = place_of(import_file(ours({"id": "a"})))
    with site.extensions["lockchat"].storage.read() as tx:
        user_id = tx.exec_driver_sql("SELECT user_id FROM conversations").scalar_one()
    for _ in range(2):
        archive.gate.enter(Holder(user_id, "elsewhere"))

    answers = [alice.get("/export"), alice.get(f"/c/{alice.conversation_id}/export"), import_file(ours({"id": "a"}))]

    assert [answer.status_code for answer in answers] == [503] * 3
    assert "Another export or import of yours is running." in text_of(answers[0].text)
    for _ in range(2):
        archive.gate.leave(Holder(user_id, "elsewhere"))
    assert alice.get("/export").status_code == 200


def test_an_export_reads_a_few_messages_at_a_time(alice, site, import_file):
    file = ours(*({"id": str(n), "parent": str(n - 1) if n else None, "text": str(n)} for n in range(100)))
    alice.conversation_id = place_of(import_file(file))
    read: list[int] = []
    storage = site.extensions["lockchat"].storage
    event.listen(storage._cheap, "before_cursor_execute", lambda *seen: read.append(len(seen[3])))

    value = exported(alice)

    assert [one["text"] for one in value["messages"]] == [str(n) for n in range(100)]
    assert max(read) <= READ_MESSAGES + 4


def test_a_large_part_of_an_export_is_written_in_pieces():
    sizes: list[int] = []

    class Sink(io.BytesIO):
        def write(self, data):
            sizes.append(len(data))
            return super().write(data)

    sink = Sink()
    record.save(["я" * 500_000, "x"], sink)

    assert sink.getvalue().decode() == "я" * 500_000 + "x"
    assert max(sizes) <= record.PART_BYTES


def test_another_site_may_not_import(alice):
    files = {"file": ("x.json", ours({"id": "a"}))}

    answer = alice.post("/import", files=files, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403


def test_a_page_shows_what_an_import_has_stored_so_far(site, alice, upstream):
    upstream.answer(*tokens("Hello"))
    reply = alice.new_chat("Hi")
    settle(alice)
    storage = site.extensions["lockchat"].storage
    assert "1/2" not in alice.page() + alice.page()  # kept now

    with storage.begin() as tx:
        [user_id] = tx.execute(select(schema.conversations.c.user_id)).scalars()
        there = conversations.get(tx, user_id, alice.conversation_id)
        shown = messages.get(tx, user_id, reply)
        arrivals = Arrivals(user_id, NOW, None)
        arrivals.take(tx, there)
        arrivals.store(tx, [replace(shown, id=new_id(), text="Another", html=None)])

    assert "1/2" in alice.page()


def test_the_process_that_reads_a_file_loads_no_database():
    program = "import sys; from webapp.files.reader import main; print(*sys.modules)"
    assert program.split("; ")[1] in reader.PROGRAM

    run = subprocess.run([sys.executable, "-c", program], cwd=reader.ROOT, check=True, capture_output=True, text=True)

    assert "webapp.files.chatgpt" in run.stdout.split()
    assert "sqlalchemy" not in run.stdout.split()
