"""The app: builds the parts and joins them. It alone sees everything."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from webapp import cli, lockchat, logs, secret_key, siblings
from webapp.accounts import Accounts
from webapp.archive import Archive
from webapp.audit import Audit
from webapp.background import Background
from webapp.changes import Changes
from webapp.completions import Completions
from webapp.config import Config
from webapp.conversations import Conversations
from webapp.environment import is_private
from webapp.errors import ConfigError, StorageUnavailable
from webapp.folders import Folders
from webapp.following import Following
from webapp.generation import Hub
from webapp.history import HISTORY_CHARS
from webapp.identities import Identities
from webapp.invites import Invites
from webapp.keys import Keys
from webapp.leaving import Leaving
from webapp.limits import ANSWERS, DAY_SECONDS, PAGES, STORED, Allowance, Gate, Words
from webapp.lockchat import Lockchat
from webapp.notices import Notices
from webapp.offers import Offers
from webapp.openings import Openings
from webapp.passwords import Passwords
from webapp.presets import Presets
from webapp.pulse import Pulse
from webapp.queue import Queue
from webapp.quotas import FOLLOWERS, Door, Quotas, SendLimits
from webapp.rendering import process
from webapp.retention import Retention
from webapp.settings import SettingsCheck
from webapp.shares import Shares
from webapp.storage import Storage, files
from webapp.storage.migrate import migrate
from webapp.storage.pictures import keep as keep_picture
from webapp.team import OIDC, PASSWORD, PROXY
from webapp.text import new_id
from webapp.titles import ANSWER_BYTES, TOTAL_SECONDS, Titler
from webapp.trials import Trials
from webapp.turns import Turns
from webapp.typesetter import Typesetter
from webapp.upkeep import Upkeep
from webapp.upstream import demo
from webapp.upstream.models import Models
from webapp.usage import Usage
from webapp.users import Users
from webapp.views import (
    admin,
    api,
    chat,
    door,
    forms,
    health,
    http,
    joining,
    leaving,
    limits,
    listing,
    notices,
    pages,
    parts,
    pictures,
    search,
    settings,
    shared_presets,
    sharing,
    stream,
    transfer,
    usage,
    visitor,
    welcome,
)
from webapp.views import changes as changes_views
from webapp.views import folders as folder_views
from webapp.views import keys as keys_views
from webapp.views import log as log_view
from webapp.views import models as models_view
from webapp.views import oidc as oidc_views
from webapp.views import queue as queue_views
from webapp.views import upstream as upstream_views

if TYPE_CHECKING:
    from webapp.oidc.flow import Flow

ROOT = Path(__file__).parent.parent
YEAR = timedelta(days=365)
RETRY_SECONDS = 2.0

Part = Background | Pulse

log = logging.getLogger(__name__)


def build(config: Config) -> Flask:
    """The Flask app, with its pulse running. See `webapp.create_app`."""
    config.check_login()
    files.make_directory(config.data_dir)
    app = Flask("webapp", root_path=str(ROOT), template_folder="templates", static_folder="static")
    secret = config.secret_key or secret_key.kept(config.data_dir / "secret_key")
    logs.hide([*config.secrets, secret])
    app.config.update(
        SECRET_KEY=secret,
        SESSION_COOKIE_NAME=visitor.cookie_name(secret),
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=YEAR,
        SESSION_REFRESH_EACH_REQUEST=False,  # a slow answer must not bring an old cookie back
        SEND_FILE_MAX_AGE_DEFAULT=YEAR,
        MAX_CONTENT_LENGTH=config.max_import_bytes + forms.OTHER_BYTES,
    )
    cast(DefaultJSONProvider, app.json).ensure_ascii = False  # every answer is UTF-8
    _join(app, config)
    _dress(app, config)
    cli.init_app(app)
    return app


def _join(app: Flask, config: Config) -> None:
    """Build the parts and make them known to the views."""
    storage, rendering = _database(config), _renderer()
    hub = Hub(rendering.render, partial(keep_picture, storage))
    upstream = Lockchat.of(config, config.url or demo.start())
    models, worker_id = _models(config, upstream), siblings.next_id or new_id()
    limits = _send_limits(config)
    offers = Offers(storage, models, has_roles=config.login != "open")
    check = SettingsCheck(offers, config.max_question_chars)
    pulse = Pulse(storage, hub, worker_id, siblings.dead)
    typesetter = Typesetter(storage, rendering)
    turns = Turns(config, storage, hub, upstream, models, offers, check, limits, worker_id)
    queue = Queue(config, storage, check, turns)
    upkeep, changes = Upkeep(storage, Retention(config, storage), config.audit_days), Changes(storage, hub)
    team = _team(app, config, storage, hub, upkeep, Trials(config, upstream, storage, models))
    # Closed in this order: the end of a reply at the close sends no queued message.
    pulse.on_saved.append(lambda _reply_id: queue.wake())
    pulse.on_interrupted.append(typesetter.wake)  # else a page shows their text as it is written, for seconds
    background = _started([queue, pulse, typesetter, upkeep, changes, team.openings, *_titlers(config, storage, pulse)])
    parts.keep(
        app,
        parts.Parts(
            config=config,
            storage=storage,
            hub=hub,
            models=models,
            offers=offers,
            notices=Notices(storage, config),
            conversations=Conversations(storage, hub),
            following=Following(storage, hub),
            turns=turns,
            queue=queue,
            presets=Presets(storage, check),
            folders=Folders(storage),
            archive=Archive(config, storage, models, limits, typesetter),
            completions=Completions(storage, upstream, offers, limits),
            followers=_followers(config, storage, limits.quotas),
            team=team,
            changes=changes,
            watchers=_streams(config, PAGES),
            typesetter=typesetter,
            upkeep=upkeep,
            close=partial(_close, hub, [*background, upstream, *([team.flow] if team.flow else []), storage]),
        ),
    )


def _started(background: list[Part]) -> list[Part]:
    for worker in background:
        worker.start()
    return background


def _titlers(config: Config, storage: Storage, pulse: Pulse) -> list[Titler]:
    if config.titles != "upstream" or not config.url:  # the demo has no model to ask
        return []
    titler = Titler(Lockchat.of(config.hurried(TOTAL_SECONDS, ANSWER_BYTES), config.url), storage)
    pulse.on_saved.append(titler.offer)
    return [titler]


def _close(hub: Hub, closing: Sequence[Part | Lockchat | Flow | Storage]) -> None:
    """Stop what runs in the background, and let go of files and connections."""
    for generation in hub.all().values():
        generation.stop("interrupted")
    for part in closing:
        part.close()


def _team(app: Flask, config: Config, storage: Storage, hub: Hub, upkeep: Upkeep, trials: Trials) -> parts.Team:
    """The parts for users who sign in."""
    passwords = Passwords()
    accounts = Accounts(storage, passwords, config.login)
    return parts.Team(
        accounts=accounts,
        identities=Identities(storage),
        leaving=Leaving(storage, hub, accounts, upkeep.wake),
        invites=Invites(storage, passwords, config.login),
        users=Users(storage, hub, config.login),
        keys=Keys(storage, config.login),
        shares=Shares(storage),
        openings=Openings(storage),
        audit=Audit(storage),
        usage=Usage(storage, config.login),
        trials=trials,
        flow=_flow(config, app.config["SECRET_KEY"]),
    )


def _flow(config: Config, secret: str) -> Flow | None:
    """The way to the identity provider, if users sign in there. Raises ConfigError without the packages for it."""
    if config.login != OIDC or not config.oidc:
        return None
    try:
        from webapp.oidc.flow import Flow  # loads Authlib, which other installations do without
        from webapp.oidc.provider import Provider
    except ImportError as error:
        raise ConfigError(
            f"LOCKCHAT_LOGIN=oidc needs packages that cannot be loaded ({error})."
            " Install them: .venv/bin/pip install -r webapp/oidc/requirements.txt"
        ) from None

    host = urlsplit(config.oidc.issuer).hostname or ""
    return Flow(config.oidc, Provider(config.oidc, None if is_private(host) else config.proxy), secret)


def _database(config: Config) -> Storage:
    """The database, at the newest schema."""
    storage = Storage(config.storage_url)
    if storage.is_sqlite:
        files.remove_old_copies(storage.url.database)
    _bring_up_to_date(storage)
    return storage


def _models(config: Config, upstream: Lockchat) -> Models:
    models = Models(upstream.offered_models, upstream.list_address, config.models, lockchat.model)
    if config.url:
        models.start()  # the log says at once whether the address is right
    return models


def _renderer() -> process.Renderer:
    rendering = process.shared()
    threading.Thread(target=rendering.render, args=["warm up"], daemon=True).start()  # it takes a second
    return rendering


def _followers(config: Config, storage: Storage, quotas: Quotas) -> Door:
    """Limits open streams: several tabs may follow one reply, and a reader who left is noticed a beat later."""
    return Door(
        PAGES,
        storage,
        quotas,
        FOLLOWERS,
        per_user=4 * config.streams_per_user,
        per_address=2 * config.streams_per_address,
        total=2 * config.streams_total,
    )


def _streams(config: Config, words: Words) -> Gate:
    return Gate(
        words, per_user=config.streams_per_user, per_address=config.streams_per_address, total=config.streams_total
    )


def _send_limits(config: Config) -> SendLimits:
    """The limits that all doors to a send share."""
    # The histories of running replies stay in memory until the replies end.
    histories = Gate(ANSWERS, per_user=8 * HISTORY_CHARS, per_address=16 * HISTORY_CHARS, total=32 * HISTORY_CHARS)
    allowance = Allowance(STORED, config.stored_chars_per_day, DAY_SECONDS)
    return SendLimits(_streams(config, ANSWERS), histories, allowance, Quotas(config))


def _bring_up_to_date(storage: Storage, *, again: bool = False) -> None:
    """Migrate. While a database server is away the app runs all the same: its pages say so, and nobody's stream ends.

    gunicorn would end every worker because of one that cannot begin. A file that cannot be opened is a wrong setting.
    """
    if storage.is_closed:  # with the app, while the server was away
        return
    try:
        migrate(storage)
    except StorageUnavailable as error:
        if storage.is_sqlite:
            raise
        log.error("%s", error.sentence)
    except Exception:
        if not again:
            raise
        log.exception("the database could not be brought up to date")
    else:
        return
    timer = threading.Timer(RETRY_SECONDS, _bring_up_to_date, [storage], {"again": True})
    timer.daemon = True
    timer.start()


def _dress(app: Flask, config: Config) -> None:
    """Add the views, and what runs around them."""
    http.init_app(app)
    pages.init_app(app)
    modules = [chat, queue_views, changes_views, folder_views, pictures, settings, stream, health, search]
    modules += [transfer, listing]
    if config.login != "open":
        modules += [joining, leaving, admin, limits, models_view, notices, shared_presets, usage, upstream_views]
        modules.append(log_view)
    modules += {PASSWORD: [door], OIDC: [door, oidc_views], PROXY: [welcome]}.get(config.login, [])
    if config.sharing == "team":
        modules.append(sharing)
    if config.api:
        modules += [keys_views, api]
    for module in modules:
        app.register_blueprint(module.blueprint)
