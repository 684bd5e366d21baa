"""The app's parts, each with a name and a type. `webapp.app` builds them once; views read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Flask, current_app
from prometheus_client import Counter

from webapp.accounts import Accounts
from webapp.archive import Archive
from webapp.audit import Audit
from webapp.changes import Changes
from webapp.completions import Completions
from webapp.config import Config
from webapp.conversations import Conversations
from webapp.folders import Folders
from webapp.following import Following
from webapp.generation import Hub
from webapp.identities import Identities
from webapp.invites import Invites
from webapp.keys import Keys
from webapp.leaving import Leaving
from webapp.limits import PAGES, Gate
from webapp.notices import Notices
from webapp.offers import Offers
from webapp.openings import Openings
from webapp.presets import Presets
from webapp.queue import Queue
from webapp.quotas import Door
from webapp.shares import Shares
from webapp.storage import Storage
from webapp.trials import Trials
from webapp.turns import Turns
from webapp.typesetter import Typesetter
from webapp.upkeep import Upkeep
from webapp.upstream.models import Models
from webapp.usage import Usage
from webapp.users import Users
from webapp.views.places import Places

if TYPE_CHECKING:
    from webapp.oidc.flow import Flow  # loads Authlib, which most installations do not need

NAME = "lockchat"
ERRORS = "Requests that this worker answered with an error."


@dataclass(frozen=True, slots=True)
class Team:
    """The parts that open login does not use; `flow` is for sign-in at an identity provider."""

    accounts: Accounts
    identities: Identities
    leaving: Leaving
    invites: Invites
    users: Users
    keys: Keys
    shares: Shares
    openings: Openings
    audit: Audit
    usage: Usage
    trials: Trials
    flow: Flow | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What views and gunicorn's hooks use. `close` ends the background work and closes all connections."""

    config: Config
    storage: Storage
    hub: Hub
    models: Models
    offers: Offers
    notices: Notices
    conversations: Conversations
    following: Following
    turns: Turns
    queue: Queue
    presets: Presets
    folders: Folders
    archive: Archive
    completions: Completions
    followers: Door
    team: Team
    changes: Changes
    watchers: Gate
    typesetter: Typesetter
    upkeep: Upkeep
    close: Callable[[], None]
    slow_bodies: Places = field(default_factory=Places)
    probes: Gate = field(default_factory=lambda: Gate(PAGES, per_user=10, per_address=5, total=10))
    errors: Counter = field(default_factory=lambda: Counter("lockchat_errors", ERRORS, ["code"], registry=None))


def keep(app: Flask, parts: Parts) -> None:
    """Store the parts in the app."""
    app.extensions[NAME] = parts


def of(app: Flask) -> Parts:
    """The parts of an app outside requests, for tests and gunicorn's hooks."""
    found: Parts = app.extensions[NAME]
    return found


def parts() -> Parts:
    """The parts of the current request's app."""
    found: Parts = current_app.extensions[NAME]
    return found


def flow() -> Flow:
    """The way to the identity provider, where users sign in there."""
    found = parts().team.flow
    assert found is not None
    return found
