"""The message box: which key sends, what is kept when sending fails, and that one message is one message."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, token, tokens

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
    expect(chat.page.locator(".conversations a:first-child")).to_have_count(1)
    assert len(upstream.requests) == 1


def test_the_second_click_on_send_does_not_stop_the_answer(chat, upstream):
    upstream.answer(*body(token("Going"), Wait()))
    chat.box.fill("Once")
    chat.send_button.click()
    expect(chat.answer).to_have_text("Going")
    chat.stop_button.hover()  # it stands where Send was

    chat.page.mouse.down(click_count=2)
    chat.page.mouse.up(click_count=2)
    chat.page.reload()

    expect(chat.answer).to_have_text("Going")
    expect(chat.stop_button).to_be_visible()
    chat.stop_button.click()
    expect(chat.note).to_have_text("Stopped.")


def test_what_could_not_be_sent_is_still_in_the_box(relayed, relay, network_may_fail):
    relay.refuse = True
    relay.cut_all()

    said = relayed.listen()
    relayed.say("Precious words")
    expect(relayed.problem).to_have_text(OFFLINE)
    relayed.page.clock.run_for(1000)
    assert said() == []  # no answer is waited for
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


def test_the_box_takes_no_focus_from_a_reader_who_is_elsewhere_already(chat):
    held = []
    chat.page.route("**/app.js*", lambda route: held.append(route))
    with chat.page.expect_request("**/app.js*"):
        chat.page.goto(chat.page.url, wait_until="commit")
    link = chat.page.get_by_role("link", name="Settings")
    link.focus()

    held[0].continue_()
    chat.page.wait_for_load_state()

    expect(link).to_be_focused()


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


def test_enter_in_a_setting_sends_nothing(chat, upstream):
    chat.say("First")
    expect(chat.answer).to_have_text("Hello world")
    chat.box.fill("Half a thought")

    chat.page.get_by_role("button", name="Temperature and system prompt").click()
    chat.page.get_by_label("Temperature, from").fill("1")
    chat.page.get_by_label("Temperature, from").press("Enter")
    chat.page.reload()

    expect(chat.box).to_have_value("Half a thought")
    assert len(upstream.requests) == 1


def test_an_idle_tab_takes_no_draft_away(chat):
    other = chat.second_tab()
    chat.box.fill("Half a thought")
    chat.page.wait_for_function("() => localStorage.getItem(`draft:${document.body.dataset.user}:/`)")
    chat.page.close()
    other.page.close()

    chat = Chat(chat.page.context.new_page(), chat.url).open()

    expect(chat.box).to_have_value("Half a thought")


def test_another_user_of_the_browser_sees_no_draft(chat):
    chat.box.fill("For my eyes only")
    chat.page.wait_for_function("() => localStorage.getItem(`draft:${document.body.dataset.user}:/`)")
    chat.page.context.clear_cookies()

    other = Chat(chat.page.context.new_page(), chat.url).open()

    expect(other.box).to_have_value("")
    assert "eyes" not in other.page.evaluate("() => JSON.stringify(localStorage)")


def test_a_tab_of_another_user_leaves_no_draft_behind(chat):
    chat.page.locator("html.js").wait_for(state="attached")
    chat.page.context.clear_cookies()
    other = Chat(chat.page.context.new_page(), chat.url).open()
    other.box.fill("Mine")
    other.page.wait_for_function("() => localStorage.getItem(`draft:${document.body.dataset.user}:/`)")

    chat.box.fill("For my eyes only")
    chat.page.evaluate("() => dispatchEvent(new Event('pagehide'))")  # which keeps a draft at once

    assert other.page.evaluate("() => localStorage.getItem(`draft:${document.body.dataset.user}:/`)") == "Mine"


def test_an_edited_message_is_a_draft_until_it_is_sent_or_let_be(chat, upstream):
    chat.say("First")
    expect(chat.answer).to_have_text("Hello world")
    edit = chat.page.locator("#edit")

    chat.page.get_by_role("link", name="Edit").click()
    edit.wait_for()
    chat.page.wait_for_load_state()
    edit.fill("In other words")
    chat.page.reload()
    expect(edit).to_have_value("In other words")
    edit.press("Enter")
    expect(chat.questions).to_have_text(["In other words"])

    chat.page.get_by_role("link", name="Edit").click()
    edit.fill("Never mind")
    chat.page.get_by_role("link", name="Cancel").click()
    chat.page.get_by_role("link", name="Edit").click()
    expect(edit).to_have_value("In other words")


def test_a_new_chat_stands_below_the_pinned_ones(chat):
    chat.say("Pinned")
    expect(chat.answer).to_have_text("Hello world")
    chat.page.get_by_role("button", name="This conversation").click()
    chat.page.get_by_role("button", name="Pin", exact=True).click()
    links = chat.page.locator(".conversations a:first-child")
    expect(links).to_have_text(["Pinned"])

    for text in ("Second", "Third"):
        chat.open("/").say(text)
        expect(chat.answer).to_have_text("Hello world")

    expect(links).to_have_text(["Pinned", "Third", "Second"])
    chat.page.reload()
    expect(links).to_have_text(["Pinned", "Third", "Second"])


def test_a_message_from_a_stale_tab_follows_what_it_shows(chat, upstream):
    chat.say("First")
    expect(chat.answer).to_have_text("Hello world")
    expect(chat.send_button).to_be_visible()
    chat.page.context.route("**/changes*", lambda route: None)  # it learns nothing of the other tab
    stale = chat.second_tab()
    chat.say("Second")
    expect(chat.answers).to_have_count(2)
    expect(chat.send_button).to_be_visible()

    stale.say("Third")
    expect(stale.answers.nth(1)).to_have_text("Hello world")

    assert [said["content"] for said in upstream.requests[-1].json["messages"]] == ["First", "Hello world", "Third"]


@pytest.mark.parametrize("menu", ["menu", "tuning"])
def test_a_menu_can_be_reached_whole_at_400_percent(server, new_browser, menu):
    chat = Chat(new_browser(viewport={"width": 320, "height": 256}).new_page(), server.url).open()
    chat.say("Hi")
    expect(chat.answer).to_have_text("Hello world")
    expect(chat.send_button).to_be_visible()

    chat.page.locator(f"[popovertarget={menu}]").click()
    box = chat.page.locator(f"#{menu}").bounding_box()

    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 256
    for control in chat.page.locator(f"#{menu} :is(input, textarea, button, a)").all():
        control.scroll_into_view_if_needed()
        expect(control).to_be_in_viewport()


def test_the_chosen_model_answers(chat, upstream):
    upstream.always(lambda request: tokens(request.json["model"]))

    chat.page.get_by_label("Model", exact=True).select_option("gpt-3.5-turbo")
    chat.say("Who are you?")

    expect(chat.answer).to_have_text("gpt-3.5-turbo")
