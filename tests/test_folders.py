"""Folders: one level, each with an optional preset; a folder that goes leaves its conversations."""

from __future__ import annotations

import re

import html5lib
import pytest

from tests.test_list import links
from tests.visitor import text_of
from webapp.storage.folders import FOLDERS

PLACE = re.compile(r"/conversations\?folder=([0-9a-f-]{36})")


@pytest.fixture
def work(alice) -> str:
    """Alice's folder "Work", with her conversation "Mine" in it; the folder's id."""
    alice.end(alice.new_chat("Mine"))
    return moved(alice, name="Work")


def moved(alice, **fields: str) -> str:
    """Move Alice's last conversation; the id of the folder that the list shows last."""
    assert alice.post_form(f"/c/{alice.conversation_id}/move", **fields).status_code == 303
    return (PLACE.findall(alice.get("/").text) or [""])[-1]


def names(page: str) -> list[str]:
    """The names of the folders in the list beside a page."""
    nav = html5lib.parse(page, namespaceHTMLElements=False).find(".//nav")
    return [link.text for link in nav.iter("a") if link.get("data-folder")]


def test_a_folder_shows_its_conversations_and_the_list_shows_all(alice, work):
    alice.end(alice.new_chat("Other"))

    page = alice.get(f"/conversations?folder={work}").text

    assert "<title>Work · Lockchat</title>" in page
    assert links(page) == ["Mine"]
    assert links(page, ".//nav") == ["Other", "Mine"]
    assert names(page) == ["Work"]


def test_a_conversation_is_moved_to_another_folder_and_out(alice, work):
    home = alice.post_form("/folders", name=" Home \n life ").headers["Location"]

    moved(alice, folder=PLACE.search(home)[1])

    assert links(alice.get(home).text) == ["Mine"]
    assert links(alice.get(f"/conversations?folder={work}").text) == []
    assert names(alice.page()) == ["Home life", "Work"]
    moved(alice, folder="")
    assert links(alice.get(home).text) == []
    assert links(alice.get("/conversations").text) == ["Mine"]


def test_the_script_is_told_where_a_conversation_went(alice, work):
    fragment = {"X-Fragment": "1"}

    there = alice.post(f"/c/{alice.conversation_id}/move", data={"folder": work}, headers=fragment)
    out = alice.post(f"/c/{alice.conversation_id}/move", data={"folder": ""}, headers=fragment)

    assert (there.text, out.text) == ("Moved to Work.", "Moved out of its folder.")
    assert there.headers["Content-Type"].startswith("text/plain")


def test_deleting_a_folder_keeps_its_conversations(alice, work):
    answer = alice.post_form(f"/folders/{work}/delete")

    page = alice.get(answer.headers["Location"]).text
    assert links(page) == ["Mine"]
    assert names(page) == []
    assert alice.get(f"/conversations?folder={work}").status_code == 404
    assert alice.page()


def test_a_new_chat_in_a_folder_begins_with_its_preset_and_stays_there(alice, work):
    alice.post_form("/presets", name="Brief", model="gpt-3.5-turbo", temperature="0.3", system="Be brief")
    preset = re.search(r'id="preset-([0-9a-f-]{36})"', alice.get("/settings").text)[1]
    alice.post_form(f"/folders/{work}", name="Work", preset=preset)

    page = alice.get(f"/?folder={work}").text
    assert "<title>New chat in Work · Lockchat</title>" in page
    assert "Be brief" in page
    assert '<option value="gpt-3.5-turbo" selected>' in page
    action = re.search(r'id="composer" method="post" action="([^"]*)"', page)[1]
    alice.end(alice.reply_of(alice.post_form(action, text="In the folder")))

    assert links(alice.get(f"/conversations?folder={work}").text) == ["In the folder", "Mine"]


def test_a_folder_outlives_its_preset(alice, work):
    alice.post_form("/presets", name="Brief", model="gpt-4", temperature="", system="Be brief")
    preset = re.search(r'id="preset-([0-9a-f-]{36})"', alice.get("/settings").text)[1]
    alice.post_form(f"/folders/{work}", name="Work", preset=preset)

    alice.post_form(f"/presets/{preset}/delete")

    assert "Be brief" not in alice.get(f"/?folder={work}").text


def test_a_chat_begun_in_a_folder_that_is_gone_is_stored_all_the_same(alice, work):
    alice.post_form(f"/folders/{work}/delete")

    alice.end(alice.reply_of(alice.post_form(f"/conversations?folder={work}", text="Late")))

    assert links(alice.get("/conversations").text) == ["Late", "Mine"]


def test_a_refused_first_message_keeps_its_folder(alice, work):
    answer = alice.post_form(f"/conversations?folder={work}", text=" ")

    assert f'id="composer" method="post" action="/conversations?folder={work}"' in answer.text


@pytest.mark.parametrize(("name", "sentence"), [(" ", "Give the folder a name."), ("x" * 61, "The name is too long")])
def test_a_name_that_cannot_be_used_is_refused(alice, work, name, sentence):
    for path in ("/folders", f"/folders/{work}"):
        answer = alice.post_form(path, name=name)

        assert answer.status_code == 400
        assert sentence in text_of(answer.text)


def test_two_folders_have_two_names(alice, work):
    home = PLACE.search(alice.post_form("/folders", name="Home").headers["Location"])[1]

    answer = alice.post_form(f"/folders/{home}", name="Work")

    assert "You have a folder with this name." in text_of(answer.text)
    assert PLACE.search(alice.post_form("/folders", name="Work").headers["Location"])[1] == work
    assert names(alice.get("/").text) == ["Home", "Work"]


def test_a_user_has_at_most_so_many_folders(alice):
    alice.get("/")
    for number in range(FOLDERS):
        assert alice.post_form("/folders", name=f"Folder {number}").status_code == 303

    answer = alice.post_form("/folders", name="One more")

    assert answer.status_code == 400
    assert "100 folders, which is the limit" in text_of(answer.text)


def test_bob_neither_sees_nor_uses_alices_folders(alice, bob, work):
    bob.end(bob.new_chat("Bob's"))

    answers = [
        bob.get(f"/conversations?folder={work}"),
        bob.get(f"/?folder={work}"),
        bob.post_form(f"/folders/{work}", name="Bob's"),
        bob.post_form(f"/c/{bob.conversation_id}/move", folder=work),
        bob.post_form(f"/c/{alice.conversation_id}/move", name="Bob's"),
        bob.get("/conversations?folder=%00"),
    ]
    bob.post_form(f"/folders/{work}/delete")

    assert [answer.status_code for answer in answers] == [404] * 6
    assert bob.get(f"/c/{bob.conversation_id}?folder={work}").status_code == 200
    assert names(bob.get("/").text) == []
    assert names(alice.get("/").text) == ["Work"]


def test_an_export_brings_the_folder_along(alice, bob, work):
    file = alice.get(f"/c/{alice.conversation_id}/export?format=json").content

    for _again in range(2):
        bob.post("/import", files={"file": ("x.json", file)})

    assert names(bob.get("/").text) == ["Work"]
    folder = PLACE.search(bob.get("/").text)[1]
    assert links(bob.get(f"/conversations?folder={folder}").text) == ["Mine"]


def test_the_menu_offers_the_folders(alice, work):
    menu = alice.get(f"/c/{alice.conversation_id}/menu", headers={"X-Fragment": "1"}).text

    assert f'<option value="{work}" selected>Work</option>' in menu
