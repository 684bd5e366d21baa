"""Figures and reasons are for this machine, and for who brings the token."""

from __future__ import annotations

import pytest

OUTSIDE = {"REMOTE_ADDR": "10.0.0.9"}
TOKEN = "a-token-of-some-length"


@pytest.fixture
def ask(make_site):
    """Ask from an address, with headers; the server has a token."""
    client = make_site(metrics_token=TOKEN, allow_open=frozenset({"proxy"})).test_client()

    def ask(path, address="127.0.0.1", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get(path, environ_overrides={"REMOTE_ADDR": address}, headers=names)

    return ask


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_sees_the_figures(ask, address):
    assert "lockchat_running_replies 0.0" in ask("/metrics", address).text


@pytest.mark.parametrize("address", ["10.0.0.9", "::ffff:10.0.0.9", "fe80::1", ""])
def test_another_machine_does_not(ask, address):
    answer = ask("/metrics", address)

    assert answer.status_code == 403
    assert "lockchat_running_replies" not in answer.text


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded", "X_Real_IP", "X_Forwarded_Proto"])
def test_nobody_does_through_a_proxy_of_this_machine(ask, header):
    assert ask("/metrics", **{header: "127.0.0.1"}).status_code == 403


def test_the_token_opens_from_everywhere(ask):
    assert ask("/metrics", "10.0.0.9", Authorization=f"Bearer {TOKEN}").status_code == 200
    assert ask("/metrics", Authorization=f"bearer  {TOKEN}", X_Forwarded_For="10.0.0.9").status_code == 200


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Bearer é", f"Basic {TOKEN}", TOKEN, ""])
def test_another_token_does_not(ask, header):
    assert ask("/metrics", "10.0.0.9", Authorization=header).status_code == 403


def test_without_a_token_none_is_accepted(site):
    answer = site.test_client().get("/metrics", environ_overrides=OUTSIDE, headers={"Authorization": "Bearer "})

    assert answer.status_code == 403


def test_everyone_sees_whether_it_is_ready_and_an_insider_why_not(ask, make_site):
    assert ask("/readyz", "10.0.0.9").text == "ready\n"
    away = make_site(database_url="postgresql://me:hunter2@127.0.0.1:1/x").test_client()

    outside, inside = away.get("/readyz", environ_overrides=OUTSIDE), away.get("/readyz")

    assert (outside.status_code, outside.text) == (503, "not ready\n")
    assert inside.status_code == 503
    assert "The database" in inside.text
