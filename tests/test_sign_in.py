"""Sign in and out with a password."""

from __future__ import annotations

import re
import statistics
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event, select, update

from tests.team import PASSWORD, is_signed_in, problem, sign_in
from tests.visitor import Visitor
from webapp.storage.team_schema import accounts, sign_ins
from webapp.storage.team_schema import audit as log

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def alice(team):
    return team.join("Alice")


def change(team, table, **values) -> None:
    with team.parts.storage.begin() as tx:
        tx.execute(update(table).values(**values))


def test_a_stranger_is_sent_to_sign_in_and_back_to_the_page_that_they_wanted(team, alice):
    bob = team.stranger()

    asked = bob.get("/search?q=x", allow_redirects=False)
    answer = sign_in(bob, "Alice", next="/search?q=x")

    assert asked.status_code == 303
    assert asked.headers["Location"] == "/sign-in?next=/search?q%3Dx"
    assert answer.headers["Location"] == "/search?q=x"
    assert is_signed_in(bob)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/", "/sign-in"),
        ("/settings", "/sign-in?next=/settings"),
        ("/search?q=X?", "/sign-in?next=/search?q%3DX"),
    ],
)
def test_the_address_of_the_sign_in_names_a_page_other_than_the_first(team, path, place):
    assert team.stranger().get(path, allow_redirects=False).headers["Location"] == place


def test_the_form_itself_leads_back_to_the_page_that_was_wanted(team, alice):
    bob = team.stranger()

    page = bob.get("/search?q=a+b").text
    [wanted] = re.findall('name="next" value="([^"]*)"', page)

    assert sign_in(bob, "Alice", next=wanted).headers["Location"] == "/search?q=a+b"
    assert 'name="next"' not in bob.get("/sign-in").text + team.stranger().get("/").text


def test_a_refused_sign_in_keeps_the_name_and_the_way(team, alice):
    answer = sign_in(team.stranger(), "Bob", "wrong password", next="/settings")

    assert 'name="name" type="text" value="Bob"' in answer.text
    assert 'name="name" type="text" value=""' in team.stranger().get("/sign-in").text
    assert 'name="next" value="/settings"' in answer.text
    assert f'value="{"x" * 200}"' in sign_in(team.stranger(), "x" * 201, "wrong password").text


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "evil", "javascript:x"]
)
def test_sign_in_leads_to_no_other_site(team, alice, wanted):
    assert sign_in(team.stranger(), "alice", next=wanted).headers["Location"] == "/"


@pytest.mark.parametrize("name", ["Alice", " alice ", "ALICE", "Ａlice"])
def test_a_name_is_known_in_every_spelling(team, alice, name):
    assert sign_in(team.stranger(), name).status_code == 303


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(team, alice):
    wrong, unknown = (sign_in(team.stranger(), name, "wrong password") for name in ("alice", "nobody"))

    assert (wrong.status_code, problem(wrong)) == (403, "The name or the password is wrong.")
    assert wrong.text.replace("alice", "nobody") == unknown.text.replace(
        unknown.headers["X-Request-Id"], wrong.headers["X-Request-Id"]
    )


def test_no_name_can_be_told_from_another_by_the_time(make_team):
    team = make_team(proxies=("127.0.0.1",))
    team.join("Alice")
    stranger = team.stranger()
    times: dict[str, list[float]] = {"alice": [], "nobody": []}

    for number in range(20):
        for name, taken in times.items():
            stranger.headers["X-Forwarded-For"] = f"10.0.{number}.1"
            began = time.process_time()  # the server is in this process
            assert sign_in(stranger, name, "wrong password").status_code == 403
            taken.append(time.process_time() - began)

    known, unknown = (statistics.median(taken) for taken in times.values())
    # Without the same work, the answer to an unknown name takes less than half the time.
    assert 0.6 < known / unknown < 1.6


class Counting:
    """A hasher that notes the parameters of each calculation."""

    def __init__(self, real):
        self.real, self.checked, self.made = real, [], []

    def verify(self, stored, password):
        self.checked.append(stored.rpartition("$")[0].rpartition("$")[0])
        return self.real.verify(stored, password)

    def hash(self, password):
        self.made.append(password)
        return self.real.hash(password)

    def check_needs_rehash(self, stored):
        return self.real.check_needs_rehash(stored)


def test_a_known_and_an_unknown_name_cost_the_same_calculations(make_team):
    team = make_team(proxies=("127.0.0.1",))
    team.join("Alice")
    passwords = team.parts.team.accounts._passwords
    work = {}

    for number, name in enumerate(["alice", "nobody"]):
        passwords._hasher = counting = Counting(getattr(passwords._hasher, "real", passwords._hasher))
        for attempt in range(5):
            stranger = team.stranger()
            stranger.headers["X-Forwarded-For"] = f"10.{number}.{attempt}.1"
            assert sign_in(stranger, name, "wrong password").status_code == 403
        work[name] = (counting.checked, counting.made)

    assert work["alice"] == work["nobody"]
    assert len(work["alice"][0]) == 5
    assert work["alice"][1] == []


def test_what_a_page_sends_without_a_sign_in_is_kept_on_the_page(team, upstream):
    answer = team.stranger().post_form("/conversations", text="My long question")

    assert answer.status_code == 401
    assert "My long question</textarea>" in answer.text
    assert upstream.requests == []


def test_a_stranger_reads_neither_models_nor_addresses_nor_settings(make_team, upstream):
    stranger = make_team(models=("our-model", "other-model"), metrics_token="9f2c41d07be3a865").stranger()
    posts = [("POST", path) for path in ("/conversations", "/preferences", "/sign-in", "/import", "/nowhere")]

    answers = [
        stranger.request(method, path, data={"text": "Hi", "model": "mine"}, allow_redirects=False)
        for method, path in [("GET", "/sign-in"), ("GET", "/nowhere"), ("GET", "/readyz"), *posts]
    ]

    said = "".join(answer.text for answer in answers)
    assert [word for word in ("our-model", "other-model", upstream.url, "LOCKCHAT_") if word in said] == []
    assert [answer.status_code for answer in answers] == [200, 404, 200, 401, 401, 403, 401, 404]
    assert 'name="model" value="mine"' in answers[3].text  # kept for after the sign-in


def test_a_script_gets_401_and_no_page(team):
    stranger = team.stranger()

    assert stranger.get("/m/" + UNKNOWN, headers={"X-Fragment": "1"}).status_code == 401
    assert stranger.get(f"/m/{UNKNOWN}/stream", headers={"Accept": "text/event-stream"}).status_code == 401


def test_a_browser_without_a_sign_in_is_not_looked_up(team):
    asked = []
    event.listen(team.parts.storage._cheap, "before_cursor_execute", lambda *seen: asked.append(seen[2]))

    assert team.stranger().get("/sign-in").status_code == 200
    assert not [query for query in asked if "sign_ins" in query]


def test_a_strangers_page_shows_no_ways_that_are_closed(team):
    page = team.stranger().get("/sign-in").text

    assert 'id="sidebar"' not in page
    assert "/settings" not in page


def test_signing_out_ends_the_sign_in_and_clears_the_browser(team, alice):
    token = alice.cookie()

    answer = alice.post_form("/sign-out")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert not is_signed_in(alice)
    again = team.stranger()
    again.headers["Cookie"] = token
    assert not is_signed_in(again)


def test_the_token_is_random_hidden_and_stored_as_a_hash(team, alice):
    answer = sign_in(team.stranger(), "alice")
    [cookie] = [value for value in answer.raw.headers.getlist("Set-Cookie") if "_in=" in value]
    token = re.match(r"lockchat_[0-9a-f]{8}_in=([\w-]{43});", cookie)[1]

    with team.parts.storage.read() as tx:
        stored = tx.execute(select(sign_ins)).mappings().all()

    assert cookie.endswith("; HttpOnly; Path=/; SameSite=Lax")
    assert f"Max-Age={30 * 24 * 3600};" in cookie
    assert token not in str(stored)


def test_each_sign_in_has_a_new_token_and_ends_the_one_before(team, alice):
    before = alice.cookie()

    sign_in(alice, "alice")

    old = team.stranger()
    old.headers["Cookie"] = before
    assert alice.cookie() != before
    assert is_signed_in(alice)
    assert not is_signed_in(old)


@pytest.mark.parametrize(
    ("column", "days", "is_in"), [("created_at", 31, False), ("seen_at", 8, False), ("seen_at", 6, True)]
)
def test_a_sign_in_ends_by_itself(team, alice, column, days, is_in):
    change(team, sign_ins, **{column: datetime.now(UTC) - timedelta(days=days)})

    assert is_signed_in(alice) is is_in


def test_a_sign_in_that_is_used_does_not_become_idle(team, alice):
    change(team, sign_ins, seen_at=datetime.now(UTC) - timedelta(days=6))

    alice.get("/")

    with team.parts.storage.read() as tx:
        assert tx.execute(select(sign_ins.c.seen_at)).scalar_one() > datetime.now(UTC) - timedelta(minutes=1)


def test_an_older_hash_is_renewed_at_the_sign_in(team, alice):
    change(team, accounts, password=PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD))

    assert sign_in(team.stranger(), "alice").status_code == 303

    with team.parts.storage.read() as tx:
        assert tx.execute(select(accounts.c.password)).scalar_one().startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert sign_in(team.stranger(), "alice").status_code == 303


def test_eleven_wrong_passwords_in_a_row_are_one_too_many_for_any_name(team, alice):
    for name in ("alice", "nobody"):
        answers = [sign_in(team.stranger(), name, "wrong password") for _ in range(11)]

        assert [answer.status_code for answer in answers] == [403] * 10 + [429]
        assert problem(answers[-1]) == "Too many attempts to sign in. Try again in 6 minutes."
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 360


def test_many_attempts_at_once_are_no_way_around(team, alice):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(sign_in(team.stranger(), "alice", "wrong password")))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.status_code for answer in answers) == [403] * 10 + [429] * 10


def test_a_stranger_locks_nobody_out_who_has_signed_in_before(team, alice):
    team.join("Bob")
    alice.post_form("/sign-out")
    sign_in(alice, "bob")  # a colleague, in the same browser
    alice.post_form("/sign-out")
    for _ in range(11):
        sign_in(team.stranger(), "alice", "wrong password")

    assert sign_in(alice, "alice").status_code == 303
    assert sign_in(team.stranger(), "alice").status_code == 429, "a new browser at the stranger's address has to wait"


def test_each_browser_in_which_one_has_signed_in_has_attempts_of_its_own(team, alice):
    other = team.stranger()
    sign_in(other, "alice")

    mistyped = [sign_in(other, "alice", "wrong password").status_code for _ in range(11)]

    assert mistyped == [403] * 10 + [429]
    assert sign_in(alice, "alice").status_code == 303
    assert sign_in(team.stranger(), "alice").status_code == 303, "nor do they count for a stranger"


def test_a_browser_has_attempts_of_its_own_only_for_the_names_that_signed_in_there(team, alice):
    team.join("Bob")
    for _ in range(10):
        sign_in(team.stranger(), "bob", "wrong password")

    assert sign_in(alice, "bob").status_code == 429


def test_a_stranger_locks_nobody_out_at_another_address(make_team):
    team = make_team(proxies=("127.0.0.1",))
    team.join("Alice")
    stranger, alice = team.stranger(), team.stranger()
    stranger.headers["X-Forwarded-For"], alice.headers["X-Forwarded-For"] = "10.0.0.1", "10.0.0.2"

    for _ in range(11):
        sign_in(stranger, "alice", "wrong password")

    assert sign_in(alice, "alice").status_code == 303


def test_a_colleague_who_mistypes_does_not_use_up_the_office(make_team, monkeypatch):
    monkeypatch.setattr("webapp.throttle.PER_ADDRESS", 5)
    team = make_team()
    team.join("Alice")

    assert [sign_in(team.stranger(), "alice").status_code for _ in range(8)] == [303] * 8
    guessed = [sign_in(team.stranger(), f"name{number}", "x").status_code for number in range(6)]

    assert guessed == [403] * 5 + [429]


def test_another_site_can_sign_nobody_in_or_out(team, alice):
    for path in ("/sign-in", "/sign-out"):
        assert alice.post(path, headers={"Origin": "https://evil.example"}).status_code == 403
    assert is_signed_in(alice)


def test_sign_ins_and_failures_are_logged_without_what_was_typed(team, alice):
    sign_in(team.stranger(), "alice", "secret in the wrong field")
    sign_in(team.stranger(), "my real password", "x")
    sign_in(team.stranger(), "alice")

    with team.parts.storage.read() as tx:
        entries = [tuple(row) for row in tx.execute(select(log.c.actor, log.c.action, log.c.target).order_by(log.c.id))]

    assert entries[-3:] == [("", "sign_in_failed", "Alice"), ("", "sign_in_failed", ""), ("Alice", "sign_in", "")]


def test_a_user_of_open_login_is_nobody_with_a_password(make_site, make_team):
    with_open = make_site()
    with Visitor(with_open.extensions["url"]) as visitor:
        visitor.get("/")
        cookie = visitor.cookie()
    stranger = make_team().stranger()
    stranger.headers["Cookie"] = cookie

    assert not is_signed_in(stranger)


def test_open_login_has_no_pages_to_sign_in(visit):
    assert [visit().get(path).status_code for path in ("/sign-in", "/account", "/invite/x")] == [404] * 3
