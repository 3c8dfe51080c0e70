"""Every example that people copy runs, against a demo: what it prints has prices with their digits, and how fresh they
are. The page in a browser has its test in tests/dashboard/test_example_page.py, an exchange of one's own in
tests/test_add_an_exchange.py."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest

from tests.processes import ROOT, Process, all_ended, direct, environment

EXAMPLES = ROOT / "examples"
RUN_ELSEWHERE = {"demo.py", "demo_cluster.py", "screenshot.py", "cryptodash.tac", "browser.html", "acme_exchange"}
"""Programs that start servers of their own or need a browser; each has tests of its own or is a make target."""
PRICE = r"\d+\.\d{8}"
FRESH = r"(live, \d+\.\d s old|quiet.*|[A-Z]+( for \d+ s)?: .*do not quote as current)"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with all_ended() as started:
        words = ("-n", "--pidfile=", "cryptodash", "run", "--demo", "--bind-addr", "127.0.0.1:0")
        started.append(Process(*words, cwd=tmp_path_factory.mktemp("demo"), EXCHANGES="binance,bybit"))
        yield started[0].port()


def run(*command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command],
        cwd=ROOT,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lines_of(name: str, port: int, *options: str) -> list[str]:
    done = run(sys.executable, "-P", EXAMPLES / name, "--url", f"ws://127.0.0.1:{port}/ws", *options)
    assert done.returncode == 0, done
    return done.stdout.splitlines()


def until(pattern: str, lines: Callable[[], list[str]]) -> list[str]:
    """The lines of a run whose last one says so: on a machine that is busy the demo itself may be late for a moment."""
    for _ in range(5):
        found = lines()
        if re.search(pattern, found[-1]):
            return found
    raise AssertionError(found)


def test_every_example_is_run_by_some_test() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    unknown = {each.name for each in EXAMPLES.iterdir() if each.name not in here and each.name != "__pycache__"}
    assert unknown == set()


def test_the_ticker_shows_prices_and_how_fresh_they_are(demo: int) -> None:
    words = ("--count", "3", "--max-rate", "20")
    source, *lines = until(r" \| live, ", lambda: lines_of("ticker_client.py", demo, *words))
    assert source == "source: simulated"
    for line in lines:
        assert re.fullmatch(rf"binance BTC-USDT last {PRICE} bid {PRICE} ask {PRICE} \| {FRESH}", line)
    assert len(lines) == 3


def test_the_book_shows_its_best_levels_and_whether_it_is_live(demo: int) -> None:
    lines = until(r" \| live, ", lambda: lines_of("book_client.py", demo, "--count", "4", "--depth", "5"))
    level = rf"(-|{PRICE} x \d+\.\d+)"
    for line in lines:
        assert re.fullmatch(rf"binance BTC-USDT bid {level} ask {level} sequence (None|\d+) \| {FRESH}", line)


def test_the_file_of_trades_goes_on_where_it_was(demo: int, tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    for count in ("60", "5", "5"):
        lines_of("trades_to_csv.py", demo, str(file), "--count", count)
        with file.open("a") as half:  # as one that is killed leaves it
            half.write("2024-01-01T00:00:00")
    text = file.read_text().rpartition("\n")[0]
    rows = list(csv.DictReader(StringIO(text)))
    ids = [int(row["id"]) for row in rows]
    assert ids == list(range(ids[0], ids[0] + 70)), "none twice and none left out, by the venue's own numbers"
    assert all(re.fullmatch(PRICE, row["price"]) for row in rows)


@pytest.mark.parametrize("name", ["ticker_client.py", "book_client.py"])
def test_a_symbol_that_is_none_is_said_in_a_line(name: str, demo: int) -> None:
    url = f"ws://127.0.0.1:{demo}/ws"
    done = run(sys.executable, "-P", EXAMPLES / name, "--url", url, "--symbol", "NO-SUCH")
    assert (done.returncode, done.stderr) == (1, "unknown_symbol: binance spot has no symbol 'NO-SUCH'\n")


def node() -> list[str]:
    """How to start Node with a WebSocket; skips where there is none, unless ``CRYPTODASH_REQUIRE_NODE`` is set."""
    program = shutil.which("node") or shutil.which("nodejs")
    version = 0
    if program is not None:
        version = int(run(program, "--version").stdout.removeprefix("v").partition(".")[0])
    if program is None or version < 20:
        reason = f"Node 20 or newer is needed for its WebSocket: there is {version or 'none'}"
        if os.environ.get("CRYPTODASH_REQUIRE_NODE"):
            pytest.fail(reason)
        pytest.skip(reason)
    return [program, *(["--experimental-websocket"] if version < 22 else [])]


def test_the_book_in_node(demo: int) -> None:
    words = ("--url", f"ws://127.0.0.1:{demo}/ws", "--count", "4")
    program = [*node(), EXAMPLES / "node_client.mjs", *words]
    lines = until(r" \| live$", lambda: run(*program).stdout.splitlines())
    level = r"(-|\d+(\.\d+)? x \d+(\.\d+)?)"
    for line in lines:
        assert re.fullmatch(rf"binance BTC-USDT bid {level} ask {level} \| \w+.*", line)


def answer(port: int, path: str) -> str:
    with direct(f"http://127.0.0.1:{port}{path}", timeout=15) as found:
        return str(found.read().decode())


@pytest.mark.parametrize(
    ("path", "lines"),
    [("ticker?", 1), ("orderbook?depth=5&", 10), ("trades?limit=4&", 4), ("candles?interval=1m&limit=3&", 3)],
)
def test_an_answer_of_rest_becomes_a_spreadsheet_with_the_same_digits(demo: int, path: str, lines: int) -> None:
    body = answer(demo, f"/api/{path}exchange=binance&symbol=BTC-USDT")
    done = run(sys.executable, EXAMPLES / "json_to_csv.py", stdin=body)
    assert done.returncode == 0, done
    rows = list(csv.DictReader(StringIO(done.stdout)))
    assert len(rows) == lines
    for row in rows:
        numbers = [value for value in row.values() if re.fullmatch(r"-?\d+\.\d+", value)]
        assert numbers and all(f":{each}" in body for each in numbers)
        assert row.get("state") == json.loads(body).get("status", {}).get("state")


def test_a_fault_is_no_spreadsheet() -> None:
    error = json.dumps({"error": {"code": "unknown_symbol", "message": "no such"}})
    done = run(sys.executable, EXAMPLES / "json_to_csv.py", stdin=error)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "unknown_symbol: no such\n")


# docs/clients.md

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
FOR_EVER = {"ticker_client.py": "--count 2", "node_client.mjs": "--count 2"}
"""What runs until it is stopped, and how it ends by itself."""


def to_the_demo(text: str, port: int) -> str:
    return re.sub(r"(localhost|127\.0\.0\.1):8080", f"127.0.0.1:{port}", text)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_page_run(line: str, demo: int, tmp_path: Path) -> None:
    command = line.partition("  #")[0].replace(".venv/bin/python", f"{sys.executable} -P")
    if command.startswith("node "):
        command = " ".join([*node(), command.removeprefix("node ")])
    for name, option in FOR_EVER.items():
        if name in command:
            command += f" --url ws://127.0.0.1:{demo}/ws {option}"
    command = to_the_demo(command, demo).replace("examples/", f"{EXAMPLES}/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    assert done.stdout or (tmp_path / "bars.csv").read_text().count("\n") == 201


def test_the_program_of_the_page_shows_prices(demo: int, tmp_path: Path) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program = tmp_path / "program.py"
    program.write_text(to_the_demo(text, demo))
    with all_ended() as started:
        started.append(Process(cwd=tmp_path, program=program))
        started[0].line(rf"^{PRICE} {PRICE} {PRICE}$")


def test_an_assistants_settings_start_the_server(demo: int, tmp_path: Path) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    settings = json.loads(to_the_demo(text, demo))["mcpServers"]["cryptodash"]
    assert settings["command"].endswith("/bin/python")
    done = run(sys.executable, "-P", *settings["args"])  # stdin ends at once, and with it the server
    assert (done.returncode, done.stdout) == (0, ""), done
