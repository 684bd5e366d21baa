"""The message box: which key sends, what is kept when sending fails, and that one message is one message."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import tokens

pytestmark = pytest.mark.browser

OFFLINE = "The message was not sent: the server does not answer. Your text is still here; send it again."


def test_shift_and_enter_begin_a_line(chat, upstream):
    chat.box.press_sequentially("one")
    chat.box.press("Shift+Enter")
    chat.box.press_sequentially("two")
    expect(chat.box).to_have_value("one\ntwo")
    chat.box.press("Enter")

    expect(chat.answer).to_have_text("Hello world")
    assert upstream.requests[0].json["messages"][0]["content"] == "one\ntwo"


def test_enter_in_an_input_method_chooses_a_word_and_sends_nothing(chat):
    input_method = chat.page.context.new_cdp_session(chat.page)
    chat.box.focus()

    input_method.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    input_method.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": "Enter", "windowsVirtualKeyCode": 229})
    input_method.send("Input.insertText", {"text": "日本"})

    expect(chat.box).to_have_value("日本")
    expect(chat.questions).to_have_count(0)
    chat.box.press("Enter")
    expect(chat.questions).to_have_text("日本")


def test_enter_on_a_phone_begins_a_line(server, new_browser):
    phone = new_browser(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800})
    chat = Chat(phone.new_page(), server.url).open()

    chat.box.press_sequentially("one")
    chat.box.press("Enter")
    chat.box.press_sequentially("two")
    expect(chat.box).to_have_value("one\ntwo")
    chat.send_button.tap()

    expect(chat.answer).to_have_text("Hello world")


def test_nothing_is_sent_where_nothing_is_written(chat, upstream):
    chat.say("  ")

    expect(chat.questions).to_have_count(0)
    assert upstream.requests == []


def test_the_box_grows_with_its_text(chat):
    before = chat.box.bounding_box()["height"]

    chat.box.fill("line\n" * 5)

    assert chat.box.bounding_box()["height"] > before + 50


def test_a_double_click_on_send_makes_one_message(chat, upstream):
    chat.box.fill("Once")

    chat.send_button.dblclick()

    expect(chat.answer).to_have_text("Hello world")
    chat.page.reload()
    expect(chat.questions).to_have_text(["Once"])
    expect(chat.page.locator(".conversations a")).to_have_count(1)
    assert len(upstream.requests) == 1


def test_what_could_not_be_sent_is_still_in_the_box(relayed, relay, network_may_fail):
    relay.refuse = True
    relay.cut_all()

    relayed.say("Precious words")
    expect(relayed.problem).to_have_text(OFFLINE)
    expect(relayed.box).to_have_value("Precious words")
    expect(relayed.questions).to_have_count(0)

    relay.refuse = False
    relayed.box.press("Enter")
    expect(relayed.answer).to_have_text("Hello world")
    expect(relayed.problem).to_be_hidden()


def test_what_could_not_be_sent_outlives_the_tab(chat, server, start_server, network_may_fail):
    server.kill()
    chat.say("Precious words")
    expect(chat.problem).to_be_visible()

    chat.page.close()
    start_server(port=server.port)
    chat = Chat(chat.page.context.new_page(), server.url).open()

    expect(chat.box).to_have_value("Precious words")


def test_a_draft_outlives_a_reload_and_goes_with_its_sending(chat):
    chat.box.fill("Half a thought")
    chat.page.reload()
    expect(chat.box).to_have_value("Half a thought")

    chat.box.press("Enter")
    expect(chat.answer).to_have_text("Hello world")

    chat.open("/")
    expect(chat.box).to_have_value("")


def test_each_conversation_keeps_a_draft_of_its_own(chat):
    chat.say("First")
    expect(chat.answer).to_have_text("Hello world")
    conversation = chat.page.url.removeprefix(chat.url)

    chat.box.fill("for the first")
    chat.open("/")
    expect(chat.box).to_have_value("")
    chat.open(conversation)

    expect(chat.box).to_have_value("for the first")


def test_a_message_whose_acknowledgement_was_lost_arrives_once(relayed, relay, upstream, network_may_fail):
    relay.silence()
    relayed.say("Once")
    upstream.wait_for_requests(1)
    relay.refuse = True
    relay.cut_all()
    expect(relayed.problem).to_have_text(OFFLINE)

    relay.refuse = False
    relay.speak()
    relayed.box.press("Enter")

    expect(relayed.answers).to_have_text(["Hello world"])
    relayed.page.reload()
    expect(relayed.questions).to_have_text(["Once"])
    assert len(upstream.requests) == 1


def test_what_is_typed_while_a_message_is_on_its_way_stays(relayed, relay, upstream):
    relay.silence()
    relayed.say("First")
    upstream.wait_for_requests(1)
    relayed.box.press_sequentially("Second")

    relay.speak()
    expect(relayed.answer).to_have_text("Hello world")
    expect(relayed.box).to_have_value("Second")

    relayed.page.reload()
    expect(relayed.box).to_have_value("Second")
    relayed.open("/")
    expect(relayed.box).to_have_value("")


def test_a_refused_message_comes_back_with_the_reason(start_server, new_browser, network_may_fail):
    chat = Chat(new_browser().new_page(), start_server(MAX_QUESTION_CHARS=10).url).open()

    chat.say("Longer than ten")

    expect(chat.problem).to_have_text("The message is too long: 15 characters, 10 are allowed.")
    expect(chat.box).to_have_value("Longer than ten")


def test_the_chosen_model_answers(chat, upstream):
    upstream.always(lambda request: tokens(request.json["model"]))

    chat.page.get_by_label("Model").select_option("gpt-3.5-turbo")
    chat.say("Who are you?")

    expect(chat.answer).to_have_text("gpt-3.5-turbo")
