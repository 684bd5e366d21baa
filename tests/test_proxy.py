"""Behind nginx, with the README's own lines: a token passes at once, and forms are still known as ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading

import pytest
import requests

from tests.conftest import need
from tests.server import ROOT, free_port
from tests.upstream import Wait, body, token
from tests.visitor import Visitor
from tests.wait import wait_until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

# Run by root, nginx would read and write as "nobody", who may not enter the directory of the test.
SETTINGS = """
user root;
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    gzip on;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""


@pytest.fixture
def start_nginx(tmp_path):
    """Put nginx with the README's lines before a server, and return its address."""
    need(NGINX, "nginx")
    processes = []

    def start(server):
        port = free_port()
        location = re.search(r"```nginx\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
        location = location.replace("http://127.0.0.1:8000", server.url)
        settings = tmp_path / "nginx.conf"
        settings.write_text(SETTINGS.format(directory=tmp_path, port=port, location=location))
        command = [NGINX, "-c", str(settings), "-p", str(tmp_path)]
        processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        with Visitor(f"http://127.0.0.1:{port}") as visitor:
            wait_until(lambda: _answers(visitor), 20, "nginx to answer")
        return visitor.base_url

    yield start
    for process in processes:
        process.terminate()
        process.wait(10)


@pytest.fixture
def alice(start_nginx, start_server):
    """Alice, whose browser sees nginx only."""
    with Visitor(start_nginx(start_server(ALLOW_OPEN="proxy"))) as visitor:
        yield visitor


def _answers(visitor: Visitor) -> bool:
    try:
        return visitor.get("/healthz").ok
    except requests.ConnectionError:
        return False


def test_a_token_passes_nginx_at_once(alice, upstream):
    go_on = threading.Event()
    upstream.answer(*body(token("first"), Wait(go_on), token(" later"), b"data: [DONE]\n\n"))
    reply = alice.new_chat("Hello")

    events = alice.events(reply)
    before = next(event.data for event in events if "first" in event.data)
    go_on.set()
    after = [event.event for event in events]

    assert "later" not in before
    assert after[-1] == "end"
    assert alice.raw(reply) == "first later"


def test_our_own_forms_pass_nginx_and_foreign_ones_do_not(alice):
    ours, foreign = {"Origin": alice.base_url}, {"Origin": "http://evil.example"}

    assert alice.post("/conversations", data={"text": "Hi"}, headers=ours).status_code == 200
    assert alice.post("/conversations", data={"text": "Hi"}, headers=foreign).status_code == 403
    secure = {"Origin": alice.base_url.replace("http:", "https:")}
    assert alice.post("/conversations", data={"text": "Hi"}, headers=secure).status_code == 403


def test_the_figures_do_not_pass_nginx(alice):
    assert alice.get("/metrics").status_code == 403


def test_open_login_behind_nginx_must_be_allowed_by_name(start_nginx, start_server):
    with Visitor(start_nginx(start_server())) as visitor:
        answer = visitor.get("/")

    assert answer.status_code == 403
    assert "LOCKCHAT_ALLOW_OPEN=proxy" in answer.text


@pytest.mark.parametrize("megabytes", [3, 80])
def test_a_file_that_is_too_large_gets_its_sentence_with_and_without_nginx(start_nginx, start_server, megabytes):
    server = start_server(ALLOW_OPEN="proxy", MAX_IMPORT_BYTES=2**20)
    file = b" " * (megabytes * 2**20)

    answers = []
    for address in (server.url, start_nginx(server)):
        with Visitor(address) as visitor:
            answers.append(visitor.post("/import", files={"file": ("x.json", file)}))

    assert [answer.status_code for answer in answers] == [413, 413]
    assert all("The file is too large: 1 MB are allowed." in answer.text for answer in answers)


def test_a_file_of_more_than_nginxs_default_is_imported(alice):
    file = '{"format": "lockchat", "version": 1, "messages": [{"id": "a", "role": "user", "text": "Hi"}]}'

    answer = alice.post("/import", files={"file": ("x.json", file.ljust(3 * 2**20))}, allow_redirects=False)

    assert answer.status_code == 303
