"""A real proxy in front of a server, with the very file of ``deploy/``: only addresses, certificates and, where a test
wants it, times are others. Every text that is replaced must be there."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from random import SystemRandom
from time import monotonic
from typing import Any, Final

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.ssl import optionsForClientTLS

from cryptodash.testing.authority import Authority
from tests.processes import ROOT

NAMES: Final = ("nginx", "haproxy", "caddy")
FILES: Final = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "caddy": "Caddyfile"}
HOST: Final = "localhost"
CERTIFICATE: Final = "/etc/ssl/cryptodash/fullchain.pem"
KEY: Final = "/etc/ssl/cryptodash/key.pem"
START_S: Final = 20.0


def find_proxy(name: str) -> str:
    """Where this proxy's program is. Skips where it is not, unless ``CRYPTODASH_REQUIRE_PROXIES`` is set."""
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        reason = f"{name} is not installed"
        if os.environ.get("CRYPTODASH_REQUIRE_PROXIES"):
            pytest.fail(f"{reason}, and CRYPTODASH_REQUIRE_PROXIES is set")
        pytest.skip(reason)
    return program


def shipped(name: str) -> str:
    """The configuration as an operator gets it."""
    return (ROOT / "deploy" / FILES[name]).read_text(encoding="utf-8")


def replaced(text: str, by: Mapping[str, str]) -> str:
    """The text with each of these replaced wherever it is. Raises ``ValueError`` for one that is nowhere."""
    for old, new in by.items():
        if old not in text:
            raise ValueError(f"not in the configuration: {old}")
        text = text.replace(old, new)
    return text


def free_port() -> int:
    """One that nobody listens on, below those that the kernel gives to clients: a test's own thousand clients must not
    take it before the program listens there."""
    while True:
        port = SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


class Front:
    """One running proxy. ``port`` speaks TLS as ``localhost``, ``plain_port`` redirects there."""

    def __init__(self, name: str, server_port: int, folder: Path, changes: Mapping[str, str] | None = None) -> None:
        """``changes`` are further texts of the file and what stands in their place. Skips as ``find_proxy`` does."""
        program = find_proxy(name)
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.folder = folder
        self.port, self.plain_port = free_port(), free_port()
        self.authority = Authority()
        certificate, key = self.authority.files(HOST)
        for file, content in (
            ("fullchain.pem", certificate),
            ("key.pem", key),
            ("all.pem", certificate + key),
            ("root.pem", self.authority.pem),
        ):
            (folder / file).write_text(content)
        text = replaced(shipped(name), {**(changes or {}), **getattr(self, f"_{name}")(server_port)})
        config = folder / FILES[name]
        config.write_text(text)
        started = {
            "nginx": [program, "-p", str(folder), "-c", str(config), "-g", f"daemon off; pid {folder}/nginx.pid;"],
            "haproxy": [program, "-db", "-f", str(config)],
            "caddy": [program, "run", "--adapter", "caddyfile", "--config", str(config)],
        }[name]
        surroundings = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder)}
        self._log = (folder / "log").open("w")
        self._process = subprocess.Popen(
            started, cwd=folder, env=surroundings, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )

    def _nginx(self, server_port: int) -> dict[str, str]:
        places = "".join(
            f"    {kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return {
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "server 127.0.0.1:8080;": f"server 127.0.0.1:{server_port};",
            CERTIFICATE: f"{self.folder}/fullchain.pem",
            KEY: f"{self.folder}/key.pem",
            "/var/log/nginx/error.log crit": f"{self.folder}/error.log crit",
            "/var/log/nginx/access.log": f"{self.folder}/access.log",
            "worker_rlimit_nofile 65536;": "",  # more than whoever runs the tests may have
            "worker_connections 32768;": "worker_connections 4096;",
            "http {\n": f"http {{\n{places}",
        }

    def _haproxy(self, server_port: int) -> dict[str, str]:
        return {
            "bind :80": f"bind 127.0.0.1:{self.plain_port}",
            "bind :443": f"bind 127.0.0.1:{self.port}",
            "server one 127.0.0.1:8080": f"server one 127.0.0.1:{server_port}",
            "/etc/ssl/cryptodash/all.pem": f"{self.folder}/all.pem",
            "maxconn 20000": "maxconn 1500",  # as above: each takes two open files
        }

    def _caddy(self, server_port: int) -> dict[str, str]:
        return {
            "\tauto_https ": "\tadmin off\n\tdefault_bind 127.0.0.1\n\tauto_https ",  # its admin port is one for all
            "\nhttp:// {": f"\nhttp://:{self.plain_port} {{",
            "\nmarket.example {": f"\nhttps://:{self.port} {{",
            "127.0.0.1:8080 {": f"127.0.0.1:{server_port} {{",
            CERTIFICATE: f"{self.folder}/fullchain.pem",
            KEY: f"{self.folder}/key.pem",
        }

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def ready(self) -> bool:
        """Whether it listens. Fails with what it said where it has ended."""
        assert self._process.poll() is None, f"{self.name} has ended: {self.said()}"
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def wait(self) -> None:
        """Until it listens; for a test that has no reactor to keep turning."""
        deadline = monotonic() + START_S
        while not self.ready():
            assert monotonic() < deadline, f"{self.name} does not listen: {self.said()}"
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)

    def said(self) -> str:
        """All its logs."""
        return "\n".join(each.read_text() for each in sorted(self.folder.glob("*log")))

    def endpoint(self, reactor: Any) -> Any:
        """The client's endpoint of a Twisted test: TLS, and only the test's own authority is believed."""
        plain = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port, timeout=5)
        return wrapClientTLS(optionsForClientTLS(HOST, trustRoot=self.authority.trust_root), plain)

    def trusting(self) -> ssl.SSLContext:
        """The same for a client by the standard library."""
        return ssl.create_default_context(cafile=str(self.folder / "root.pem"))

    def kill(self) -> None:
        """End it at once; harmless where it has ended."""
        if self._process.poll() is None:
            self._process.terminate() if self.name == "nginx" else self._process.kill()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        self._log.close()


@contextmanager
def proxy(name: str, server_port: int, folder: Path, changes: Mapping[str, str] | None = None) -> Iterator[Front]:
    """A proxy that listens, ended after the block."""
    front = Front(name, server_port, folder, changes)
    try:
        front.wait()
        yield front
    finally:
        front.kill()
