"""A real Prometheus, with the very files of ``deploy/``, scrapes a real demo: every rule is evaluated, every line of
the dashboard has a value or is named here as one that has none while all is well, and nobody is woken."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Final
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.monitoring.files import DEPLOY, alerts, panel_queries
from tests.processes import Process, all_ended, direct, get
from tests.proxies.front import free_port, replaced

SECONDS: Final = 12
"""Of scraping, once a second: ``rate`` needs two samples in its five seconds."""
QUIET: Final = {
    "Connections that ended, and what could not be read, {{exchange}} {{reason}}",
    "Connections that ended, and what could not be read, {{exchange}} not read: {{reason}}",
    "Refused, and requests by status, /ws {{reason}}",
    "Messages to clients, conflated",
    "Messages to clients, dropped",
    "Trouble between the processes, {{exchange}} gaps",
    "Trouble between the processes, {{exchange}} not told",
}
"""What begins with its first count. All else must have a value."""
ONLY_OF_ANOTHER_S: Final = {"Lag of the holder's frames, {{exchange}}"}
"""A process that holds all exchanges itself hears of none."""
CHANNELS: Final = [
    {"channel_type": kind, "exchange": exchange, "symbol": "BTC-USDT"}
    for exchange in ("binance", "bybit")
    for kind in ("ticker", "trade", "order_book")
]


class Prometheus:
    """A running one, asked by its HTTP API."""

    def __init__(self, program: str, target: int, folder: Path) -> None:
        changes = {"cryptodash:8080": f"127.0.0.1:{target}", "15s": "1s"}
        text = replaced((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"), changes)
        (folder / "prometheus.yml").write_text(text)
        (folder / "alerts.yml").write_bytes((DEPLOY / "alerts.yml").read_bytes())
        self.port = free_port()
        self._log = (folder / "log").open("w")
        self._process = subprocess.Popen(
            [
                *(program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"),
                *(f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"),
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def asked(self, path: str) -> Any:
        """The data of an answer that is good."""
        with direct(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10) as answer:
            said = json.load(answer)
        assert said["status"] == "success", said
        return said["data"]

    def wait(self, seconds: float) -> None:
        """Let it scrape; fails where it ends."""
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(seconds)
            pytest.fail(f"prometheus has ended with {code}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._log.close()


@pytest.fixture(scope="module")
def scraped(prometheus: str, redis_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """After some seconds of a demo in a cluster of one, with a client that watches books and trades."""
    folder = tmp_path_factory.mktemp("prometheus")
    settings = {"DEMO": "true", "EXCHANGES": "binance,bybit", "BIND_ADDR": "127.0.0.1:0", "PING_INTERVAL_S": "1"}
    redis = {"ENABLE_REDIS": "true", "REDIS_URL": f"redis://127.0.0.1:{redis_port}", "REDIS_PREFIX": "scraped"}
    with all_ended() as started:
        server = Process("-n", "--pidfile=", "cryptodash", cwd=folder, **settings, **redis)
        started.append(server)
        port = server.port()
        deadline = monotonic() + 20
        while get(port, "/ready")[0] != 200:
            assert monotonic() < deadline, server.lines
            Event().wait(0.1)
        with connect(f"ws://127.0.0.1:{port}/ws", proxy=None, ping_interval=None) as client:
            client.send(json.dumps({"op": "subscribe", "channels": CHANNELS}))
            # Until the end: a client that does not read is told less and less, and then nothing.
            reader = Thread(target=read_all, args=(client,), daemon=True)
            reader.start()
            running = Prometheus(prometheus, port, folder)
            started.append(running)
            running.wait(SECONDS)
            yield running
        reader.join(10)


def read_all(client: ClientConnection) -> None:
    """What comes, until it is closed."""
    with suppress(ConnectionClosed):
        for _ in client:
            pass


def filled(expression: str) -> str:
    """With all instances and exchanges, over as many seconds as the scrapes are fast."""
    for variable, value in (("$instance", ".*"), ("$exchange", ".*"), ("$__rate_interval", "5s")):
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


def numbers(result: list[Mapping[str, Any]]) -> list[float]:
    return [float(each["value"][1]) for each in result]


def test_the_target_is_up(scraped: Prometheus) -> None:
    targets = scraped.asked("targets")["activeTargets"]
    assert [(each["labels"]["job"], each["health"], each["lastError"]) for each in targets] == [
        ("cryptodash", "up", "")
    ]


def test_every_rule_is_evaluated_without_error_and_none_fires(scraped: Prometheus) -> None:
    rules = [rule for group in scraped.asked("rules")["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules] == [rule["alert"] for rule in alerts()]
    assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]
    assert [(rule["name"], rule["state"]) for rule in rules if rule["state"] != "inactive"] == []


def has_values(expression: str, result: list[Mapping[str, Any]]) -> bool:
    if "histogram_quantile" not in expression:
        return all(number >= 0 for number in numbers(result))  # of NaN this is not true
    return any(number >= 0 for number in numbers(result))


@pytest.mark.parametrize("name", panel_queries())
def test_every_line_of_the_dashboard_has_a_value(scraped: Prometheus, name: str) -> None:
    expression = panel_queries()[name]
    deadline = monotonic() + 20
    while True:
        result = scraped.asked(f"query?query={quote(filled(expression))}")["result"]
        if name in QUIET | ONLY_OF_ANOTHER_S or (result and has_values(expression, result)):
            return
        assert monotonic() < deadline, result or "no series"
        scraped.wait(0.5)  # in the seconds that it looks back on there may have been no event


def test_the_quiet_lines_are_lines_of_the_dashboard() -> None:
    assert panel_queries().keys() >= QUIET | ONLY_OF_ANOTHER_S


def test_freshness_on_the_dashboard_is_what_the_server_says(scraped: Prometheus) -> None:
    ask = "query?query=" + quote(filled(panel_queries()["Share of stream time that could be trusted, {{exchange}}"]))
    shares = {each["metric"]["exchange"]: float(each["value"][1]) for each in scraped.asked(ask)["result"]}
    assert shares.keys() == {"binance", "bybit"} and all(0.9 < each <= 1.0001 for each in shares.values()), shares
