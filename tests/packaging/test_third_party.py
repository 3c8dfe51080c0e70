"""A venue of another distribution, from its files to a value at a client: the example of docs/add-an-exchange.md, built
and installed as anybody would, under the kit from its own tests, and served."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from shutil import copytree
from types import ModuleType
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.processes import ROOT, Process, all_ended, environment, get, run

EXAMPLE = ROOT / "examples" / "acme_exchange"
TICKER = {
    "channel_type": "ticker",
    "exchange": "acme",
    "market_type": "perpetual",
    "symbol": {"base": "BTC", "quote": "USDT"},
}


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


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with all_ended() as started:
        yield started


def exchange(port: int) -> tuple[object, object, object]:
    """What the server says of its one exchange."""
    (found,) = get(port, "/api/exchanges")[1]["exchanges"]  # type: ignore[misc, attr-defined]
    return found["id"], found["status"], found["source"]


def ended(server: Process) -> None:
    """SIGTERM, and the end in good order."""
    server.signal(signal.SIGTERM)
    assert server.ended(10) == 0, "\n".join(server.lines)
    assert not [line for line in server.lines if "Traceback" in line]


RUN = ("-n", "--pidfile=", "cryptodash", "run", "--bind-addr", "127.0.0.1:0", "--exchanges")


def test_the_server_runs_it(site: Path, tmp_path: Path, urls: tuple[str, str], processes: list[Process]) -> None:
    addresses = {"ACME_WS_URL": urls[0], "ACME_REST_URL": urls[1]}
    server = Process(*RUN, "acme", cwd=tmp_path, paths=[site], **addresses)
    processes.append(server)
    port = server.port()
    ticker = first_ticker(port)
    assert ticker["exchange"] == "acme"
    assert ticker["bid"] == "60000.5"
    assert ticker["bid_size"] in ("1.200", "1.150"), "contracts of 0.001 BTC as BTC"
    assert exchange(port) == ("acme", "online", "custom")
    ended(server)


def test_the_demo_simulates_it(site: Path, tmp_path: Path, processes: list[Process]) -> None:
    server = Process(*RUN, "acme", "--demo", cwd=tmp_path, paths=[site])
    processes.append(server)
    port = server.port()
    ticker = first_ticker(port)
    assert Decimal(ticker["bid"]) < Decimal(ticker["ask"])
    assert ticker["bid_size"].partition(".")[2] != "", "contracts of 0.001 BTC as BTC"
    assert exchange(port) == ("acme", "online", "simulated")
    ended(server)


@pytest.mark.parametrize(
    ("name", "words"),
    [("broken", "exchange broken cannot be loaded: ModuleNotFoundError"), ("hollow", "exchange hollow is not a venue")],
)
def test_a_venue_that_is_broken_is_refused_in_one_line(
    broken_site: Path, tmp_path: Path, name: str, words: str
) -> None:
    done = run(*RUN, name, cwd=tmp_path, paths=[broken_site])
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"cryptodash: {words}")
    assert "available: binance, broken, bybit" in line
