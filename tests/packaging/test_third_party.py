"""A venue of another distribution, from its files to a value at a client: the example of docs/add-an-exchange.md, built
and installed as anybody would, under the kit from its own tests, and served."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from shutil import copytree
from types import ModuleType
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples" / "acme_exchange"
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
TICKER = {
    "channel_type": "ticker",
    "exchange": "acme",
    "market_type": "perpetual",
    "symbol": {"base": "BTC", "quote": "USDT"},
}
direct = build_opener(ProxyHandler({})).open


def environment(*paths: Path, **values: str) -> dict[str, str]:
    """Of a process that finds cryptodash as it is here, and what is installed in these folders."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths))), "PYTHONUNBUFFERED": "1", **values}


def installed(source: Path, target: Path) -> Path:
    """A distribution's files in a folder of their own, as pip puts them; needs no network."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--disable-pip-version-check", "--no-index", "--target", str(target), str(source)),
        ],
        check=True,
        timeout=60,
        capture_output=True,
    )
    return target


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed."""
    folder = tmp_path_factory.mktemp("acme")
    return installed(Path(copytree(EXAMPLE, folder / "source")), folder / "site")


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distribution that announces a venue that cannot be imported and one that is none."""
    source = tmp_path_factory.mktemp("broken")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "broken-exchange"\nversion = "1"\n'
        '[project.entry-points."cryptodash.exchanges"]\nbroken = "broken_exchange:VENUE"\nhollow = "hollow:VENUE"\n'
        '[tool.setuptools]\npy-modules = ["broken_exchange", "hollow"]\n'
    )
    (source / "broken_exchange.py").write_text("import nothing_of_this_name\n")
    (source / "hollow.py").write_text("class Hollow:\n    id = 'hollow'\n\n\nVENUE = Hollow()\n")
    return installed(source, source / "site")


def test_its_author_runs_the_kit_with_plain_pytest(site: Path, tmp_path: Path) -> None:
    tests = copytree(EXAMPLE / "tests", tmp_path / "tests")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        cwd=tmp_path,
        env=environment(site),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) passed", done.stdout)
    assert found is not None
    assert int(found.group(1)) >= 40


def test_it_imports_nothing_but_what_is_public(site: Path) -> None:
    paths = [*(EXAMPLE / "acme_exchange").glob("*.py"), *(EXAMPLE / "tests").glob("*.py")]
    for path in (each for each in paths if each.name != "dialect.py"):
        used = set(re.findall(r"^from (cryptodash[.\w]*) import|^import (cryptodash)", path.read_text(), re.MULTILINE))
        names = {first or second for first, second in used}
        assert names <= {"cryptodash.exchanges.adapter", "cryptodash.testing"}, path


class Server:
    """A twistd of ours: its lines as they come."""

    def __init__(self, cwd: Path, *arguments: str, env: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [*TWISTD, "-n", "--pidfile=", "cryptodash", *arguments],
            cwd=cwd,
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()

    def port(self) -> int:
        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(r"listening on .*:(\d+)", line))), None)

        with self._news:
            assert self._news.wait_for(found, 20), "\n".join(self.lines)
            match = found()
        assert match is not None
        return int(match.group(1))

    def end(self) -> int:
        """The exit code after SIGTERM."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait(5)
            self._reader.join(5)
            assert self._process.stdout is not None
            self._process.stdout.close()


def module(name: str) -> ModuleType:
    """A module beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def urls() -> Iterator[tuple[str, str]]:
    """An Acme that runs: its WebSocket and REST addresses."""
    with module("acme_server").acme(EXAMPLE / "tests" / "recordings") as found:
        yield found


def first_ticker(port: int) -> dict[str, str]:
    """Subscribe as a client does; the first ticker that has everything, as text so that no digit is lost."""
    with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as client:
        client.send(json.dumps({"op": "subscribe", "channels": [TICKER]}))
        while True:
            message: dict[str, Any] = json.loads(client.recv(timeout=15), parse_float=str, parse_int=str)
            assert message["type"] != "error", message
            if message["type"] == "ticker" and "bid" in message["payload"]:
                return dict(message["payload"])


def exchanges(port: int) -> list[dict[str, Any]]:
    with direct(f"http://127.0.0.1:{port}/api/exchanges", timeout=5) as answer:
        return list(json.load(answer)["exchanges"])


def test_the_server_runs_it(site: Path, tmp_path: Path, urls: tuple[str, str]) -> None:
    env = environment(site, ACME_WS_URL=urls[0], ACME_REST_URL=urls[1])
    server = Server(tmp_path, "run", "--exchanges", "acme", "--bind-addr", "127.0.0.1:0", env=env)
    try:
        port = server.port()
        ticker = first_ticker(port)
        assert ticker["exchange"] == "acme"
        assert ticker["bid"] == "60000.5"
        assert ticker["bid_size"] in ("1.200", "1.150"), "contracts of 0.001 BTC as BTC"
        (found,) = exchanges(port)
        assert (found["id"], found["status"], found["source"]) == ("acme", "online", "custom")
    finally:
        code = server.end()
    assert code == 0, "\n".join(server.lines)
    assert not [line for line in server.lines if "Traceback" in line]


def test_the_demo_simulates_it(site: Path, tmp_path: Path) -> None:
    arguments = ("run", "--demo", "--exchanges", "acme", "--bind-addr", "127.0.0.1:0")
    server = Server(tmp_path, *arguments, env=environment(site))
    try:
        port = server.port()
        ticker = first_ticker(port)
        assert Decimal(ticker["bid"]) < Decimal(ticker["ask"])
        assert ticker["bid_size"].partition(".")[2] != "", "contracts of 0.001 BTC as BTC"
        (found,) = exchanges(port)
        assert (found["id"], found["status"], found["source"]) == ("acme", "online", "simulated")
    finally:
        code = server.end()
    assert code == 0, "\n".join(server.lines)


@pytest.mark.parametrize(
    ("name", "words"),
    [("broken", "exchange broken cannot be loaded: ModuleNotFoundError"), ("hollow", "exchange hollow is not a venue")],
)
def test_a_venue_that_is_broken_is_refused_in_one_line(
    broken_site: Path, tmp_path: Path, name: str, words: str
) -> None:
    done = subprocess.run(
        [*TWISTD, "-n", "--pidfile=", "cryptodash", "run", "--exchanges", name, "--bind-addr", "127.0.0.1:0"],
        cwd=tmp_path,
        env=environment(broken_site),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"cryptodash: {words}")
    assert "available: binance, broken, bybit" in line
