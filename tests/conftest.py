"""The cast and the stage: a real upstream, a real database, a real server, the browsers of three people."""

from __future__ import annotations

import gc
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import settings
from jinja2 import StrictUndefined
from markdown_it.token import Token
from werkzeug.serving import make_server

from tests import compiled, databases
from tests.databases import Copies, new_database, open_copies
from tests.server import Server
from tests.team import Team
from tests.upstream import Upstream
from tests.visitor import Visitor
from webapp import create_app, patches
from webapp.config import Config
from webapp.markdown import Env
from webapp.storage import Storage
from webapp.storage.migrate import migrate
from webapp.upstream import models

if not os.environ.get("CI"):  # where there is no deadline, and the same hundred examples each time
    settings.register_profile("here", deadline=None, max_examples=30)
    settings.load_profile("here")

# Where Python writes no bytecode, each server of a test would compile the app, which is half of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

models.FIRST_WAIT_SECONDS = 60.0  # a busy machine may ask for the list late

compiled.keep()
TEMPLATES = compiled.Templates()

QUICK = "not browser and not faults"
GARBAGE_OBJECTS = 20_000  # before they are looked through; a test makes thousands, and leaves few


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Six test processes for the quick suite, which often waits; one where browsers and faults are timed."""
    return 6 if config.option.markexpr == QUICK else 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked as long too")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Load no tests of browsers and faults, which are marked so file by file, where none of them runs."""
    is_left_out = config.option.markexpr == QUICK and collection_path.parent == Path(__file__).parent
    return True if is_left_out and collection_path.name in ("browser", "faults") else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while the tests are found, never look at them again, as they stay, and then less often."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests unless they are asked for, and on PostgreSQL those that touch no database."""
    left_out = [item for item in items if not _is_wanted(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if _is_wanted(item)]


def _is_wanted(item: pytest.Item) -> bool:
    if item.get_closest_marker("long") and not item.config.option.long:
        return False
    fixtures = getattr(item, "fixturenames", [])
    return not databases.SERVER or "model_database_url" in fixtures or "empty_database_url" in fixtures


def need(present: object, what: str) -> None:
    """Skip a test for what this machine lacks, and say so; in CI nothing may be lacking."""
    if not present:
        assert not os.environ.get("CI"), f"CI lacks {what}"
        pytest.skip(f"this machine lacks {what}")


@pytest.fixture
def empty_database_url(tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    with new_database(tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def model_database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with all tables, to copy: the migrations run once, not in every test."""
    with new_database(tmp_path_factory.mktemp("model")) as url:
        storage = Storage(url)
        migrate(storage)
        storage.close()
        yield url


@pytest.fixture(scope="session")
def copies(model_database_url: str) -> Iterator[Copies]:
    """Databases of the server with all tables, to use again."""
    with open_copies(model_database_url) as copies:
        yield copies


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path, model_database_url: str) -> Iterator[str]:
    """A database with all tables and no rows. A test of faults may leave anything in it, so nobody uses it again."""
    is_used_again = databases.SERVER and not request.node.get_closest_marker("faults")
    new = request.getfixturevalue("copies").one() if is_used_again else new_database(tmp_path, model_database_url)
    with new as url:
        yield url


@pytest.fixture
def storage(database_url: str) -> Iterator[Storage]:
    """An open database with all tables, for tests without an app."""
    storage = Storage(database_url)
    yield storage
    storage.close()


@pytest.fixture
def other_storage(storage: Storage) -> Iterator[Storage]:
    """The database as another worker sees it."""
    other = Storage(storage.url.render_as_string(hide_password=False))
    yield other
    other.close()


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server's clock shows the time of Tokyo, nine hours ahead."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A scripted upstream; unless told otherwise it answers "Hello world"."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key and certificate of a local server; `ca.pem` beside it has the certificate alone."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(
        [*command.split(), "-keyout", str(path), "-out", str(path.with_name("ca.pem"))],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Upstream]:
    """An upstream with TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.with_name("ca.pem"), certificate)
    with Upstream(tls=context) as upstream:
        yield upstream


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that growing texts parse."""
    sources: list[str] = []
    parse = patches.parse

    def note(source: str, env: Env) -> list[Token]:
        sources.append(source)
        return parse(source, env)

    monkeypatch.setattr(patches, "parse", note)
    return sources


@pytest.fixture
def make_site(upstream: Upstream, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Start the app on a threaded server of this process; arguments are settings. Its `url` is in `extensions`."""
    closers: list[Callable[[], object]] = []

    def make(**settings: object) -> Flask:
        defaults = {"url": upstream.url, "database_url": database_url, "data_dir": tmp_path / "data"}
        app = create_app(Config(**(defaults | settings)))
        app.jinja_env.bytecode_cache = TEMPLATES
        app.jinja_env.undefined = StrictUndefined  # a name that no view gives to a template is an error here
        server = make_server("127.0.0.1", 0, app, threaded=True)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        app.extensions["url"] = f"http://127.0.0.1:{server.server_port}"
        closers.extend([app.extensions["lockchat"].close, server.server_close, server.shutdown])
        return app

    yield make
    for close in reversed(closers):
        close()


@pytest.fixture
def site(make_site: Callable[..., Flask]) -> Flask:
    """The app with default settings."""
    return make_site()


@pytest.fixture
def visit(site: Flask) -> Iterator[Callable[[], Visitor]]:
    """Open one more browser on the site."""
    visitors: list[Visitor] = []

    def visit() -> Visitor:
        visitors.append(Visitor(site.extensions["url"]))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def make_visitor(make_site: Callable[..., Flask]) -> Iterator[Callable[..., Visitor]]:
    """Open a browser on a site of its own; arguments are settings."""
    visitors: list[Visitor] = []

    def make(**settings: object) -> Visitor:
        visitors.append(Visitor(make_site(**settings).extensions["url"]))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def alice(visit: Callable[[], Visitor]) -> Visitor:
    """A member."""
    return visit()


@pytest.fixture
def bob(visit: Callable[[], Visitor]) -> Visitor:
    """A stranger to Alice's conversations."""
    return visit()


@pytest.fixture
def make_team(make_site: Callable[..., Flask]) -> Iterator[Callable[..., Team]]:
    """Start a site with password login; arguments are settings."""
    teams: list[Team] = []

    def make(**settings: object) -> Team:
        teams.append(Team(make_site(**({"login": "password"} | settings))))
        return teams[-1]

    yield make
    for team in teams:
        for visitor in team.visitors:
            visitor.close()


@pytest.fixture
def team(make_team: Callable[..., Team]) -> Team:
    """A site with password login, and nobody on it yet."""
    return make_team()


@pytest.fixture
def carol(team: Team) -> Visitor:
    """An administrator."""
    return team.join("Carol", "admin")


@pytest.fixture
def start_server(upstream: Upstream, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start the real gunicorn; keyword arguments are settings without their prefix."""
    servers: list[Server] = []

    def start(**settings: object) -> Server:
        defaults: dict[str, object] = {"URL": upstream.url, "DATABASE_URL": database_url}
        servers.append(Server(tmp_path, **(defaults | settings)))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
