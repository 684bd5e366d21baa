"""The secret that signs cookies: made once, kept to oneself, hard to guess."""

from __future__ import annotations

import secrets
import stat

import pytest

from webapp import create_app, secret_key
from webapp.config import Config
from webapp.errors import ConfigError


def test_a_kept_secret_is_made_once(tmp_path):
    first = secret_key.kept(tmp_path / "secret_key")

    assert secret_key.kept(tmp_path / "secret_key") == first
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.iterdir()] == [("secret_key", 0o600)]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_kept_secret_that_others_can_reach_is_refused(tmp_path, mode):
    path = tmp_path / "secret_key"
    path.write_text(secrets.token_hex(16))
    path.chmod(mode)

    with pytest.raises(ConfigError, match=f"Run: chmod 600 {path}"):
        create_app(Config(data_dir=tmp_path))


@pytest.mark.parametrize("secret", ["", "\n", "short", "passwordpassword1234", "abcdabcdabcdabcd"])
def test_a_kept_secret_that_is_weak_is_refused(tmp_path, secret):
    path = tmp_path / "secret_key"
    path.write_text(secret)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match=f"{path} holds a secret that is too easy to guess. Remove it") as caught:
        create_app(Config(data_dir=tmp_path))

    assert not secret.strip() or secret not in caught.value.sentence


def test_a_kept_secret_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "secret_key"
    path.write_bytes(b"\xff" * 32)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match=f"{path} cannot be read: it is no text"):
        create_app(Config(data_dir=tmp_path))


@pytest.mark.parametrize(
    "secret",
    [
        *("passwordpassword1234", "abcdabcdabcdabcd", "P@ssw0rdP@ssw0rd!", "qwertyuiop123456", "0123456789abcdef"),
        *("lockchat-secret-key-2026", "my-very-secret-key", "11112222333344445555", "secret-secret-123"),
        *("parolparolparol!", "zyxwvutsrqponmlk", "MySecretMySecret1", "development-secret", "aaaaaaaabbbbbbbb"),
    ],
)
def test_words_with_tails_repeats_and_rows_are_weak(secret):
    assert secret_key.is_weak(secret)


@pytest.mark.parametrize(
    "make", [lambda: secrets.token_hex(8), lambda: secrets.token_urlsafe(12), lambda: secrets.token_urlsafe(16)]
)
def test_random_secrets_are_not_weak(make):
    refused = sum(secret_key.is_weak(make()) for _ in range(20_000))

    assert refused <= 1  # one in a million is refused by chance


def test_a_random_secret_with_a_word_before_it_is_not_weak():
    assert not secret_key.is_weak("password-" + "9f2c41d07be3a865")
