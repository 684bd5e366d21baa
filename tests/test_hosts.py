"""Under which names the page is served, and to whom with open login."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import partial
from urllib.parse import urlsplit

import pytest

from tests.server import ROOT
from tests.visitor import Visitor, text_of
from webapp.config import Config
from webapp.errors import ConfigError
from webapp.views.hosts import local_path

# https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
AS_SYSTEMD = """
import os, sys
os.dup2({number}, 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "wsgi:app"])
"""

# A name of 253 characters, the dot of its root, and a port.
LONGEST = ".".join([*["a" * 63] * 3, "a" * 61]) + ".:65535"


def status_under(visitor, host, path="/"):
    return visitor.get(path, headers={"Host": host}).status_code


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "localhost.", "chat.localhost", "[::1]:8"]
)
def test_this_machine_is_known_by_its_own_names(alice, host):
    assert status_under(alice, host) == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "10.0.0.1", "127.0.0.1.evil.example", "[::2]"])
def test_another_name_is_refused_with_the_setting_that_allows_it(alice, host):
    answer = alice.get("/", headers={"Host": host})

    name = host.removesuffix(":8000").strip("[]")
    assert answer.status_code == 421
    assert f"LOCKCHAT_HOSTS={name}" in text_of(answer.text)
    assert "Set-Cookie" not in answer.headers


def test_a_name_of_the_setting_is_served(make_visitor):
    visitor = make_visitor(hosts=frozenset({"chat.example.org", "box"}))

    assert [status_under(visitor, name) for name in ("Chat.example.org:444", "chat.example.org.", "BOX")] == [200] * 3
    assert status_under(visitor, "localhost") == 200
    assert status_under(visitor, "other.example.org") == 421


def test_another_name_writes_nothing_and_sees_no_list(alice, upstream):
    alice.new_chat("My secret")
    headers = {"Host": "evil.example", "Origin": "http://evil.example", "Cookie": alice.cookie()}

    answer = alice.post("/conversations", data={"text": "Hi"}, headers=headers)

    assert answer.status_code == 421
    assert "My secret" not in answer.text
    upstream.wait_for_requests(1)


@pytest.mark.parametrize(
    "host",
    [
        "a" * 64,
        "a" * 64 + ".localhost",
        "a" + LONGEST,
        "",
        "a..b",
        "local host",
        "localhost:x",
        "localhost:",
        "<b>",
        "a/b",
        "a@b",
    ],
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/static/app.css"])
def test_a_host_that_is_none_is_a_400_page(alice, host, path):
    answer = alice.get(path, headers={"Host": host})

    assert answer.status_code == 400
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "does not say which host" in text_of(answer.text)


@pytest.mark.parametrize("host", ["10.0.0.1", LONGEST])
def test_probes_and_files_are_served_under_every_name(alice, host):
    assert [status_under(alice, host, path) for path in ("/healthz", "/readyz", "/static/app.css")] == [200] * 3


def test_a_way_back_has_a_longest_address():
    assert local_path("/".ljust(2000, "x"))
    assert not local_path("/".ljust(2001, "x"))


@pytest.mark.parametrize(
    ("head", "status"), [("GET / HTTP/1.0", "200"), ("GET / HTTP/1.1", "400"), ("GET / HTTP/1.0\r\nHost: a..b", "400")]
)
def test_only_the_oldest_clients_may_leave_the_host_out(alice, head, status):
    place = urlsplit(alice.base_url)
    with socket.create_connection((place.hostname, place.port), 30) as connection:
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    assert answer.split()[1] == status


@pytest.fixture
def client(site):
    """A client that says where the server listens."""

    def client(listener, **headers):
        environ = {"SERVER_NAME": listener, "REMOTE_ADDR": "10.0.0.9"}
        return site.test_client().get("/", environ_overrides=environ, headers=headers)

    return client


@pytest.mark.parametrize("listener", ["0.0.0.0", "::", "10.0.0.1"])
def test_open_login_is_refused_on_every_server_that_others_reach(client, listener):
    answer = client(listener, Host="localhost")

    assert answer.status_code == 403
    assert f"LOCKCHAT_ALLOW_OPEN={listener}" in text_of(answer.text)


def test_the_address_that_the_server_listens_on_is_its_name(make_site):
    client = make_site(allow_open=frozenset({"10.0.0.1"})).test_client()
    ask = partial(client.get, "/", environ_overrides={"SERVER_NAME": "10.0.0.1"})

    assert [ask(headers={"Host": name}).status_code for name in ("10.0.0.1:80", "10.0.0.2")] == [200, 421]


def test_on_a_unix_socket_the_host_header_is_no_address_of_the_server(site):
    with socket.socket(socket.AF_UNIX) as listener:
        for server in ("gunicorn", "werkzeug"):
            environ = {"SERVER_NAME": "10.0.0.1", f"{server}.socket": listener, "REMOTE_ADDR": ""}
            ask = partial(site.test_client().get, "/", environ_overrides=environ)

            assert ask(headers={"Host": "localhost"}).status_code == 200
            assert ask(headers={"Host": "10.0.0.1"}).status_code == 421


def test_the_proxy_protocol_is_a_proxy(site):
    answer = site.test_client().get("/", environ_overrides={"PROXY_PROTOCOL": "TCP4"})

    assert answer.status_code == 403
    assert "LOCKCHAT_ALLOW_OPEN=proxy" in text_of(answer.text)


def test_on_all_addresses_the_page_is_known_by_each_of_them_and_by_the_machines_name(make_site):
    client = make_site(allow_open=frozenset({"0.0.0.0"})).test_client()
    environ = {"SERVER_NAME": "0.0.0.0"}

    names = ["10.0.0.7:8000", "[fd00::7]", socket.gethostname(), "evil.example"]
    answers = [client.get("/", environ_overrides=environ, headers={"Host": name}).status_code for name in names]

    assert answers == [200, 200, 200, 421]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-For", "10.0.0.9"),
        ("X-Forwarded-Host", "chat.example.org"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=10.0.0.9"),
        ("X-Real-IP", "10.0.0.9"),
    ],
)
def test_open_login_behind_a_proxy_must_be_allowed_by_name(alice, make_visitor, name, value):
    answer = alice.get("/", headers={name: value})
    allowed = make_visitor(allow_open=frozenset({"proxy"}))

    assert answer.status_code == 403
    assert "LOCKCHAT_ALLOW_OPEN=proxy" in text_of(answer.text)
    assert allowed.get("/", headers={name: value}).status_code == 200


@pytest.mark.parametrize("hosts", ["https://chat.example.org", "chat.example.org:80", "cafe:80", "a b", "*"])
def test_hosts_are_names_alone(hosts):
    with pytest.raises(ConfigError, match="host names without scheme and port"):
        Config.from_env({"LOCKCHAT_HOSTS": hosts})


def test_the_address_to_listen_on_is_a_host(tmp_path):
    env = {"LOCKCHAT_HOSTS": "Chat.example.org, [::2]", "LOCKCHAT_BIND": "box.lan:80,unix:/run/x,fd://3,[fd00::1]:80"}

    assert Config.from_env(env).hosts == {"chat.example.org", "::2", "box.lan", "fd00::1"}


def test_open_login_on_an_address_of_the_command_line_is_refused(tmp_path):
    environment = {"PATH": os.environ["PATH"], "LOCKCHAT_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "gunicorn", "--bind", "0.0.0.0:0", "wsgi:app"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60)

    assert done.returncode != 0
    assert "LOCKCHAT_ALLOW_OPEN=0.0.0.0" in done.stderr.decode()


def test_open_login_on_a_socket_of_systemd_is_refused(tmp_path):
    with socket.socket() as inherited:
        inherited.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")  # all addresses, but from here only
        inherited.bind(("0.0.0.0", 0))
        inherited.listen()
        start = AS_SYSTEMD.format(number=inherited.fileno())
        environment = {"PATH": os.environ["PATH"], "LOCKCHAT_DATA_DIR": str(tmp_path), "LISTEN_FDS": "1"}

        done = subprocess.run(
            [sys.executable, "-c", start],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            timeout=60,
            pass_fds=[inherited.fileno()],
        )

    assert done.returncode != 0
    assert "LOCKCHAT_ALLOW_OPEN=0.0.0.0" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_no_header_names_a_prefix(start_server):
    with Visitor(start_server().url) as visitor:
        page = visitor.get("/", headers={"SCRIPT_NAME": "/evil", "PATH_INFO": "/evil"})
        below = visitor.get("/evil/", headers={"SCRIPT_NAME": "/evil"})

    assert page.status_code == 200
    assert "/evil" not in page.text
    assert below.status_code == 404


def test_a_host_label_that_is_too_long_is_a_page_of_gunicorn_too(start_server):
    with Visitor(start_server().url) as visitor:
        answer = visitor.get("/", headers={"Host": "a" * 64})

    assert answer.status_code == 400
    assert "Content-Security-Policy" in answer.headers
