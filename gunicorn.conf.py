"""gunicorn's settings: a bare `gunicorn wsgi:app` reads this file and is right for long streams."""

import gc
import os
import resource
import signal
import subprocess
import sys

from gunicorn.glogging import Logger
from gunicorn.util import set_owner_process

from webapp import logs, siblings
from webapp.config import Config, check_bind
from webapp.errors import ConfigError
from webapp.text import new_id

bind = os.environ.get("LOCKCHAT_BIND", "127.0.0.1:8000")
# One gevent process holds a thousand streams; threads stop at a handful of slow readers.
worker_class = "webapp.worker.Worker"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_connections = 2000
timeout = 60  # of the worker's own sign of life, not of a request
graceful_timeout = 10  # running replies are saved as interrupted well before
keepalive = 5
control_socket_disable = True
# Else a local client, or one behind a proxy that passes such headers on, could name the path and the prefix.
forwarder_headers = ""
limit_request_fields = 64  # twice what a browser behind a proxy sends
limit_request_field_size = 16 * 2**10  # bytes; twice the usual limit, for the cookies of all services of a domain

# Each connection is an open file, and often one more to the upstream; many systems allow only 1024 at first.
files, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
if 0 <= files < 4 * worker_connections:
    wanted_files = 4 * worker_connections if most_files < 0 else min(4 * worker_connections, most_files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted_files, most_files))

logs.start()

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # gunicorn sets its own after `on_starting`
    # Ends the process without the traceback of a KeyboardInterrupt; the kernel's own action spares the first process
    # of a container.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))


class logger_class(Logger):  # noqa: N801 (gunicorn's name of the setting)
    """gunicorn's own lines in our format."""

    def setup(self, cfg):
        super().setup(cfg)
        logs.take_over([self.error_log, self.access_log])


def on_starting(server):
    """Refuse settings that cannot be used and upgrade the database before any worker starts."""
    from webapp.worker import Worker  # loads gevent

    if (os.environ | server.cfg.env).get("FLASK_DEBUG", "0").lower() not in ("", "0", "false", "no"):
        sys.exit("Lockchat cannot start: FLASK_DEBUG is set, which shows errors with code to everyone. Remove it.")
    if not issubclass(server.worker_class, Worker):
        sys.exit(
            f"Lockchat cannot start: workers of the class {server.cfg.worker_class_str!r} cut long answers and block"
            f" pages. Leave out -k, --worker-class and --threads: gunicorn.conf.py sets {worker_class}."
        )
    if server.cfg.preload_app:
        sys.exit("Lockchat cannot start: with --preload its threads would stay behind in the first process.")
    _check([address[0] if isinstance(address, tuple) else address for address in server.cfg.address])
    if _upgrade(server):
        sys.exit(1)  # the reason is printed
    if Config.from_env().login != "open":
        _run(server, "webapp.cli")  # prints a link for the first administrator


def on_reload(server):
    """Upgrade for the new code before its workers start; the old ones serve on. Workers report what fails."""
    _upgrade(server)


def _upgrade(server):
    """Upgrade the database in a process of its own; return its exit status.

    If a worker did it, the others would give up waiting after a minute, and gunicorn would end with them.
    """
    return _run(server, "webapp.storage.migrate")


def _run(server, module):
    """Run a module in a process of its own, as the user that workers run as; return its exit status."""
    environment = os.environ | server.cfg.env | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-m", module],
        env=environment,
        process_group=0,  # out of reach of Ctrl-C, which would interrupt an upgrade, with a traceback
        preexec_fn=lambda: set_owner_process(server.cfg.uid, server.cfg.gid, initgroups=server.cfg.initgroups),
    ).returncode


def when_ready(server):
    """Look at the sockets themselves: those of systemd need not be what the settings say."""
    names = [listener.getsockname() for listener in server.LISTENERS]
    _check([name[0] for name in names if isinstance(name, tuple)])


def _check(addresses):
    try:
        check_bind(Config.from_env(), addresses)
    except ConfigError as error:
        sys.exit(f"Lockchat cannot start: {error.sentence}")


def pre_fork(server, worker):
    """Name the worker. Let it share the memory of this process: its garbage collector would write to every object."""
    worker.lockchat_id = siblings.next_id = new_id()
    gc.collect()
    gc.freeze()


def post_fork(server, worker):
    """Let a stop end a new worker. Until it sets its handlers, it has those of gunicorn, which do nothing in it."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os._exit(0))


def child_exit(server, worker):
    """Note a dead worker. The next one interrupts its replies at once, where others wait for its heartbeat."""
    if worker_id := getattr(worker, "lockchat_id", ""):  # those from before a reload of this file have none
        siblings.dead.append(worker_id)


def post_worker_init(worker):
    """Let the app see that its worker was told to stop, so that it can end its streams in good order."""
    worker.wsgi.extensions["lockchat"].hub.is_stopping = lambda: not worker.alive
    # Code lives as long as the worker. To look through it for garbage held the loop for 20 to 100 ms, again and again.
    gc.collect()
    gc.freeze()


def worker_exit(server, worker):
    """Save the replies that nobody watches: gunicorn waits for connections only."""
    if worker.booted and worker.wsgi:
        worker.wsgi.extensions["lockchat"].close()
