"""Limits hold for a user and for an address: neither dropped cookies nor many cookies lock others out."""

from __future__ import annotations

import pytest
from requests.adapters import HTTPAdapter

from tests.pictures import pictures_chunk, png
from tests.test_keys import make_key
from tests.test_transfer import ours, zip_of
from tests.upstream import Wait, body, token
from tests.visitor import Visitor, text_of
from tests.wait import wait_until
from webapp import addresses
from webapp.errors import Busy
from webapp.limits import ANSWERS, RETRY_SECONDS, STORED, Allowance, Gate, Holder, wait

ADDRESS_FULL = "Too many answers are running at your address."
ALL_FULL = "This server is running as many answers as it can."


class From(HTTPAdapter):
    """Connects from an address of this machine other than 127.0.0.1."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, source_address=(self._address, 0), **kwargs)


@pytest.fixture
def browser(make_site):
    """Start the site with these settings; it opens new browsers without a cookie, each at an address."""
    opened: list[Visitor] = []

    def start(**settings: object):
        site = make_site(**settings)

        def browser(address: str = "127.0.0.1") -> Visitor:
            opened.append(Visitor(site.extensions["url"]))
            opened[-1].mount("http://", From(address))
            return opened[-1]

        return browser

    yield start
    for visitor in opened:
        visitor.close()


@pytest.fixture
def running(upstream):
    """All answers run on."""
    upstream.always(*body(token("x"), Wait()))


def send(visitor: Visitor, text: str = "<Typed> words"):
    return visitor.post_form("/conversations", text=text)


def is_refused(answer, sentence: str) -> bool:
    """Whether the answer is a 503 with this sentence, what was typed, and when to try again."""
    kept = "&lt;Typed&gt; words</textarea>" in answer.text and int(answer.headers["Retry-After"]) > 0
    return answer.status_code == 503 and sentence in text_of(answer.text) and kept


# Places


def test_sends_without_cookies_leave_room_for_another_address(browser, running):
    open_browser = browser(streams_per_address=4, streams_total=8)
    for _ in range(4):
        assert send(open_browser()).status_code == 303

    refused, elsewhere = send(open_browser()), send(open_browser("127.0.0.2"))

    assert is_refused(refused, ADDRESS_FULL)
    assert elsewhere.status_code == 303


def test_addresses_that_hold_many_leave_the_last_fifth_to_others(browser, running):
    open_browser = browser(streams_per_address=5, streams_total=10)
    for address in ("127.0.0.2", "127.0.0.3"):
        for _ in range(4):
            assert send(open_browser(address)).status_code == 303

    assert is_refused(send(open_browser("127.0.0.2")), ALL_FULL)
    assert is_refused(send(open_browser("127.0.0.3")), ALL_FULL)
    assert send(open_browser("127.0.0.4")).status_code == 303
    assert send(open_browser("127.0.0.5")).status_code == 303
    assert is_refused(send(open_browser("127.0.0.6")), ALL_FULL)


def test_a_place_is_free_again_once_the_answer_has_ended(browser, running):
    open_browser = browser(streams_per_address=1)
    alice = open_browser()
    reply = alice.new_chat("One")
    assert is_refused(send(open_browser()), ADDRESS_FULL)

    alice.stop(reply)

    wait_until(lambda: send(open_browser()).status_code == 303, 20, "a place")


def test_many_cookies_of_one_address_do_not_hold_all_streams(browser, running):
    open_browser = browser(streams_per_user=1, streams_per_address=2, streams_total=4)
    alice, other = open_browser(), open_browser("127.0.0.2")
    replies = [(visitor, visitor.new_chat("Hi")) for visitor in (alice, other)]
    streams = [alice.get(f"/m/{replies[0][1]}/stream", stream=True) for _ in range(4)]

    refused = alice.get(f"/m/{replies[0][1]}/stream", headers={"X-Fragment": "1"})
    followed = other.get(f"/m/{replies[1][1]}/stream", stream=True)

    assert [stream.status_code for stream in streams] == [200] * 4
    assert refused.status_code == 503
    assert followed.status_code == 200


def test_without_script_a_page_that_may_not_stream_shows_the_text_so_far_and_asks_again(browser, running):
    alice = browser(streams_per_user=1)()
    stopped = alice.new_chat("Hi")
    alice.stop(stopped)
    wait_until(lambda: alice.status(stopped) == "stopped", 20, "the stopped reply to be saved")
    reply = alice.say("Go on")
    streams = [alice.get(f"/m/{reply}/stream", stream=True) for _ in range(4)]

    page = alice.get(f"/c/{alice.conversation_id}?live=1")
    typed = alice.post(f"/m/{reply}/select", data={"text": "<Typed> words"}, headers={"Accept": "text/html"})

    assert [stream.status_code for stream in streams] == [200] * 4
    assert (page.status_code, page.headers["Refresh"]) == (200, "5")
    assert "&lt;Typed&gt; words</textarea>" in typed.text
    assert "Refresh" not in typed.headers, "which would lose the text"
    assert f'action="/m/{reply}/stop"' in page.text
    finished = [html.partition("<article")[2].partition(f'id="m-{reply}"')[0] for html in (page.text, alice.page())]
    assert finished[0] == finished[1] != ""


def test_a_holder_of_fewer_than_the_average_gets_into_the_last_fifth():
    gate = Gate(ANSWERS, per_user=100, per_address=100, total=20)
    for address, number in (("many", 12), ("few", 4)):
        for user in range(number):
            gate.enter(Holder(f"{address} {user}", address))

    with pytest.raises(Busy):
        gate.enter(Holder("one more", "many"))
    gate.enter(Holder("one more", "few"))

    assert gate.count() == 17


def test_a_gate_holds_as_many_as_each_limit_says():
    gate = Gate(ANSWERS, per_user=2, per_address=3, total=20)
    for user in ("a", "a", "b"):
        gate.enter(Holder(user, "x"))

    with pytest.raises(Busy, match="Too many of your answers") as user_full:
        gate.enter(Holder("a", "y"))
    with pytest.raises(Busy, match=ADDRESS_FULL) as address_full:
        gate.enter(Holder("c", "x"))
    gate.leave(Holder("a", "x"))
    gate.enter(Holder("a", "y"))

    assert user_full.value.retry_after == address_full.value.retry_after == RETRY_SECONDS
    assert gate.count() == 3


def test_places_may_be_taken_several_at_a_time():
    gate = Gate(ANSWERS, per_user=100, per_address=100, total=100)

    gate.enter(Holder("a", "x"), 60)
    gate.enter(Holder("b", "y"), 20)
    with pytest.raises(Busy, match=ALL_FULL) as error:
        gate.enter(Holder("a", "x"), 1)
    gate.enter(Holder("b", "y"), 20)
    with pytest.raises(Busy, match=ALL_FULL):
        gate.enter(Holder("c", "z"), 1)

    assert error.value.retry_after == RETRY_SECONDS
    gate.leave(Holder("a", "x"), 60)
    assert gate.count() == 40


def test_an_address_that_has_left_counts_no_more_for_the_last_fifth():
    gate = Gate(ANSWERS, per_user=100, per_address=100, total=20)
    gate.enter(Holder("gone", "gone"))
    gate.enter(Holder("a", "x"), 10)
    gate.enter(Holder("b", "y"), 6)
    gate.leave(Holder("gone", "gone"))

    gate.enter(Holder("b", "y"))

    assert gate.count() == 17


def test_a_gate_forgets_who_has_left():
    gate = Gate(ANSWERS, per_user=1, per_address=1, total=1)
    for number in range(100):
        holder = Holder(str(number), str(number))
        gate.enter(holder)
        gate.leave(holder)

    assert gate.count() == 0
    assert not gate._users
    assert not gate._addresses


# What is stored


def test_what_is_stored_in_a_day_is_bounded_without_cookies_too(browser):
    open_browser = browser(stored_chars_per_day=25_000)
    texts = ["word " * 1000 for _ in range(3)]
    assert [send(open_browser(), text).status_code for text in texts] == [303] * 3

    refused = send(open_browser())
    elsewhere = send(open_browser("127.0.0.2"))

    assert is_refused(refused, "Your address has stored as much as is allowed in a day. Try again in")
    assert elsewhere.status_code == 303


@pytest.mark.parametrize(
    "answer",
    [token("word " * 10_000), token("Hi", reasoning_content="word " * 10_000), pictures_chunk(png(2, 2, 50_000))],
    ids=["text", "reasoning", "picture"],
)
def test_answers_count_as_stored(browser, upstream, answer):
    upstream.answer(*body(answer, b"data: [DONE]\n\n"))
    alice = browser(stored_chars_per_day=40_000)()
    alice.end(alice.new_chat("Hi"))

    answer = send(alice)

    assert is_refused(answer, "You have stored as much as is allowed in a day.")


def test_a_system_prompt_counts_as_stored(browser):
    alice = browser(stored_chars_per_day=6500)()
    alice.end(alice.new_chat("Hi", system="word " * 400))

    assert is_refused(send(alice), "You have stored as much as is allowed in a day.")


def test_a_repeated_send_is_not_refused(browser):
    alice = browser(stored_chars_per_day=2600)()
    reply = alice.new_chat("Once", key="k")

    assert alice.new_chat("Once", key="k") == reply
    assert send(alice).status_code == 503


def test_repeated_sends_hold_no_place(browser):
    visitor = browser(streams_per_user=2)()
    reply = visitor.new_chat("Once", key="k")
    visitor.end(reply)

    repeated = [visitor.new_chat("Once", key="k") for _ in range(3)]

    assert repeated == [reply] * 3
    visitor.end(visitor.new_chat("Another"))


def test_conversations_of_one_user_are_bounded(browser):
    alice = browser(conversations_per_user=1)()
    alice.end(alice.new_chat("One"))

    refused = send(alice)
    imported = alice.post("/import", files={"file": ("x.json", ours({"id": "a"}))})
    alice.post_form(f"/c/{alice.conversation_id}/delete")

    assert refused.status_code == imported.status_code == 413
    assert "You may have 1 conversations" in text_of(refused.text)
    assert "&lt;Typed&gt; words</textarea>" in refused.text
    assert send(alice).status_code == 303


def test_imports_count_what_they_unpack_to(browser):
    file = zip_of(a__json=ours({"id": "a", "text": "x" * 2_000_000}))
    alice = browser(stored_chars_per_day=1_000_000)()
    send(alice)

    answer = alice.post("/import", files={"file": ("x.zip", file)})

    assert len(file) < 10_000
    assert answer.status_code == 503
    assert "You have stored as much as is allowed in a day." in text_of(answer.text)


def test_imports_of_an_hour_are_bounded_without_cookies_too(browser):
    open_browser = browser(imports_per_hour=2)
    statuses = [
        open_browser(address).post("/import", files={"file": ("x.json", ours({"id": "a"}))}).status_code
        for address in ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2")
    ]

    assert statuses == [200, 200, 503, 200]


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        (0, "Try again in 1 minute."),
        (59.9, "Try again in 1 minute."),
        (60, "Try again in 2 minutes."),
        (72_000, "Try again in 1,201 minutes."),
    ],
)
def test_the_sentence_says_after_how_many_minutes_there_is_enough(seconds, sentence):
    assert wait(seconds) == sentence


def test_what_was_spent_comes_back_evenly():
    now = 0.0
    budget = Allowance(STORED, 100, 6000, clock=lambda: now)
    budget.spend(Holder("a", "x"), 100)
    with pytest.raises(Busy, match=r" Try again in 21 minutes\.$") as error:
        budget.spend(Holder("a", "x"), 20)
    assert error.value.retry_after == 1201

    now = 1200.0
    budget.spend(Holder("a", "x"), 20)

    with pytest.raises(Busy, match="Your address"):
        budget.spend(Holder("b", "x"), 1)


def test_nobody_saves_up_more_than_the_whole_allowance():
    now = 1_000_000.0
    budget = Allowance(STORED, 100, 50, clock=lambda: now)
    budget.spend(Holder("a", "x"), 1)

    now += 1_000_000
    budget.spend(Holder("a", "x"), 100)

    with pytest.raises(Busy, match="You have stored as much"):
        budget.spend(Holder("a", "x"), 1)


def test_more_than_the_whole_allowance_may_be_spent_at_once_and_is_paid_back():
    now = 0.0
    budget = Allowance(STORED, 100, 50, clock=lambda: now)
    budget.spend(Holder("a", "x"), 150)

    now = 74.0
    with pytest.raises(Busy) as error:
        budget.spend(Holder("a", "x"), 100)

    assert error.value.retry_after == 2
    now = 75.0
    budget.spend(Holder("a", "x"), 100)


def test_what_is_charged_must_come_back_too():
    now = 0.0
    budget = Allowance(STORED, 7200, 7200, clock=lambda: now)
    budget.charge(Holder("a", "x"), 7320)

    with pytest.raises(Busy, match=r" Try again in 3 minutes\.$") as error:
        budget.spend(Holder("b", "x"), 1)

    assert error.value.retry_after == 122


def test_an_allowance_forgets_who_has_all_of_it_again(monkeypatch):
    monkeypatch.setattr("webapp.limits.MAX_BALANCES", 10)
    now = 0.0
    budget = Allowance(STORED, 100, 10, clock=lambda: now)
    for number in range(100):
        now += 1
        budget.spend(Holder(str(number), str(number)), 10)
        with pytest.raises(Busy):  # who has not all of it again is not forgotten
            budget.spend(Holder(str(number), "elsewhere"), 91)

    assert len(budget._balances) <= 12


# Whose address it is


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "address"),
    [
        ("10.0.0.1", "1.2.3.4", (), "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", ("10.0.0.2",), "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", ("10.0.0.1",), "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", ("10.0.0.0/24",), "1.2.3.4"),
        ("10.0.0.1", "nonsense", ("10.0.0.1",), "10.0.0.1"),
        ("10.0.0.1", "", ("10.0.0.1",), "10.0.0.1"),
        ("", "1.2.3.4", ("unix",), "1.2.3.4"),
        ("", "1.2.3.4", ("127.0.0.1",), "unix"),
        ("2001:db8:1:2:3:4:5:6", "", (), "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", "", (), "1.2.3.4"),
    ],
)
def test_only_a_proxy_that_is_named_is_believed(peer, forwarded, proxies, address):
    assert addresses.client(peer, forwarded, proxies) == address


def test_behind_a_proxy_each_browser_has_its_own_address(browser, running):
    open_browser = browser(streams_per_address=1, proxies=("127.0.0.1",), allow_open=frozenset({"proxy"}))

    def send_for(address):
        headers = {"X-Forwarded-For": address}
        return open_browser().post("/conversations", {"text": "<Typed> words"}, headers=headers, allow_redirects=False)

    assert [send_for(address).status_code for address in ("1.1.1.1", "2.2.2.2")] == [303, 303]
    assert is_refused(send_for("9.9.9.9, 1.1.1.1"), ADDRESS_FULL)


ADDRESSES = ("1.1.1.1", "2.2.2.2", "1.1.1.1")  # the last place of the first one is taken


def test_who_has_signed_in_counts_at_their_address_too(make_team, running):
    team = make_team(streams_per_address=1, proxies=("127.0.0.1",))
    visitors = [team.join(name) for name in ("Alice", "Bob", "Carol")]
    for visitor, address in zip(visitors, ADDRESSES, strict=True):
        visitor.headers["X-Forwarded-For"] = address

    answers = [send(visitor) for visitor in visitors]

    assert [answer.status_code for answer in answers] == [303, 303, 503]
    assert is_refused(answers[2], ADDRESS_FULL)


def test_whom_a_proxy_signs_in_counts_at_their_address_too(browser, running):
    secret = "kept-between-the-two-7c1f"
    open_browser = browser(login="proxy", login_secret=secret, streams_per_address=1, proxies=("127.0.0.1",))
    answers = []
    for name, address in zip(("alice", "bob", "carol"), ADDRESSES, strict=True):
        visitor = open_browser()
        visitor.headers.update({"Remote-User": name, "X-Lockchat-Secret": secret, "X-Forwarded-For": address})
        answers += [send(visitor), send(visitor)]  # the first one makes the account

    assert [answer.status_code for answer in answers] == [303, 503] * 2 + [503] * 2
    assert all(is_refused(answer, ADDRESS_FULL) for answer in answers if answer.status_code == 503)


def test_who_asks_with_a_key_counts_at_their_address_too(make_team, running):
    team = make_team(api=True, streams_per_address=1, proxies=("127.0.0.1",))
    asked = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    answers = []
    for name, address in zip(("Alice", "Bob", "Carol"), ADDRESSES, strict=True):
        visitor = team.join(name)
        headers = {"Authorization": f"Bearer {make_key(visitor)}", "X-Forwarded-For": address}
        answers.append(visitor.post("/v1/chat/completions", json=asked, headers=headers, stream=True))

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert ADDRESS_FULL in answers[2].json()["error"]["message"]
    for answer in answers:
        answer.close()


def test_an_address_that_anybody_claims_is_not_believed(browser, running):
    open_browser = browser(streams_per_address=1, allow_open=frozenset({"proxy"}))
    send(open_browser())

    headers = {"X-Forwarded-For": "1.1.1.1"}
    answer = open_browser().post("/conversations", {"text": "<Typed> words"}, headers=headers, allow_redirects=False)

    assert is_refused(answer, ADDRESS_FULL)
