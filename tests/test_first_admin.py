"""The first administrator comes by a link that the start prints; further ones by a command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

from tests.server import ROOT
from tests.team import PASSWORD, is_signed_in
from tests.visitor import Visitor

LINK = re.compile(r"http://127\.0\.0\.1:\d+(/invite/[\w-]{43}) ")


def flask(command: str, tmp_path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LOCKCHAT_DATA_DIR": str(tmp_path / "data")}
    environment |= {f"LOCKCHAT_{name}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "flask", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_printed_link_makes_one_administrator_whatever_the_worker(start_server):
    server = start_server(LOGIN="password", workers=2)
    [path] = LINK.findall(server.log.read_text())
    visitors = [Visitor(server.url) for _ in range(8)]
    statuses = []

    def accept(number: int) -> None:
        answer = visitors[number].post_form(path, name=f"Carol {number}", password=PASSWORD)
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=accept, args=[number]) for number in range(len(visitors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [303] + [404] * 7
    assert sum(is_signed_in(visitor) for visitor in visitors) == 1
    for visitor in visitors:
        visitor.close()


def test_a_start_with_an_administrator_prints_no_link(start_server):
    first = start_server(LOGIN="password")
    [path] = LINK.findall(first.log.read_text())
    with Visitor(first.url) as carol:
        carol.post_form(path, name="Carol", password=PASSWORD)
    first.kill()
    first.log.write_text("")

    second = start_server(LOGIN="password")

    assert "/invite/" not in second.log.read_text()


def test_open_login_prints_no_link(start_server):
    assert "/invite/" not in start_server().log.read_text()


def test_a_command_prints_a_link_for_one_more_administrator(make_team, tmp_path, database_url):
    team = make_team()
    team.join("Carol", "admin")

    done = flask("create-admin", tmp_path, LOGIN="password", DATABASE_URL=database_url)
    [token] = re.findall(r"open /invite/([\w-]{43}) at", done.stdout)
    team.stranger().post_form(f"/invite/{token}", name="Dora", password=PASSWORD)

    assert [account.role for account in team.parts.team.users.all()] == ["admin", "admin"]


def test_the_command_is_not_for_open_login(tmp_path, database_url):
    done = flask("create-admin", tmp_path, DATABASE_URL=database_url)

    assert done.returncode == 1
    assert "nobody has an account" in done.stderr
