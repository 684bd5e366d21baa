"""Behind nginx, Caddy, Apache and HAProxy by the README: with TLS and HTTP/2, at the root and below a path."""

from __future__ import annotations

import re
import threading

import pytest

from tests.conftest import need
from tests.proxies import NAME, PLACES, PROGRAMS, Curl, Proxy, header
from tests.team import PASSWORD
from tests.upstream import Wait, body, token
from webapp.invites import SERVER, Invites
from webapp.passwords import Passwords

pytestmark = pytest.mark.long

ALL = {"nginx": "nginx", "caddyfile": "caddy", "apache": "apache2", "haproxy": "haproxy"}
SETTINGS = {"LOGIN": "password", "HOSTS": NAME, "PROXIES": "127.0.0.1"}


@pytest.fixture
def start_proxy(start_server, tmp_path):
    """Put a proxy before a new server; its log is at `log`."""
    proxies = []

    def start(language, place="root", changes=None):
        for program in (ALL[language], "curl", "openssl"):
            need(PROGRAMS[program], program)
        directory = tmp_path / "proxy"
        directory.mkdir()
        server = start_server(**SETTINGS)
        proxies.append(Proxy(language, server.url, directory, place, changes))
        proxies[-1].log = server.log
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


def join(browser: Curl, storage) -> str:
    token = Invites(storage, Passwords(), "password").make(SERVER, "member")
    return browser.post(f"/invite/{token}", name="Alice", password=PASSWORD)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("language", ALL)
def test_a_chat_works_behind_each_proxy(start_proxy, upstream, storage, language, place):
    browser = Curl(start_proxy(language, place))
    go_on = threading.Event()
    upstream.answer(*body(token("first"), Wait(go_on), token(" later"), b"data: [DONE]\n\n"))

    to_sign_in, joined = browser.get("/"), join(browser, storage)
    sent = browser.post("/conversations", text="Hello")
    reply = re.search(r"#m-([0-9a-f-]{36})", header(sent, "location"))[1]
    lines = browser.lines(f"/m/{reply}/stream")
    before = next(line for line in lines if "first" in line)
    go_on.set()
    rest = "".join(lines)

    assert header(to_sign_in, "location") == f"{browser.root}/sign-in"
    kind, path = ("__Secure-", "/chat") if browser.root else ("__Host-", "/")
    assert f"\nset-cookie: {kind}lockchat_" in joined.lower().replace(kind.lower(), kind)
    assert f"Secure; HttpOnly; Path={path};" in joined
    assert header(joined, "strict-transport-security") == "max-age=31536000"
    assert "later" not in before
    assert "event: end" in rest


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("language", ALL)
def test_stop_pages_and_errors_work_behind_each_proxy(start_proxy, upstream, storage, language, place):
    proxy = start_proxy(language, place)
    browser = Curl(proxy)
    upstream.answer(*body(token("first"), Wait(threading.Event())))
    join(browser, storage)

    sent = browser.post("/conversations", text="Hello")
    reply = re.search(r"#m-([0-9a-f-]{36})", header(sent, "location"))[1]
    next(line for line in browser.lines(f"/m/{reply}/stream") if "first" in line)
    stopped = browser.post(f"/m/{reply}/stop")
    pages = [browser.get("/"), browser.get("/nowhere"), browser.get("/settings")]
    manifest = browser.get("/static/manifest.webmanifest")

    assert stopped.startswith("HTTP/2 303")
    assert '"status":"stopped"' in browser.get(f"/m/{reply}/status").replace(" ", "")
    assert [page.split()[1] for page in pages] == ["200", "404", "200"]
    addresses = re.findall(r'(?:href|action|formaction|src|data-[a-z-]+)="(/[^"]*)"', "".join(pages))
    assert [address for address in addresses if not address.startswith(f"{browser.root}/")] == []
    assert '"start_url": "../"' in manifest
    foreign = browser.get("/conversations", "-d", "text=Hi", "-H", "Origin: https://evil.example")
    assert foreign.startswith("HTTP/2 403")
    assert browser.get("/metrics").startswith("HTTP/2 403")


CHANGED = {
    "nginx": {"    proxy_set_header Host $http_host;\n": ""},
    "apache": {"ProxyPreserveHost On\n": ""},
    "caddyfile": {"127.0.0.1:8000\n": "127.0.0.1:8000 {\nheader_up Host {upstream_hostport}\n}\n"},
    "haproxy": {"    default_backend": "    http-request set-header Host 127.0.0.1:8000\n    default_backend"},
}


@pytest.mark.parametrize("language", ALL)
def test_a_proxy_that_changes_the_host_is_named_and_a_browser_is_believed(start_proxy, storage, language):
    proxy = start_proxy(language, changes=CHANGED[language])
    browser = Curl(proxy)

    unsaid = join(browser, storage)
    foreign = browser.post("/sign-in", "-H", "Sec-Fetch-Site: cross-site", name="x", password="y")
    said = browser.post("/sign-in", "-H", "Sec-Fetch-Site: same-origin", name="x", password="y")

    assert unsaid.startswith("HTTP/2 403")
    assert "changes the name" in unsaid
    assert "proxy_set_header Host $http_host" in unsaid
    assert f"https://{NAME}" in proxy.log.read_text()
    assert "from another site" not in unsaid
    assert "from another site" in foreign
    assert "from another site" not in said
    assert "name or password" in said.lower() or "password" in said


@pytest.mark.parametrize("language", ALL)
def test_large_cookies_of_a_domain_get_through(start_proxy, language):
    browser = Curl(start_proxy(language))

    answer = browser.get("/sign-in", "-H", f"Cookie: one={'x' * 4000}; two={'y' * 3900}; three={'z' * 2000}")

    assert answer.startswith("HTTP/2 200")
