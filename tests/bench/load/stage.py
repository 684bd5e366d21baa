"""The parts of a measurement, each in a process of its own: upstream and client on one core, the server on another."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.bench.load import answers
from tests.server import Server, free_port
from tests.wait import wait_until

HERE = Path(__file__).parent
BUILT = Path(tempfile.gettempdir()) / f"lockchat-bench-{os.getuid()}"
START_SECONDS = 60.0
FORM = "application/x-www-form-urlencoded"
MOST_CONNECTIONS = "9000"
# No limit and no deadline of the product may end a measurement.
SETTINGS = {
    "STREAMS_TOTAL": 20_000,
    "STREAMS_PER_ADDRESS": 20_000,
    "STREAMS_PER_USER": 10_000,
    "FIRST_TOKEN_SECONDS": 900,
    "IDLE_SECONDS": 900,
    "TOTAL_SECONDS": 7_200,
}
NGINX = """
daemon off; worker_processes 1; pid {0}/nginx.pid; error_log {0}/nginx.err warn; worker_rlimit_nofile 20000;
events {{ worker_connections 9000; }}
http {{
  access_log off; client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0};
  scgi_temp_path {0}; upstream models {{ server 127.0.0.1:{1}; keepalive 512; }}
  server {{
    listen 127.0.0.1:{2} backlog=4096;
    location / {{
      proxy_pass http://models; proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_read_timeout 900s;
    }}
  }}
}}
"""
LITELLM = """
model_list:
  - model_name: fake-model-1
    litellm_params: {{model: openai/fake-model-1, api_base: "http://127.0.0.1:{0}/v1", api_key: none}}
"""
LITELLM_COMMAND = Path(__file__).parents[2] / "real" / ".venv" / "bin" / "litellm"


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the server alone, one for everything else."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise SystemExit("two cores are needed: one for the server, one for its load")
        return cls(cores[0], cores[1])

    @contextlib.contextmanager
    def for_server(self) -> Iterator[None]:
        """What starts inside of the block runs on the server's core."""
        os.sched_setaffinity(0, {self.server})
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self.load})


def compiled(name: str, *flags: str) -> Path:
    """A program or library of one C file here, compiled unless that has been done since its last change."""
    source, target = HERE / f"{name}.c", BUILT / name
    changed = max(source.stat().st_mtime, (HERE / "common.h").stat().st_mtime)
    if not target.exists() or target.stat().st_mtime < changed:
        compiler = shutil.which("cc")
        if not compiler:
            raise SystemExit("a C compiler is needed (Debian: gcc, libc6-dev)")
        BUILT.mkdir(mode=0o700, exist_ok=True)
        draft = BUILT / f"{name}.{os.getpid()}"
        subprocess.run([compiler, "-O2", "-Wall", "-o", str(draft), str(source), *flags], check=True)
        draft.replace(target)
    return target


class Upstream:
    """The upstream's process. `asked` and `sent` tell when the last question came and its first token left."""

    def __init__(self, directory: Path) -> None:
        answers.write(directory / "tokens.txt")
        command = [str(compiled("upstream")), str(directory / "tokens.txt")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        self.pid = self._process.pid
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)

    def stats(self) -> dict[str, float]:
        """What it has sent, and when the last question came and its first token left, on the monotonic clock."""
        return self._get("/stats")

    def go(self) -> None:
        """Let all held answers begin."""
        self._get("/go")

    def _get(self, path: str) -> dict[str, float]:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            found: dict[str, float] = json.load(answer)
        return found


class Client:
    """The client's process: follows all streams, and tells what happened in each window of time."""

    def __init__(self, directory: Path, port: int, requests: Sequence[bytes], upstream: Upstream, root: int) -> None:
        file = directory / "requests"
        file.write_bytes(b"".join(b"%d\n%b" % (len(request), request) for request in requests))
        pids = [str(process.pid) for process in tree(root)]
        command = [str(compiled("client")), str(port), str(file), str(upstream.port), str(upstream.pid), *pids]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        if self._out.readline() != "ready\n":
            raise SystemExit("the client could not open its streams")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)

    def window(self) -> dict[str, Any]:
        """What happened since the last window."""
        self._in.write("\n")
        self._in.flush()
        found: dict[str, Any] = json.loads(self._out.readline())
        return found


class Lockchat:
    """Our gunicorn. Each stream is a user of its own, who has sent a question and follows its answer."""

    name = "Lockchat"

    def __init__(self, directory: Path, cores: Cores, upstream: Upstream, **options: Any) -> None:
        arguments = ("--worker-connections", MOST_CONNECTIONS, "--backlog", "4096", *options.pop("arguments", ()))
        settings = {"URL": upstream.url, **SETTINGS, **options}
        with cores.for_server():
            self.server = Server(directory, arguments=arguments, **settings)
        self.port, self.root = self.server.port, self.server.master.pid
        self.loop_log = directory / "loop.log"  # of `tests.watched`

    def requests(self, number: int, question: str) -> list[bytes]:
        return [_following(self.port, question) for _ in range(number)]

    def close(self) -> None:
        self.server.kill()


class Nginx:
    """nginx, which passes the upstream's answer on as it is."""

    name = "nginx"

    def __init__(self, directory: Path, cores: Cores, upstream: Upstream) -> None:
        self.port = free_port()
        file = directory / "nginx.conf"
        file.write_text(NGINX.format(directory, upstream.port, self.port))
        command = [program("nginx"), "-c", str(file), "-p", str(directory)]
        self._process = started(command, cores, directory / "nginx.log", f"http://127.0.0.1:{self.port}/v1/models")
        self.root = self._process.pid

    def requests(self, number: int, question: str) -> list[bytes]:
        return [completion(question)] * number

    def close(self) -> None:
        end(self._process)


class LiteLLM:
    """LiteLLM's proxy, where it is installed: see tests/real."""

    name = "LiteLLM"

    def __init__(self, directory: Path, cores: Cores, upstream: Upstream) -> None:
        self.port = free_port()
        file = directory / "litellm.yaml"
        file.write_text(LITELLM.format(upstream.port))
        command = [str(LITELLM_COMMAND), "--config", str(file), "--host", "127.0.0.1", "--port", str(self.port)]
        url = f"http://127.0.0.1:{self.port}/health/liveliness"
        self._process = started(command, cores, directory / "litellm.log", url)
        self.root = self._process.pid

    def requests(self, number: int, question: str) -> list[bytes]:
        return [completion(question)] * number

    def close(self) -> None:
        end(self._process)


def _following(port: int, question: str) -> bytes:
    """Send a question as a new user; the request that follows its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    connection.request("GET", "/")
    page = connection.getresponse()
    page.read()
    headers = {"Cookie": page.headers["Set-Cookie"].split(";")[0], "Content-Type": FORM}
    form = urllib.parse.urlencode({"text": question, "key": os.urandom(8).hex()})
    connection.request("POST", "/conversations", form, headers)
    answer = connection.getresponse()
    words = answer.read()
    connection.close()
    found = re.search(r"#m-(.+)$", answer.headers["Location"] or "")
    if not found:
        raise SystemExit(f"a question was refused with {answer.status}: {words[-1000:].decode()}")
    return (
        f"GET /m/{found[1]}/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n"
        f"Cookie: {headers['Cookie']}\r\n\r\n"
    ).encode()


def completion(question: str) -> bytes:
    """The request that asks an upstream for the answer."""
    body = {"model": "fake-model-1", "stream": True, "messages": [{"role": "user", "content": question}]}
    data = json.dumps(body, separators=(",", ":")).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def program(name: str) -> str:
    """The path of a program, also in the folders of an administrator."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        raise SystemExit(f"{name} is needed (Debian: {name})")
    return found


def started(command: list[str], cores: Cores, log: Path, url: str) -> subprocess.Popen[bytes]:
    """Start a server on its core, and wait until it answers."""
    with cores.for_server(), log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)

    def answers_() -> bool:
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(url, timeout=5).read())
        return False

    wait_until(answers_, START_SECONDS, command[0])
    return process


def end(process: subprocess.Popen[Any]) -> None:
    """End a process of ours, and wait until it is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


def tree(root: int) -> list[psutil.Process]:
    """A process and all below it."""
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def memory_mb(root: int) -> float:
    """The memory of a process and all below it: PSS, in which shared pages count once."""
    return sum(process.memory_full_info().pss for process in tree(root)) / 2**20


def processor_seconds(root: int) -> float:
    """The processor time of a process and all below it, to the microsecond."""
    # MAKE_PROCESS_CPUCLOCK of the kernel, which `clock_getcpuclockid` returns: 2 is the scheduler's own count.
    return sum(time.clock_gettime(~process.pid << 3 | 2) for process in tree(root))


def versions() -> str:
    """The machine, the date and what is measured."""
    from importlib.metadata import version

    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    packages = ", ".join(f"{name} {version(name)}" for name in ("gunicorn", "gevent", "Flask", "SQLAlchemy"))
    banner = subprocess.run([program("nginx"), "-v"], capture_output=True, text=True).stderr
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=HERE)
    return (
        f"{time.strftime('%Y-%m-%d')}, {model[1] if model else 'unknown processor'}, Linux {os.uname().release}, "
        f"Python {sys.version.split()[0]}, {packages}, {banner.strip().split(': ')[-1]}, "
        f"commit {commit.stdout.strip() or 'unknown'}; load average {os.getloadavg()[0]:.1f} at the start"
    )
