"""Real reverse proxies with the README's own lines, and curl as a browser that speaks TLS and HTTP/2 with them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.server import ROOT, free_port
from tests.wait import wait_until

PATHS = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
PROGRAMS = {
    name: shutil.which(name, path=PATHS) for name in ("nginx", "caddy", "apache2", "haproxy", "curl", "openssl")
}
NAME = "chat.example.org"
PLACES = ("root", "kept", "stripped")  # at the root, or below /chat/ with the prefix kept or stripped

# Run by root, nginx would read and write as "nobody", who may not enter the directory of the test.
NGINX = """
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
        listen 127.0.0.1:{port} ssl http2;
        large_client_header_buffers 4 16k;
        ssl_certificate {directory}/tls.pem;
        ssl_certificate_key {directory}/tls.pem;
        {block}
    }}
}}
"""
CADDY = """
{{
    admin off
    auto_https off
}}
{block}
"""
APACHE = """
ServerRoot {directory}
ServerName chat.example.org
PidFile {directory}/apache.pid
ErrorLog {directory}/apache.log
DefaultRuntimeDir {directory}
User www-data
Group www-data
{modules}
Listen 127.0.0.1:{port}
<VirtualHost *:{port}>
SSLEngine on
SSLCertificateFile {directory}/tls.pem
{block}
</VirtualHost>
"""
APACHE_MODULES = ("mpm_event", "authz_core", "ssl", "http2", "proxy", "proxy_http", "headers")
PREFIX = "X-Forwarded-Prefix"

# What the README's table says of a path, and how the prefix is stripped instead.
BELOW = {
    "nginx": {"location / {": f"location /chat/ {{ proxy_set_header {PREFIX} /chat;"},
    "caddyfile": {
        "reverse_proxy 127.0.0.1:8000": f"reverse_proxy /chat/* 127.0.0.1:8000 {{\nheader_up {PREFIX} /chat\n}}"
    },
    "apache": {
        "ProxyPass / http://127.0.0.1:8000/": f"RequestHeader set {PREFIX} /chat\nProxyPass /chat/ http://127.0.0.1:8000/chat/"
    },
    "haproxy": {
        "    default_backend lockchat": f"    http-request set-header {PREFIX} /chat\n"
        "    use_backend lockchat if { path_beg /chat/ }"
    },
}
STRIPPED = {
    "nginx": {"proxy_pass http://127.0.0.1:8000;": "proxy_pass http://127.0.0.1:8000/;"},
    "caddyfile": {"reverse_proxy /chat/*": "uri strip_prefix /chat\nreverse_proxy"},
    "apache": {"http://127.0.0.1:8000/chat/": "http://127.0.0.1:8000/"},
    "haproxy": {"backend lockchat\n": "backend lockchat\n    http-request replace-path /chat/(.*) /\\1\n"},
}


def block_of(language: str) -> str:
    """The README's lines in a language."""
    return re.search(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]


class Proxy:
    """A proxy before a server, on a port of its own with TLS. `language` is that of its lines in the README."""

    def __init__(
        self, language: str, server: str, directory: Path, place: str = "root", changes: Mapping[str, str] | None = None
    ) -> None:
        self.directory, self.port = directory, free_port()
        self.root = "" if place == "root" else "/chat"
        block = block_of(language)
        for old, new in {
            **(BELOW[language] if self.root else {}),
            **(STRIPPED[language] if place == "stripped" else {}),
            **(changes or {}),
        }.items():
            assert old in block, old
            block = block.replace(old, new)
        self._make_certificate()
        command = getattr(self, f"_{language}")(block.replace("127.0.0.1:8000", server.removeprefix("http://")))
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        browser = Curl(self)
        wait_until(lambda: browser.get("/healthz").startswith("HTTP/2 200"), 20, f"{language} to answer")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _make_certificate(self) -> None:
        pem = self.directory / "tls.pem"
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(pem)]
        name = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2"]
        certificate = self.directory / "certificate.pem"
        command = ["openssl", "req", "-x509", *key, *name, "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
        pem.write_text(pem.read_text() + certificate.read_text())

    def _write(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def _nginx(self, block: str) -> list[str]:
        settings = NGINX.format(directory=self.directory, port=self.port, block=block)
        return [PROGRAMS["nginx"], "-c", self._write("nginx.conf", settings), "-p", str(self.directory)]

    def _caddyfile(self, block: str) -> list[str]:
        pem = f"{self.directory}/tls.pem"
        block = block.replace(f"{NAME} {{", f"https://{NAME}:{self.port} {{\nbind 127.0.0.1\ntls {pem} {pem}", 1)
        config = self._write("Caddyfile", CADDY.format(block=block))
        home = [f"{name}={self.directory}" for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")]
        return ["env", *home, PROGRAMS["caddy"], "run", "--config", config, "--adapter", "caddyfile"]

    def _apache(self, block: str) -> list[str]:
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES
        )
        settings = APACHE.format(directory=self.directory, port=self.port, block=block, modules=modules)
        return [PROGRAMS["apache2"], "-f", self._write("apache.conf", settings), "-DFOREGROUND"]

    def _haproxy(self, block: str) -> list[str]:
        block = block.replace("bind :443", f"bind 127.0.0.1:{self.port}")
        block = block.replace(f"/etc/haproxy/{NAME}.pem", f"{self.directory}/tls.pem")
        return [PROGRAMS["haproxy"], "-db", "-f", self._write("haproxy.cfg", block)]


class Curl:
    """A browser behind a proxy, with cookies of its own. Answers are their whole text, headers first."""

    def __init__(self, proxy: Proxy) -> None:
        self.origin, self.root = f"https://{NAME}", proxy.root
        self.jar = proxy.directory / "cookies"
        self._command = ["curl", "-sS", "-i", "-N", "--http2", "--cacert", str(proxy.directory / "certificate.pem")]
        self._command += ["--connect-to", f"{NAME}:443:127.0.0.1:{proxy.port}", "--max-time", "30"]
        self._command += ["-b", str(self.jar), "-c", str(self.jar)]

    def get(self, path: str, *options: str) -> str:
        command = [*self._command, *options, f"{self.origin}{self.root}{path}"]
        return subprocess.run(command, capture_output=True, check=False).stdout.decode().replace("\r\n", "\n")

    def post(self, path: str, *options: str, **fields: str) -> str:
        data = [part for name, value in fields.items() for part in ("--data-urlencode", f"{name}={value}")]
        return self.get(path, "-H", f"Origin: {self.origin}", "--data", "", *data, *options)

    def lines(self, path: str) -> Iterator[str]:
        """The lines of a stream, as they come."""
        command = [*self._command, f"{self.origin}{self.root}{path}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            yield from process.stdout


def header(answer: str, name: str) -> str:
    """A header of an answer; "" without it."""
    found = re.search(rf"(?mi)^{name}: (.*)$", answer.partition("\n\n")[0])
    return found[1] if found else ""
