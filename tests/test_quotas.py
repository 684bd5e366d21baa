"""The limits that administrators set, for roles and users: they hold in all workers, with open login for addresses."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from tests.test_limits import From
from tests.test_transfer import ours
from tests.upstream import Wait, body, token, tokens
from tests.visitor import Visitor, text_of
from webapp.storage import Storage, spending
from webapp.views import parts

USAGE = {"prompt_tokens": 70, "completion_tokens": 30}


@pytest.fixture
def limit(storage):
    """Set a limit, of members unless told otherwise."""

    def limit(name: str, value: int | None, scope: str = "member") -> None:
        with storage.begin() as tx:
            spending.set_limit(tx, scope, name, value)

    return limit


@pytest.fixture
def used(storage):
    """What a holder has used."""

    def used(holder: str):
        with storage.begin() as tx:
            return spending.add(tx, {holder: spending.Amount()}, datetime.now(UTC))[holder]

    return used


@pytest.fixture
def alice(team):
    return team.join("Alice")


def send(visitor: Visitor, text: str = "<Typed> words", **fields: str):
    return visitor.post_form("/conversations", text=text, **fields)


def is_refused(answer, sentence: str, status: int = 429) -> bool:
    """Whether the answer says this sentence, and keeps what was typed."""
    kept = "&lt;Typed&gt; words</textarea>" in answer.text
    return answer.status_code == status and sentence in text_of(answer.text) and kept


# Messages and running replies


def test_messages_of_a_minute_are_limited_and_the_sentence_says_when_it_ends(alice, limit):
    limit("messages_per_minute", 0)

    refused = send(alice)

    sentence = "You have sent as many messages as are allowed in a minute: 0. Try again in 1 minute."
    assert is_refused(refused, sentence)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_a_refused_message_counts_nothing_and_stores_nothing(team, alice, limit, used):
    limit("messages_per_minute", 0)
    send(alice)
    limit("messages_per_minute", None)

    assert send(alice).status_code == 303
    assert used(team.user_id("Alice")).messages <= 1
    assert len(set(re.findall(r"/c/([0-9a-f-]{36})", alice.get("/conversations").text))) == 1


def test_a_repeated_send_is_answered_at_the_limit_too(alice, limit):
    reply = alice.new_chat("Once", key="k")
    limit("messages_per_minute", 0)

    assert alice.new_chat("Once", key="k") == reply


def test_running_replies_are_limited_until_one_ends(alice, limit, upstream):
    upstream.always(*body(token("x"), Wait()))
    limit("running_replies", 1)
    reply = alice.new_chat("One")

    refused = send(alice)
    alice.stop(reply)
    alice.end(reply)

    assert is_refused(refused, "As many of your answers are running as are allowed: 1. Wait for one, or stop it.")
    assert send(alice).status_code == 303


def test_a_users_own_limit_comes_before_that_of_the_role(team, alice, limit):
    bob = team.join("Bob")
    limit("messages_per_minute", 0)
    limit("messages_per_minute", 100, team.user_id("Bob"))

    assert [send(alice).status_code, send(bob).status_code] == [429, 303]


def test_the_limit_is_that_of_the_present_role(team, alice, limit):
    carol = team.join("Carol", "admin")
    limit("messages_per_minute", 0, "admin")
    assert [send(alice).status_code, send(carol).status_code] == [303, 429]

    carol.post_form(f"/admin/users/{team.user_id('Alice')}/role", role="admin")

    assert send(alice).status_code == 429


def test_two_workers_do_not_both_give_away_the_last_place(start_server, limit, upstream):
    upstream.always(*body(token("x"), Wait()))
    limit("running_replies", 3)
    server = start_server(workers=2)
    alice = Visitor(server.url)
    alice.get("/")
    browsers = [Visitor(server.url) for _ in range(8)]
    for browser in browsers:
        browser.cookies.update(alice.cookies)

    assert sorted(at_once(send, browsers)) == [303] * 3 + [429] * 5


def test_two_workers_do_not_both_count_the_same_message(storage, other_storage):
    """Whoever comes second to the counters waits, and sees the first one's message."""
    now, seen = datetime.now(UTC), []

    def count(database) -> int:
        with database.begin() as tx:
            seen.append(spending.add(tx, {"alice": spending.Amount(messages=1)}, now)["alice"].messages)
        return 0

    at_once(count, [storage, other_storage] * 4)

    assert sorted(seen) == list(range(1, 9))


def at_once(work, arguments: list) -> list[int]:
    """What the work returns for each argument, with all begun at the same moment: statuses of answers."""
    results: list[int] = []
    start = threading.Barrier(len(arguments))

    def run(argument) -> None:
        start.wait()
        answer = work(argument)
        results.append(getattr(answer, "status_code", answer))

    threads = [threading.Thread(target=run, args=[argument]) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# Tokens


def test_tokens_of_the_upstream_count_for_the_day_and_the_month(team, alice, limit, used, upstream):
    upstream.answer(*tokens("Hi", usage=USAGE))
    alice.end(alice.new_chat("One"))
    now = used(team.user_id("Alice"))
    assert (now.day_tokens, now.month_tokens) == (100, 100)

    limit("tokens_per_day", 100)
    of_day = send(alice)
    limit("tokens_per_day", 101)
    limit("tokens_per_month", 100)
    of_month = send(alice)
    limit("tokens_per_month", 101)

    assert is_refused(of_day, "You have used the tokens that are allowed in a day: 100. Try again in")
    assert is_refused(of_month, "You have used the tokens that are allowed in a month: 100. Try again in")
    assert re.search(r"on \d+ \w+ \d{4} at 00:00 UTC|in \d+ minutes?\.", text_of(of_month.text))
    assert send(alice).status_code == 303


def test_without_the_upstreams_numbers_tokens_are_estimated(team, alice, used, storage, upstream):
    upstream.answer(*tokens("x" * 4000))

    alice.end(alice.new_chat("word " * 404))

    assert used(team.user_id("Alice")).day_tokens == 1000 + 303 * 7 // 4
    [row] = figures(storage)
    assert row.estimated_tokens == row.prompt_tokens + row.completion_tokens == 1530


def test_deleting_a_chat_gives_no_tokens_back_and_erases_no_figures(team, alice, used, storage, upstream):
    upstream.answer(*tokens("Hi", usage=USAGE))
    alice.end(alice.new_chat("One"))
    alice.post_form(f"/c/{alice.conversation_id}/delete")
    with storage.begin() as tx:
        tx.exec_driver_sql("UPDATE conversations SET deleted_at = '2020-01-01 00:00:00'")

    team.parts.upkeep.tick()

    now = used(team.user_id("Alice"))
    assert (now.day_tokens, now.bytes) == (100, 0)
    assert [(row.messages, row.prompt_tokens, row.completion_tokens) for row in figures(storage)] == [(1, 70, 30)]


def figures(storage: Storage):
    with storage.read() as tx:
        return tx.exec_driver_sql("SELECT * FROM usage").all()


# What is stored


def test_stored_bytes_count_the_question_and_the_answer(team, alice, used, limit, upstream):
    upstream.answer(*tokens("é" * 10))
    alice.end(alice.new_chat("я" * 7))
    assert used(team.user_id("Alice")).bytes == 20 + 14

    limit("stored_bytes", 36)

    assert is_refused(send(alice), "You may store 0.00 MB, and this would be more. Delete conversations", 413)
    assert send(alice, "ab").status_code == 303


def test_conversations_are_limited(alice, limit):
    limit("conversations", 1)
    alice.end(alice.new_chat("One"))

    refused = send(alice)

    assert is_refused(refused, "You may have 1 conversations, and this would be more.", 413)
    alice.end(alice.say("More"))
    assert alice.post("/import", files={"file": ("x.json", ours({"id": "a"}))}).status_code == 413


# Imports


QUESTION = {"id": "a", "text": "x" * 500}
ANSWER = {"id": "b", "parent": "a", "role": "assistant", "text": "Forged", "prompt_tokens": 9, "completion_tokens": 9}
FILE = ours(QUESTION, ANSWER)


def import_file(visitor: Visitor):
    return visitor.post("/import", files={"file": ("x.json", FILE)})


def test_imports_of_a_day_are_limited(alice, limit):
    limit("imports_per_day", 1)

    assert import_file(alice).status_code == 200
    refused = import_file(alice)

    assert refused.status_code == 429
    assert "You have imported as many files as are allowed in a day: 1. Try again in" in text_of(refused.text)


def test_imports_feed_neither_messages_nor_tokens_nor_figures(team, alice, used, storage):
    import_file(alice)

    now = used(team.user_id("Alice"))
    assert (now.messages, now.day_tokens, now.month_tokens, now.imports) == (0, 0, 0, 1)
    assert now.bytes >= 500
    assert figures(storage) == []


def test_an_import_of_more_bytes_than_are_left_is_refused(team, alice, used, limit):
    limit("stored_bytes", 400)

    assert import_file(alice).status_code == 413
    assert used(team.user_id("Alice")).bytes == 0


def test_an_imported_message_is_marked_as_one_and_so_is_what_goes_on_from_it(alice, upstream):
    page = import_file(alice).text
    assert page.count("imported</span>") == 2

    upstream.answer(*tokens("Mine"))
    conversation_id = re.search(r'action="/c/([0-9a-f-]{36})/messages"', page)[1]
    alice.end(alice.reply_of(alice.post_form(f"/c/{conversation_id}/messages", text="Go on")))

    assert alice.page(conversation_id).count("imported</span>") == 2


# Open login: addresses


@pytest.fixture
def open_browser(site):
    opened: list[Visitor] = []

    def browser(address: str = "127.0.0.1") -> Visitor:
        opened.append(Visitor(site.extensions["url"]))
        opened[-1].mount("http://", From(address))
        return opened[-1]

    yield browser
    for visitor in opened:
        visitor.close()


def test_in_open_login_a_dropped_cookie_buys_no_tokens(open_browser, limit, upstream):
    upstream.answer(*tokens("Hi", usage=USAGE))
    alice = open_browser()
    alice.end(alice.new_chat("One"))
    limit("tokens_per_day", 100)

    refused, elsewhere = send(open_browser()), send(open_browser("127.0.0.2"))

    assert is_refused(refused, "Your address has used the tokens that are allowed in a day: 100.")
    assert elsewhere.status_code == 303


def test_in_open_login_running_replies_of_an_address_are_limited(open_browser, limit, upstream):
    upstream.always(*body(token("x"), Wait()))
    limit("running_replies", 1)
    assert send(open_browser()).status_code == 303

    refused, elsewhere = send(open_browser()), send(open_browser("127.0.0.2"))

    assert is_refused(refused, "As many answers are running at your address as are allowed: 1.")
    assert elsewhere.status_code == 303


def test_in_a_team_colleagues_of_one_address_do_not_limit_each_other(team, alice, limit, upstream):
    upstream.always(*body(token("x"), Wait()))
    limit("running_replies", 1)

    assert [send(alice).status_code, send(team.join("Bob")).status_code] == [303, 303]


def test_the_command_sets_and_removes_a_limit(site, alice_in_open, limit):
    run = site.test_cli_runner().invoke

    said = run(args=["set-limit", "member", "messages_per_minute", "0"]).output
    refused = send(alice_in_open).status_code
    run(args=["set-limit", "member", "messages_per_minute"])

    database = site.extensions["lockchat"].storage.url.render_as_string(hide_password=True)
    assert said == f"member: messages_per_minute 0, in {database}\n"
    assert (refused, send(alice_in_open).status_code) == (429, 303)
    assert run(args=["set-limit", "member", "messages_per_minute", "-1"]).exit_code != 0


@pytest.fixture
def alice_in_open(open_browser):
    return open_browser()


def test_a_send_takes_two_queries_for_its_limits(site, alice_in_open, upstream):
    upstream.always(*body(token("x"), Wait()))  # the end counts too
    seen: list[str] = []
    event.listen(parts.of(site).storage._durable, "before_cursor_execute", lambda *args: seen.append(args[2]))

    alice_in_open.new_chat("Hi")

    assert len([statement for statement in seen if "counters" in statement or "limits" in statement]) == 2


def test_the_limits_of_a_send_read_running_replies_only(storage):
    if not storage.is_sqlite:
        pytest.skip("the plan is SQLite's")
    seen = []
    event.listen(storage._durable, "before_cursor_execute", lambda *args: seen.append(args[2:4]))
    with storage.begin() as tx:
        spending.rules(tx, "alice", "127.0.0.1")
        statement, values = seen[-1]
        plan = [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]

    assert [step for step in plan if " messages " in step] == ["SCAN messages USING INDEX ix_messages_streaming"] * 2
