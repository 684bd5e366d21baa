"""The stage for faults: servers, browsers on them, and what the database holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.drip import Drip
from tests.faults.vitals import Database
from tests.server import Server
from tests.upstream import Upstream, tokens
from tests.visitor import Visitor


@pytest.fixture
def open_browser() -> Iterator[Callable[[Server], Visitor]]:
    """Open one more browser on a server; it has its cookie already."""
    visitors: list[Visitor] = []

    def open_browser(server: Server) -> Visitor:
        visitors.append(Visitor(server.url))
        assert visitors[-1].get("/").status_code == 200
        return visitors[-1]

    yield open_browser
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def drip(upstream: Upstream) -> Drip:
    """The slow answer to the first question; the others are answered at once."""
    drip = Drip()
    scripts = iter([drip])
    upstream.always(lambda request: next(scripts, lambda _: tokens("Hello", " world"))(request))
    return drip


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server with default settings."""
    return start_server()


@pytest.fixture
def alice(open_browser: Callable[[Server], Visitor], server: Server) -> Visitor:
    """A member."""
    return open_browser(server)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """What the database holds, read past the app."""
    database = Database(database_url)
    yield database
    database.close()
