"""Settings: what is accepted, and what an error says."""

from __future__ import annotations

import threading

import pytest

from tests.wait import wait_until
from webapp import create_app
from webapp.config import Config, check_bind
from webapp.errors import ConfigError, StorageUnavailable


def config_of(**values: str) -> Config:
    return Config.from_env({f"LOCKCHAT_{name}": value for name, value in values.items()})


def test_an_empty_environment_gives_the_defaults():
    assert Config.from_env({}) == Config()


def test_values_are_read_with_their_types():
    config = config_of(
        URL="https://llm.example.org/v1/", MODELS="a, b,,c", IDLE_SECONDS="2.5", RETRIES="0", PROXIES="unix, 10.0.0.0/8"
    )

    assert config_of(NOTICE=" Down on **Friday**\n", WELCOME="").notice == "Down on **Friday**"
    assert config.proxies == ("unix", "10.0.0.0/8")
    assert config.url == "https://llm.example.org/v1"
    assert config.models == ("a", "b", "c")
    assert config.idle_seconds == 2.5
    assert config.retries == 0


def test_one_address_may_have_half_of_the_streams_unless_the_settings_say_otherwise():
    assert config_of(STREAMS_TOTAL="20000").streams_per_address == 10_000
    assert config_of(STREAMS_TOTAL="100").streams_per_address == 250
    assert config_of(STREAMS_TOTAL="100", STREAMS_PER_ADDRESS="7").streams_per_address == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URL", "ftp://llm.example.org"),
        ("URL", "https://"),
        ("URL", "http://[::1"),
        ("URL", "http://host:port"),
        ("RETRIES", "many"),
        ("RETRIES", "-1"),
        ("STREAMS_PER_ADDRESS", "0"),
        ("PROXIES", "my-proxy"),
        ("IDLE_SECONDS", "0"),
        ("IDLE_SECONDS", "nan"),
        ("CONNECT_SECONDS", "inf"),
        ("LOGIN", "magic"),
        ("CA_BUNDLE", "/does/not/exist.pem"),
        ("API_KEY_FILE", "/does/not/exist"),
    ],
)
def test_an_unusable_value_is_named_with_what_is_accepted(name, value):
    with pytest.raises(ConfigError) as caught:
        config_of(**{name: value})

    assert f"LOCKCHAT_{name}={value!r}" in caught.value.sentence
    assert "Accepted: " in caught.value.sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [("DATABASE_URL", "mysql://me:hunter2@db/x"), ("DATABASE_URL", "hunter2"), ("PROXY", "me:hunter2@proxy:3128")],
)
def test_an_unusable_value_with_a_password_is_not_repeated(name, value):
    with pytest.raises(ConfigError, match=f"LOCKCHAT_{name} cannot be used. Accepted: ") as caught:
        config_of(**{name: value})

    assert "hunter2" not in caught.value.sentence


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///:memory:?cache=shared", "sqlite:chat.sqlite3"],
)
def test_a_database_without_a_file_is_refused(url):
    with pytest.raises(ConfigError, match="LOCKCHAT_DATABASE_URL cannot be used. Accepted: sqlite:///path or "):
        config_of(DATABASE_URL=url)

    assert config_of(DATABASE_URL="sqlite:///chat.sqlite3").database_url == "sqlite:///chat.sqlite3"


def test_a_file_without_certificates_is_no_ca_bundle(tmp_path):
    (tmp_path / "ca.pem").write_text("certificate")

    with pytest.raises(ConfigError, match="a PEM file with certificates"):
        config_of(CA_BUNDLE=str(tmp_path / "ca.pem"))


def test_a_data_directory_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"LOCKCHAT_DATA_DIR=.*cannot be used: "):
        create_app(Config(data_dir=tmp_path / "file" / "data"))


def test_a_database_file_that_cannot_be_is_told(tmp_path):
    with pytest.raises(StorageUnavailable, match="The database cannot be opened: "):
        create_app(Config(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path}"))


def test_a_database_server_that_is_away_is_told_on_the_page_and_in_the_log(tmp_path, caplog):
    app = create_app(Config(data_dir=tmp_path, database_url="postgresql://me:hunter2@127.0.0.1:1/x"))

    answer = app.test_client().get("/")

    app.extensions["lockchat"].close()
    assert answer.status_code == 503
    assert "The database is busy. Try again in a moment" in answer.text
    assert "The database cannot be opened: " in caplog.text
    assert "hunter2" not in caplog.text + answer.text


def test_a_closed_app_no_longer_looks_for_its_database(tmp_path, monkeypatch):
    monkeypatch.setattr("webapp.app.RETRY_SECONDS", 0.05)
    before = threading.enumerate()
    app = create_app(Config(data_dir=tmp_path, database_url="postgresql://127.0.0.1:1/x"))

    app.extensions["lockchat"].close()

    wait_until(lambda: not any(isinstance(one, threading.Timer) for one in {*threading.enumerate()} - {*before}), 20)


@pytest.mark.parametrize("url", ["https://user:hunter2@llm.example.org", "https://llm.example.org/v1?auth=hunter2"])
def test_a_key_inside_the_address_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigError) as caught:
        config_of(URL=url)

    assert "hunter2" not in caught.value.sentence


def test_plain_http_to_a_public_host_must_be_allowed_by_name():
    with pytest.raises(ConfigError, match="LOCKCHAT_ALLOW_HTTP=super.lockchat.app"):
        config_of(URL="http://super.lockchat.app")

    assert config_of(URL="http://super.lockchat.app", ALLOW_HTTP="super.lockchat.app").url


@pytest.mark.parametrize("host", ["localhost:11434", "127.0.0.1:8080", "10.1.2.3", "[::1]:80", "ollama", "gpu.lan"])
def test_plain_http_inside_the_network_is_accepted(host):
    assert config_of(URL=f"http://{host}").url == f"http://{host}"


def test_a_secret_can_come_from_a_file(tmp_path):
    (tmp_path / "key").write_text("from-a-file\n")

    assert config_of(API_KEY_FILE=str(tmp_path / "key")).api_key == "from-a-file"
    with pytest.raises(ConfigError, match="both set"):
        config_of(API_KEY_FILE=str(tmp_path / "key"), API_KEY="direct")


@pytest.mark.parametrize("name", ["SECRET_KEY", "METRICS_TOKEN", "LOGIN_SECRET"])
@pytest.mark.parametrize("secret", ["changeme", "short", "a" * 32, "secretsecretsecret", "ChangeMe12345678!"])
def test_a_weak_secret_is_refused_and_not_repeated(name, secret):
    with pytest.raises(ConfigError, match=f"LOCKCHAT_{name} is too easy to guess") as caught:
        config_of(**{name: secret})

    assert secret not in caught.value.sentence


def test_secrets_are_absent_from_the_representation():
    config = config_of(
        API_KEY="hidden-1", AUTH="hidden-2", SECRET_KEY="hidden-3-4f9a0c7be2d81635", DATABASE_URL="postgresql:hidden-4"
    )

    assert "hidden" not in repr(config)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "/run/lockchat.sock"])
def test_open_login_listens_on_this_machine(host):
    check_bind(Config(), [host])


def test_open_login_on_the_network_must_be_allowed_by_name():
    with pytest.raises(ConfigError, match="LOCKCHAT_ALLOW_OPEN=0.0.0.0"):
        check_bind(Config(), ["127.0.0.1", "0.0.0.0"])

    check_bind(Config(allow_open=frozenset({"0.0.0.0"})), ["0.0.0.0"])
