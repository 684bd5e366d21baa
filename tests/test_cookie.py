"""The cookie of a browser: each instance has one of its own name, and reads the old name once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import TimestampSigner

from tests.visitor import Visitor
from webapp.views.visitor import cookie_name, tag_of

OLD = "lockchat"


def test_each_instance_finds_its_cookies_again_in_every_version():
    assert cookie_name("a secret key") == "lockchat_09e036d4"


@pytest.fixture
def other(make_site, tmp_path):
    """The address of another instance on the same host, with data of its own."""
    url = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    return make_site(data_dir=tmp_path / "other", database_url=url).extensions["url"]


def signed(site, values) -> str:
    """A cookie of the version before, which had another name."""
    return SecureCookieSessionInterface().get_signing_serializer(site).dumps(values)


def test_two_instances_on_one_host_keep_their_users_apart(site, alice, other):
    alice.new_chat("Mine")

    alice.get(f"{other}/")

    assert "Mine" in alice.page()
    assert len(alice.cookies) == 2


def test_the_cookie_of_an_older_version_is_renamed(site, alice, visit):
    alice.new_chat("Kept")
    alice.get("/")
    own = next(iter(alice.cookies)).value
    old = visit()
    old.cookies.set(OLD, own, domain="127.0.0.1", path="/")

    first, second = old.get("/"), old.get("/")

    assert "Kept" in first.text
    assert "Kept" in second.text
    assert [cookie.name for cookie in old.cookies] == [cookie.name for cookie in alice.cookies]


def test_the_old_cookie_of_another_instance_stays(site, other):
    with Visitor(site.extensions["url"]) as bob:
        bob.cookies.set(OLD, "signed.by.another", domain="127.0.0.1", path="/")

        bob.get("/")

        assert OLD in bob.cookies
        assert len(bob.cookies) == 2


def test_the_new_cookie_counts_more_than_the_old(site, alice):
    alice.new_chat("Newer")
    alice.cookies.set(OLD, signed(site, {"user_id": "00000000-0000-4000-8000-000000000000"}))

    assert "Newer" in alice.get("/").text


def test_a_new_browser_gets_one_cookie_and_none_is_deleted(alice):
    answers = [alice.get("/") for _ in range(2)]

    assert [len(answer.raw.headers.getlist("Set-Cookie")) for answer in answers] == [1, 0]


def test_a_cookie_means_the_same_each_time_whatever_a_request_does(site, alice):
    alice.get("/")
    name, old = next((cookie.name, cookie.value) for cookie in alice.cookies)
    alice.post_form("/preferences", theme="dark")
    alice.cookies.set(name, old, domain="127.0.0.1", path="/")

    again = alice.get("/").text

    assert 'content="light dark"' in again


def test_the_signature_of_a_cookie_is_checked_once(alice, monkeypatch):
    alice.get("/")
    checked, unsign = [], TimestampSigner.unsign
    monkeypatch.setattr(TimestampSigner, "unsign", lambda self, value: checked.append(value) or unsign(self, value))

    alice.get("/")
    alice.get("/")

    assert len(checked) == 1


@pytest.mark.usefixtures("in_tokyo")
def test_a_cookie_in_use_is_set_again_each_day(site, alice):
    alice.get("/")
    (cookie,) = alice.cookies
    serializer = site.session_interface.get_signing_serializer(site)
    before = serializer.loads(cookie.value)
    old = signed(site, before | {"renewed": "2026-01-01"})

    answer = requests.get(f"{alice.base_url}/", cookies={cookie.name: old})

    [expires] = re.findall("Expires=([^;]*)", answer.headers["Set-Cookie"])
    year = parsedate_to_datetime(expires) - datetime.now(UTC)
    assert abs(year - site.permanent_session_lifetime) < timedelta(minutes=1)
    assert serializer.loads(answer.cookies[cookie.name])["user_id"] == before["user_id"]


def test_the_tag_of_a_name_needs_the_secret_of_the_instance(site):
    with site.test_request_context("/"):
        tags = [tag_of("alice"), tag_of("alice")]
        site.secret_key = "another"
        tags.append(tag_of("alice"))

    assert tags[0] == tags[1] != tags[2]


def test_a_changed_cookie_is_refused_after_the_right_one_was_seen(site, alice):
    alice.new_chat("Mine")
    name, right = next((cookie.name, cookie.value) for cookie in alice.cookies)
    payload, stamp, signature = right.rsplit(".", 2)
    for wrong in (f"{payload}.{stamp}.{signature[::-1]}", f"{payload[::-1]}.{stamp}.{signature}", f"{payload}.{stamp}"):
        answer = requests.get(f"{alice.base_url}/", cookies={name: wrong})

        assert "Mine" not in answer.text
        assert answer.cookies[name] != right

    assert "Mine" in alice.page()
