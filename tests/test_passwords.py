"""Passwords: which are accepted, and how their hashes are made."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from argon2 import PasswordHasher

from tests.server import ROOT
from webapp.errors import Invalid
from webapp.passwords import NOBODY, Passwords, common

GOOD = "correct horse battery staple"

# Sleeps a millisecond at a time while four passwords are hashed: how often did the loop turn?
COUNT_TURNS = """
from gevent import monkey
monkey.patch_all()
import _thread, gevent, os, sys, threading
own, priorities = os.getpriority(os.PRIO_PROCESS, 0), set()
from webapp import passwords as module
module.WAIT_SECONDS = 100  # a busy machine leaves little to threads of the lowest priority
passwords, running, most, turns = module.Passwords(), 0, 0, 0
class Counting:
    real = passwords._hasher
    def hash(self, password):
        global running, most
        running += 1
        most = max(most, running)
        try:
            priorities.add(os.getpriority(os.PRIO_PROCESS, _thread.get_native_id()))
            return self.real.hash(password)
        finally:
            running -= 1
passwords._hasher = Counting()
jobs = [gevent.spawn(passwords.hash, "correct horse battery staple") for _ in range(8)]
while not all(job.ready() for job in jobs):
    gevent.sleep(0.001)
    turns += 1
assert all(job.get().startswith("$argon2id$") for job in jobs)
assert os.getpriority(os.PRIO_PROCESS, 0) == own
assert priorities == {19} or sys.platform != "linux"
print(turns, most)
"""


@pytest.fixture(scope="module")
def passwords():
    return Passwords()


def test_a_hash_is_argon2id_with_the_parameters_of_owasp(passwords):
    stored = passwords.hash(GOOD)

    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.matches(stored, GOOD)
    assert not passwords.matches(stored, GOOD + "r")
    assert passwords.hash(GOOD) != stored


def test_a_missing_account_costs_the_work_of_a_present_one(passwords):
    assert re.match(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$", NOBODY)
    assert not passwords.is_outdated(NOBODY)
    assert not passwords.matches(None, GOOD)
    assert not passwords.matches(None, "")
    assert not passwords.matches("no hash", GOOD)


def test_an_older_hash_is_known_as_one(passwords):
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)

    assert passwords.is_outdated(old)
    assert passwords.matches(old, GOOD)


@pytest.mark.parametrize(
    "password", ["", "elevenchars", "x" * 201, "qwertyuiop123", "Qwertyuiop123", "111111111111", "1q2w3e4r5t6y"]
)
def test_a_weak_or_endless_password_is_refused(passwords, password):
    with pytest.raises(Invalid):
        passwords.hash(password)


@pytest.mark.parametrize("password", ["twelve chars", "пароль из слов", "🐎🐎🐎🐎🐎🐎🐎🐎🐎🐎🐎🐎", "x" * 199 + "y"])
def test_any_other_password_is_accepted_without_further_rules(passwords, password):
    assert passwords.matches(passwords.hash(password), password)


def test_two_spellings_of_a_letter_are_one_password(passwords):
    assert passwords.matches(passwords.hash("Cafe\u0301 du monde"), "Caf\u00e9 du monde")


def test_the_list_holds_the_ten_thousand_most_common(passwords):
    assert len(common()) > 10_000
    assert {"password", "123456", "qwerty", "password123"} <= common()


def test_a_password_of_a_million_characters_is_cheap(passwords):
    assert not passwords.matches(None, "\ufdfa" * 1_000_000)
    with pytest.raises(Invalid):
        passwords.hash("\ufdfa" * 1_000_000)


def test_hashing_leaves_the_loop_free_and_runs_two_at_a_time_at_a_low_priority():
    done = subprocess.run(
        [sys.executable, "-c", COUNT_TURNS], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    turns, most = map(int, done.stdout.split())

    assert turns > 8, "eight hashes in the loop would let it turn eight times"
    assert most == 2
