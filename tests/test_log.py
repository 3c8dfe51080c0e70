"""What reaches the log."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from cryptodash import log
from cryptodash.log import FILES_KEPT, KINDS, LINES, PERIOD_S, ThrottlingObserver, make_observer


@pytest.mark.parametrize(
    ("levels", "namespace", "shown"),
    [
        ("info", "cryptodash.service", True),
        ("info", "twisted.web.http.HTTPChannel", False),
        ("info,twisted.web.http=info", "twisted.web.http.HTTPChannel", True),
        ("warn", "cryptodash.service", False),
        ("warn,cryptodash=info", "cryptodash.service", True),
    ],
)
def test_what_any_peer_can_cause_is_quieter_unless_the_operator_names_it(
    levels: str, namespace: str, shown: bool
) -> None:
    stream = StringIO()
    Logger(namespace=namespace, observer=make_observer(levels, stream)).info("timing out client")
    assert ("timing out client" in stream.getvalue()) is shown


class Lines:
    """A log at a given time, and what it shows."""

    def __init__(self, levels: str = "info") -> None:
        self.stream = StringIO()
        self.observer = make_observer(levels, self.stream)
        self.time = 1_700_000_000.0

    def log(
        self, format: str, namespace: str = "cryptodash.x", level: LogLevel = LogLevel.info, **words: object
    ) -> None:
        event = {"log_level": level, "log_namespace": namespace, "log_format": format, "log_time": self.time}
        self.observer(event | words)

    def take(self) -> list[str]:
        shown = self.stream.getvalue().splitlines()
        self.stream.truncate(0)
        self.stream.seek(0)
        return [line.partition("] ")[2] for line in shown]


def test_of_a_storm_of_lines_a_few_are_written_and_the_others_counted() -> None:
    lines = Lines()
    for number in range(10_000):
        lines.log("a request failed: {text}", text=f"text {number}", level=LogLevel.error)
    assert lines.take() == [f"a request failed: text {number}" for number in range(LINES)]
    lines.time += PERIOD_S
    lines.log("something else")
    assert lines.take() == [
        f"{10_000 - LINES} more lines like this within 60 s: 'a request failed: {{text}}'",
        "something else",
    ]
    lines.log("a request failed: {text}", text="again", level=LogLevel.error)
    assert lines.take() == ["a request failed: again"]


def test_a_storm_of_one_kind_hides_no_other() -> None:
    lines = Lines()
    for exchange in ("binance", "bybit"):
        for _ in range(100):
            lines.log("{exchange} is gone", exchange=exchange)
    assert len(lines.take()) == 2 * LINES
    lines.log("{exchange} is gone", exchange="binance", namespace="cryptodash.y")
    lines.log("{exchange} is gone", exchange="binance", level=LogLevel.warn)
    assert len(lines.take()) == 2


def test_failures_of_one_kind_are_throttled_and_others_are_not() -> None:
    lines = Lines()
    for error in [ValueError("x")] * 100 + [KeyError("y")]:
        lines.log("Unhandled error", level=LogLevel.critical, log_failure=Failure(error))
    assert sum("Unhandled error" in each for each in lines.take()) == LINES + 1


def test_whoever_asks_for_debug_lines_gets_each() -> None:
    lines = Lines("debug")
    for _ in range(100):
        lines.log("GET / 200", level=LogLevel.debug)
    assert len(lines.take()) == 100


def test_what_the_throttle_remembers_is_bounded() -> None:
    observer = ThrottlingObserver(lambda event: None)
    for number in range(3 * KINDS):
        observer({"log_level": LogLevel.info, "log_namespace": "x", "log_format": f"format {number}", "log_time": 1.0})
    assert len(observer._kinds) == KINDS


def test_a_wall_clock_that_is_set_back_keeps_no_line_away() -> None:
    lines = Lines()
    for _ in range(LINES + 1):
        lines.log("x")
    lines.take()
    lines.time -= 3600
    lines.log("x")
    assert lines.take()[-1] == "x"


def test_a_log_file_is_rotated_and_old_ones_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FILE_BYTES", 1000)
    file = log.bounded_file(str(tmp_path / "server.log"))
    observer = make_observer("debug", file)
    for number in range(1000):
        observer(
            {
                "log_level": LogLevel.debug,
                "log_namespace": "cryptodash.x",
                "log_format": "{number} is a line of some length",
                "log_time": 1.0,
                "number": number,
            }
        )
    file.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == FILES_KEPT + 1
    assert sum(each.stat().st_size for each in files) < 12 * 1100
    assert "999 is a line" in (tmp_path / "server.log").read_text() + (tmp_path / "server.log.1").read_text()
