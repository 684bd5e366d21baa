"""Conversations of other products in: ChatGPT's marks and tools, Claude's, Open WebUI's, LibreChat's; nothing twice."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest

from tests.samples import some
from tests.test_transfer import NOTHING, chatgpt, exported, import_file, ours, place_of, texts, zip_of
from tests.visitor import Visitor, text_of
from webapp.files.citations import resolved

__all__ = ["import_file"]  # a fixture

CITE = "\ue200cite\ue202turn0search3\ue201"
IRON = "https://example.com/iron"
HIDDEN = {"metadata": {"is_visually_hidden_from_conversation": True}}
CREATE = {"recipient": "canmore.create_textdoc"}


def reply(content: object, **rest: object) -> dict:
    """A conversation of ChatGPT's export with one question and this reply."""
    return chatgpt(("q", None, "user", "Question", {}), ("a", "q", "assistant", content, rest), conversation_id="c")


def turns(*nodes: tuple) -> dict:
    """A conversation of ChatGPT's export: the question, then these nodes (role, content, rest), one under the other."""
    chain = [(f"n{n}", f"n{n - 1}" if n else "q", *node) for n, node in enumerate(nodes)]
    return chatgpt(("q", None, "user", "Question", {}), *chain, conversation_id="c")


def code(said: str, language: str = "unknown") -> dict:
    return {"content_type": "code", "language": language, "text": said}


@pytest.fixture
def read(alice, import_file):
    """Import a value as Alice; role, text and thought of its messages."""

    def read(value: object) -> list[tuple[str, str, str]]:
        alice.conversation_id = place_of(import_file(json.dumps(value)))
        return texts(exported(alice))

    return read


@pytest.mark.parametrize(
    ("said", "metadata", "shown"),
    some(
        [
            (
                f'Old. {CITE} See \ue200entity\ue202["people","Ada Example",0]\ue201.',
                {"content_references": [{"matched_text": CITE, "alt": f"([Iron]({IRON}))"}]},
                f"Old. ([Iron]({IRON})) See Ada Example.",
            ),
            (f"Old. {CITE} More.", {}, "Old. More."),
            (f"Old.{CITE}", {}, "Old."),
            ("Cut off \ue200cite\ue202turn0sea", {}, "Cut off"),
            ("Cut off \ue200cite\ue202turn0sea and on " + CITE, {}, "Cut off and on"),
            (
                f"Old. {CITE}",
                {
                    "content_references": [
                        {"matched_text": CITE, "alt": None, "items": [{"url": IRON, "title": "Iron [1]"}]}
                    ]
                },
                f"Old. ([Iron (1)]({IRON}))",
            ),
            (
                f"Old. {CITE}",
                {"content_references": [{"matched_text": CITE, "items": [{"url": "javascript:x", "title": "X"}]}]},
                "Old.",
            ),
            (
                "All spaces stay",
                {"content_references": [{"matched_text": " ", "alt": "", "type": "sources_footnote"}]},
                "All spaces stay",
            ),
            (f"See \ue200url\ue202Iron\ue202{IRON}\ue201.", {}, f"See [Iron]({IRON})."),
            ("See \ue200url\ue202Iron\ue202turn0search1\ue201.", {}, "See Iron."),
            ('A \ue200image_group\ue202{"query":["iron ore"]}\ue201 B', {}, "A B"),
            (
                "A \ue200filecite\ue202turn0file0\ue202L1-L9\ue201, \ue200navlist\ue202News\ue202turn0news1\ue201",
                {},
                "A,",
            ),
            ('A \ue200entity\ue202["broken\ue201', {}, "A"),
            (
                "Iron【11†source】 is old.",
                {
                    "citations": [
                        {"start_ix": 4, "end_ix": 15, "metadata": {"type": "webpage", "title": "Iron", "url": IRON}}
                    ]
                },
                f"Iron ([Iron]({IRON})) is old.",
            ),
            (
                "Iron【11†L1-L4】",
                {"citations": [{"metadata": {"title": "Iron", "url": IRON, "extra": {"cited_message_idx": 11}}}]},
                f"Iron ([Iron]({IRON}))",
            ),
            ("Iron【4:0†book.pdf】.", {"citations": [{"metadata": {"type": "file", "name": "book.pdf"}}]}, "Iron."),
            ("Iron【old】", {}, "Iron【old】"),
            ("Iron", {"content_references": [7], "citations": "x"}, "Iron"),
        ],
        3,
    ),
)
def test_citations_become_their_links_or_vanish(said, metadata, shown):
    assert resolved(said, metadata) == shown


def test_marks_of_a_reply_are_replaced_and_those_of_a_question_stay(read):
    value = chatgpt(("q", None, "user", "【1†x】", {}), ("a", "q", "assistant", f"Old. {CITE}", {}))

    assert [text for _role, text, _thought in read(value)] == ["【1†x】", "Old."]


def test_a_canvas_document_stands_in_the_answer(read):
    poem = json.dumps({"name": "Poem", "type": "document", "content": "Roses are red\nThe whole"})
    change = json.dumps({"updates": [{"pattern": ".*", "replacement": "Violets"}]})
    note = json.dumps({"comments": [{"pattern": "x", "comment": "Too long"}]})

    read_texts = read(
        turns(
            ("assistant", code(poem, "json"), CREATE),
            ("tool", "Successfully created", {}),
            ("assistant", "I wrote it.", {}),
            ("assistant", code(change, "json"), {"recipient": "canmore.update_textdoc"}),
            ("assistant", code(note, "json"), {"recipient": "canmore.comment_textdoc"}),
        )
    )

    said = "**Poem**\n\nRoses are red\nThe whole\n\nI wrote it.\n\nViolets\n\nToo long"
    assert read_texts == [("user", "Question", ""), ("assistant", said, "")]


def test_a_canvas_program_is_code_also_when_it_is_cut_off(read):
    program = json.dumps({"name": "App", "type": "code/python", "content": "x = '```'\n"})

    said = read(turns(("assistant", program, CREATE), ("assistant", code('{"name": "Po'), CREATE)))[1][1]

    assert said == '**App**\n\n````python\nx = \'```\'\n````\n\n```\n{"name": "Po\n```'


def test_code_that_was_run_stays_with_its_output_and_its_pictures(read):
    output = {"content_type": "execution_output", "text": "4\n"}
    picture = {"content_type": "multimodal_text", "parts": ["made", {"content_type": "image_asset_pointer"}]}
    shell = json.dumps({"cmd": ["bash", "-lc", "ls"]})

    said = read(
        turns(
            ("assistant", code("print(2 + 2)", "python"), {"recipient": "python"}),
            ("tool", output, {}),
            ("assistant", code(shell), {"recipient": "container.exec"}),
            ("assistant", code('{"prompt": "x"}'), {"recipient": "dalle.text2im"}),
            ("tool", picture, {}),
            ("assistant", "Four.", {}),
        )
    )[1][1]

    assert said == "```python\nprint(2 + 2)\n```\n\n```\n4\n```\n\n```bash\nls\n```\n\n[image]\n\nFour."


def test_names_of_attachments_stay(read):
    parts = [{"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_1"}, "What is this?"]
    attachments = [
        {"id": "file_1", "name": "cat.png", "mime_type": "image/png"},
        {"id": "file_2", "name": "data.csv", "mimeType": "text/csv"},
        {"id": "file_3"},
        7,
    ]
    content = {"content_type": "multimodal_text", "parts": parts}
    value = chatgpt(("q", None, "user", content, {"metadata": {"attachments": attachments}}))

    assert read(value) == [("user", "[image: cat.png]\n\nWhat is this?\n\n[file: data.csv]\n\n[file]", "")]


def test_what_nobody_was_shown_is_left_out_and_thoughts_are_thoughts(read):
    context = {"content_type": "user_editable_context", "user_profile": "I am", "user_instructions": "Be"}
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "Look", "content": ""}, {"content": "Hm."}, 7]}

    found = read(
        turns(
            ("user", context, {}),
            ("assistant", {"content_type": "model_editable_context", "model_set_context": "x"}, {}),
            ("assistant", thoughts, {}),
            ("assistant", {"content_type": "reasoning_recap", "content": "Thought for 5s"}, {}),
            ("tool", {"content_type": "tether_quote", "text": "a page"}, {}),
            ("assistant", "Secret", HIDDEN),
            ("assistant", "Shown", {}),
        )
    )

    assert found == [("user", "Question", ""), ("assistant", "Shown", "Look\n\nHm.")]


@pytest.mark.parametrize(
    "odd",
    some(
        [
            {"title": "odd", "mapping": None},
            {
                "title": "odd",
                "mapping": {"a": {"message": {"author": {"role": "user"}, "content": {"parts": 7}}}, "b": 7},
            }
            | {"create_time": {}, "update_time": [], "chat_messages": 7, "mapping": 7},
            {"name": "odd", "chat_messages": None},
            {"title": "odd", "chat": {"history": None}},
            {"title": "odd", "conversationId": "x", "messages": None},
            json.loads(ours({"id": "a", "parent": "b"}, title="odd")),
            {"title": "odd"},
        ],
        2,
    ),
)
def test_an_odd_conversation_is_named_and_the_others_are_imported(alice, import_file, odd):
    answer = import_file(json.dumps([reply("Hello", metadata={}), odd, 7]))

    page = text_of(alice.get(answer.headers["Location"]).text)
    assert answer.status_code == 303
    assert "2 conversations could not be read and were left out: “odd”, “#3”." in page
    assert "1 conversation was imported." in page


def test_a_broken_file_in_a_zip_is_named(alice, import_file):
    answer = import_file(zip_of(a__json=ours({"id": "a"}), b__json="nonsense"), "all.zip")

    page = text_of(alice.get(answer.headers["Location"]).text)
    assert "1 conversation could not be read and was left out: “b.json”." in page


def test_many_long_names_fit_the_cookie(alice, import_file):
    odd = [{"title": "Я" * 500 + str(n), "mapping": None} for n in range(500)]

    answer = import_file(json.dumps([reply("Hello"), *odd]))

    page = text_of(alice.get(answer.headers["Location"]).text)
    assert "500 conversations could not be read" in page
    assert page.count("ЯЯЯ…") == 5


def test_a_conversation_with_too_long_a_message_is_left_out(make_site):
    with Visitor(make_site(max_answer_bytes=1000).extensions["url"]) as visitor:
        file = json.dumps([reply("x" * 1001) | {"title": "Long"}, reply("Short") | {"conversation_id": "d"}])

        page = text_of(visitor.post("/import", files={"file": ("x.json", file)}).text)

    assert "left out: “Long”." in page


def test_a_split_export_is_read_whole(alice, import_file):
    parts = {
        f"conversations-{n:03}__json": json.dumps([reply("Hi") | {"title": f"Part {n}", "conversation_id": str(n)}])
        for n in range(2)
    }

    import_file(zip_of(user__json="{}", **parts), "export.zip")

    page = alice.get("/").text
    assert ">Part 0<" in page
    assert ">Part 1<" in page


def claude(*messages: dict, **values: object) -> list[dict]:
    return [{"uuid": "c", "name": "Talk", "created_at": "2025-01-02T03:04:05Z", "chat_messages": messages} | values]


def test_claudes_export_is_read(alice, read):
    parts = [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "Here:"},
        {"type": "tool_use", "name": "artifacts", "input": {"title": "Page", "type": "text/html", "content": "<p>"}},
        {"type": "tool_result", "name": "artifacts", "content": [{"type": "text", "text": "OK"}]},
        {"type": "tool_use", "name": "repl", "input": {"code": "1+1"}},
        {"type": "tool_result", "name": "repl", "content": [{"type": "text", "text": "2"}]},
        {"type": "tool_use", "name": "web_search", "input": {"query": "x"}},
        {"type": "tool_result", "name": "web_search", "content": [{"type": "knowledge", "text": "a page"}]},
    ]
    attachments = [
        {"file_name": "notes.txt", "extracted_content": "A note"},
        {"file_name": "", "extracted_content": "Pasted"},
    ]
    question = {"uuid": "1", "sender": "human", "text": "Hi", "content": [], "created_at": "2025-01-02T03:04:06Z"}
    value = claude(
        question | {"attachments": attachments, "files": [{"file_name": "cat.png"}]},
        {"uuid": "2", "sender": "assistant", "text": "This block is not supported", "content": parts},
    )

    found = read(value)

    said = "Here:\n\n**Page**\n\n```html\n<p>\n```\n\n```javascript\n1+1\n```\n\n```\n2\n```"
    asked = "Hi\n\n[file: notes.txt]\n\n```\nA note\n```\n\n```\nPasted\n```\n\n[file: cat.png]"
    assert found == [("user", asked, ""), ("assistant", said, "Hm.")]
    value = exported(alice)
    assert (value["title"], value["created_at"]) == ("Talk", "2025-01-02T03:04:05+00:00")
    assert value["messages"][0]["created_at"] == "2025-01-02T03:04:06+00:00"


def test_artifacts_in_the_text_of_claudes_oldest_exports_become_code(read):
    tag = '<antArtifact identifier="x" type="application/vnd.ant.code" language="python" title="App">'
    said = f"<antThinking>Hm.</antThinking>Here:\n\n{tag}\nx = '```'\n</antArtifact>\nDone."

    found = read(claude({"uuid": "1", "sender": "assistant", "text": said}))

    assert found == [("assistant", "Here:\n\n**App**\n\n````python\nx = '```'\n\n````\nDone.", "Hm.")]


def test_claudes_results_without_a_name_belong_to_the_tool_before_them(read):
    parts = [
        {"type": "tool_use", "name": "artifacts", "input": {"command": "update", "new_str": "y = 2"}},
        {"type": "tool_result", "content": "OK"},
        {"type": "tool_use", "name": "bash_tool", "input": {"command": "ls"}},
        {"type": "tool_result", "content": "a.txt"},
    ]

    found = read(claude({"uuid": "1", "sender": "assistant", "text": "", "content": parts}))

    assert found[0][1] == "```\ny = 2\n```\n\n```bash\nls\n```\n\n```\na.txt\n```"


def test_claudes_branches_stay_branches(alice, read):
    root = "00000000-0000-4000-8000-000000000000"
    read(
        claude(
            {"uuid": "1", "sender": "human", "text": "Q", "parent_message_uuid": root},
            {"uuid": "2", "sender": "assistant", "text": "A", "parent_message_uuid": "1"},
            {"uuid": "3", "sender": "assistant", "text": "B", "parent_message_uuid": "1"},
            current_leaf_message_uuid="2",
        )
    )

    value = exported(alice)

    question, first, second = value["messages"]
    assert first["parent"] == second["parent"] == question["id"]
    assert value["leaf"] == first["id"]


def test_claudes_zip_is_read_without_what_else_is_in_it(alice, import_file):
    value = claude({"uuid": "1", "sender": "human", "text": "Hi"})

    place = place_of(import_file(zip_of(users__json="[{}]", conversations__json=json.dumps(value)), "data.zip"))

    assert texts(exported(alice, place)) == [("user", "Hi", "")]


def openwebui(*messages: dict, **values: object) -> list[dict]:
    history = {"messages": {one["id"]: one for one in messages}, "currentId": messages[-1]["id"]}
    chat = {"title": "Chat", "models": ["llama3"], "history": history, "timestamp": 1700000000123} | values
    return [{"id": "x", "title": "Chat", "chat": chat, "created_at": 1700000000, "updated_at": 1700000001}]


def test_open_webuis_export_is_read(alice, read):
    content = (
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought for 3 seconds</summary>\n'
        "&gt; Is 1 &lt; 2?\n&gt; Yes\n</details>\nYes <details>mine</details>\n"
        '<details type="tool_calls" arguments="&quot;{}&quot;">\n<summary>Tool Executed</summary>\n</details>'
        '<details type="code_interpreter" done="true">\n<summary>Analyzed</summary>\n```python\n1\n```\n</details>'
    )
    value = openwebui(
        {"id": "1", "parentId": None, "role": "user", "content": "Hi", "files": [{"type": "file", "name": "a.pdf"}]},
        {
            "id": "2",
            "parentId": "1",
            "role": "assistant",
            "content": content,
            "model": "llama3",
            "timestamp": 1700000009,
        },
        {"id": "3", "parentId": "1", "role": "assistant", "content": "Other"},
        {
            "id": "4",
            "parentId": "3",
            "role": "user",
            "content": [{"type": "text", "text": "Then?"}, {"type": "image_url"}],
        },
        params={"system": "Be brief.", "temperature": 0.5},
    )

    found = read(value)

    assert found == [
        ("user", "Hi\n\n[file: a.pdf]", ""),
        ("assistant", "Yes <details>mine</details>\n```python\n1\n```", "Is 1 < 2?\nYes"),
        ("assistant", "Other", ""),
        ("user", "Then?\n\n[image]", ""),
    ]
    value = exported(alice)
    assert (value["title"], value["system"], value["temperature"]) == ("Chat", "Be brief.", 0.5)
    assert value["created_at"] == "2023-11-14T22:13:20+00:00"
    assert value["leaf"] == value["messages"][3]["id"]
    assert value["messages"][1]["model"] == "llama3"


def test_open_webuis_older_and_newer_shapes_are_read(read):
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "content": [{"type": "output_text", "text": "Yo"}]},
    ]
    newer = {"id": "2", "parentId": "1", "role": "assistant", "content": "", "output": output}

    assert read([{"id": "a", "chat": {"messages": messages}}]) == [("user", "Hi", ""), ("assistant", "Yo", "")]
    assert read([{"id": "b", "title": "T", "history": {"messages": {}}, "messages": messages}])[1][1] == "Yo"
    assert read(openwebui({"id": "1", "role": "user", "content": "Hi"}, newer))[1] == ("assistant", "Yo", "Hm.")


def test_reasoning_that_was_cut_off_is_reasoning(read):
    content = 'Well <details type="reasoning" done="false">\n<summary>Thinking…</summary>\n> So'

    value = openwebui(
        {"id": "1", "role": "user", "content": "Hi"}, {"id": "2", "role": "assistant", "content": content}
    )

    assert read(value)[1] == ("assistant", "Well", "So")


def librechat(**values: object) -> dict:
    return {
        "conversationId": "l",
        "title": "Libre",
        "options": {"model": "gpt-4", "promptPrefix": "Be brief."},
    } | values


ROOT = "00000000-0000-0000-0000-000000000000"
ASKED = {"messageId": "1", "parentMessageId": ROOT, "sender": "User", "isCreatedByUser": True, "text": "Hi"}
ANSWERED = {"messageId": "2", "parentMessageId": "1", "sender": "GPT-4", "isCreatedByUser": False, "text": "Yo"}


@pytest.mark.parametrize(
    "value",
    some(
        [
            librechat(messages=[ASKED, ANSWERED]),
            librechat(
                messages=[{"messageId": "1", "sender": "User", "text": "Hi"}, {**ANSWERED, "isCreatedByUser": None}]
            ),
            librechat(recursive=True, messages=[ASKED | {"children": [ANSWERED]}]),
            librechat(recursive=True, messagesTree=[ASKED | {"children": [ANSWERED | {"children": []}]}]),
            librechat(recursive=True, messages={"messageId": "l", "children": [ASKED | {"children": [ANSWERED]}]}),
            [librechat(messages=[ASKED, ANSWERED])],
        ],
        2,
    ),
)
def test_librechats_export_is_read(alice, read, value):
    assert read(value) == [("user", "Hi", ""), ("assistant", "Yo", "")]
    value = exported(alice)
    assert (value["title"], value["model"], value["system"]) == ("Libre", "gpt-4", "Be brief.")
    assert value["messages"][1]["parent"] == value["messages"][0]["id"]


def test_librechats_parts_become_text_and_thought(read):
    parts = [
        {"type": "think", "think": "Hm."},
        {"type": "text", "text": {"value": "Yo"}},
        {"type": "tool_call", "tool_call": {"name": "search", "args": "{}", "output": "a page"}},
        {"type": "text", "text": "Bye"},
        None,
    ]
    old = ANSWERED | {"messageId": "3", "text": ":::thinking\nWell\n:::\nYes"}
    asked = ASKED | {"files": [{"filename": "cat.png", "type": "image/png"}]}

    found = read(librechat(messages=[asked, ANSWERED | {"text": "", "content": parts}, old]))

    assert found == [
        ("user", "Hi\n\n[image: cat.png]", ""),
        ("assistant", "Yo\n\nBye", "Hm."),
        ("assistant", "Yes", "Well"),
    ]


def test_a_deep_tree_of_librechat_is_read(alice, import_file):
    """It is deeper than Python's usual 1000 levels, and not than the 1495 of 3.12.1, which no setting raises."""
    nested = "".join(f'{{"messageId": "{n}", "sender": "User", "text": "{n}", "children": [' for n in range(740))
    file = f'{{"conversationId": "l", "messagesTree": [{nested}{"]}" * 740}]}}'

    assert len(texts(exported(alice, place_of(import_file(file))))) == 740


ALL = [
    json.dumps([reply("Hello")]),
    json.dumps(claude({"uuid": "1", "sender": "human", "text": "Hi"})),
    json.dumps(openwebui({"id": "1", "role": "user", "content": "Hi"})),
    json.dumps(librechat(messages=[ASKED, ANSWERED])),
    json.dumps(chatgpt(("q", None, "user", "Without an id", {}))),
    ours({"id": "a"}),
    ours({"id": "a"}, id="elsewhere"),
]


@pytest.mark.parametrize("file", some(ALL, 4))
def test_the_same_file_twice_makes_nothing_twice(alice, import_file, file):
    first = place_of(import_file(file))
    before = exported(alice, first)

    second = place_of(import_file(file))

    assert second == first
    assert "1 conversation was already here." in text_of(alice.page(second))
    assert exported(alice, first) == before
    assert len(zipfile.ZipFile(io.BytesIO(alice.get("/export").content)).namelist()) == 2


def test_two_users_import_the_same_file(alice, bob, import_file):
    first = place_of(import_file(ALL[0]))

    second = place_of(bob.post("/import", files={"file": ("x.json", ALL[0])}, allow_redirects=False))

    assert second != first
    assert bob.get(f"/c/{first}").status_code == 404


def test_an_own_export_of_what_is_here_makes_nothing(alice, import_file):
    for text in ("One", "Two"):
        alice.end(alice.new_chat(text))

    answer = import_file(alice.get("/export").content, "all.zip")

    assert "2 conversations were already here." in text_of(alice.get(answer.headers["Location"]).text)
    assert alice.get("/").text.count(">One<") == 1


def test_several_say_how_many_are_new_and_how_many_were_here(alice, import_file):
    other = reply("Hi") | {"conversation_id": "d"}
    import_file(json.dumps([reply("Hello")]))

    answer = import_file(json.dumps([reply("Hello"), other]))

    page = text_of(alice.get(answer.headers["Location"]).text)
    assert "1 conversation was imported." in page
    assert "1 conversation was already here." in page


GROWN = turns(("assistant", "Hello", {}), ("user", "More?", {}), ("assistant", "More.", {}))


def test_a_newer_export_adds_its_new_messages(alice, read):
    read(turns(("assistant", "Hello", {})))
    before = exported(alice)

    found = read(GROWN)

    assert [text for _role, text, _thought in found] == ["Question", "Hello", "More?", "More."]
    after = exported(alice)
    assert after["messages"][:2] == before["messages"]
    assert after["leaf"] == after["messages"][3]["id"]
    assert "1 of them has new messages now." in text_of(alice.page())


@pytest.mark.parametrize(
    ("number", "sentences"),
    [
        (
            1,
            [
                "1 conversation was imported.",
                "1 conversation was already here.",
                "1 of them has new messages now.",
                "1 conversation could not be read and was left out: “odd 0”.",
            ],
        ),
        (
            5,
            [
                "5 conversations were imported.",
                "5 conversations were already here.",
                "5 of them have new messages now.",
                "5 conversations could not be read and were left out: “odd 0”, “odd 1”, “odd 2”, “odd 3”, “odd 4”.",
            ],
        ),
        (
            6,
            [
                "6 conversations were imported.",
                "6 conversations were already here.",
                "6 of them have new messages now.",
                "6 conversations could not be read and were left out: “odd 0”, “odd 1”, “odd 2”, “odd 3”, “odd 4”, ….",
            ],
        ),
    ],
)
def test_a_sentence_each_says_what_became_of_the_conversations(alice, import_file, number, sentences):
    here = [turns(("assistant", "Hello", {})) | {"conversation_id": f"here {place}"} for place in range(number)]
    import_file(json.dumps(here))
    alice.get("/")
    grown = [GROWN | {"conversation_id": one["conversation_id"]} for one in here]
    new = [reply("Hi") | {"conversation_id": f"new {place}"} for place in range(number)]
    odd = [{"title": f"odd {place}", "mapping": None} for place in range(number)]

    answer = import_file(json.dumps([*grown, *new, *odd]))

    page = alice.get(answer.headers["Location"]).text
    assert re.findall('<p class="undo" role="status">(.*?)</p>', page) == sentences


def test_a_newer_export_leaves_the_branch_where_the_user_went_on(alice, read):
    read(turns(("assistant", "Hello", {})))
    alice.end(alice.say("Mine"))
    leaf = exported(alice)["leaf"]

    found = read(GROWN)

    assert [text for role, text, _thought in found if role == "user"] == ["Question", "Mine", "More?"]
    assert exported(alice)["leaf"] == leaf


def test_an_older_export_changes_nothing(alice, read):
    read(GROWN)
    before = exported(alice)

    read(turns(("assistant", "Hello", {})))

    assert exported(alice) == before


def test_an_imported_conversation_that_was_deleted_comes_back(alice, import_file):
    place = place_of(import_file(ALL[0]))
    alice.post_form(f"/c/{place}/delete")

    assert place_of(import_file(json.dumps([GROWN]))) == place
    assert [text for _role, text, _thought in texts(exported(alice, place))][-1] == "More."


def test_the_limit_of_a_file_is_a_setting(make_site):
    with Visitor(make_site(max_import_bytes=2**20).extensions["url"]) as visitor:
        exact = ours({"id": "a"}).ljust(2**20)
        answers = [visitor.post("/import", files={"file": ("x.json", exact + more)}) for more in ("", " " * 100_000)]
        page = text_of(visitor.get("/settings").text)

    assert [answer.status_code for answer in answers] == [200, 413]
    assert "The file is too large: 1 MB are allowed." in text_of(answers[1].text)
    assert "Up to 1 MB." in page


def test_the_page_says_which_products_are_read(alice, import_file):
    assert "Conversations of Lockchat, ChatGPT, Claude, Open WebUI or LibreChat" in text_of(alice.get("/settings").text)
    assert NOTHING in text_of(import_file("{}").text)
