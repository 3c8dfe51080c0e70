"""What server processes say stands in their supervisor's log, line by line."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from cryptodash.supervisor import Child, Supervisor
from tests.test_supervisor import settings


def child(number: int = 2) -> Child:
    """One that was not started."""
    return Child(number, Supervisor(settings(), 2, {}, (), Clock(), Random(1), cast(Any, None)))


def said(does: Callable[[], object]) -> list[tuple[str, str]]:
    """The lines that come into the log by it, with their levels."""
    with capturedLogs() as logged:
        does()
    return [(each["log_level"].name, formatEvent(each)) for each in logged]


def test_lines_of_a_process_go_to_the_log_with_its_number() -> None:
    process = child()
    assert said(lambda: process.childDataReceived(1, b"one\ntwo\nthr")) == [("info", "[2] one"), ("info", "[2] two")]
    assert said(lambda: process.childDataReceived(2, b"error\n")) == [("info", "[2] error")]
    assert said(lambda: process.childDataReceived(1, b"ee\n")) == [("info", "[2] three")]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"braces {of} {0} a format\n", "[2] braces {of} {0} a format"),
        ("é\n".encode(), "[2] é"),
        (b"\xff\xfe\n", "[2] \ufffd\ufffd"),
        (b"\n", "[2] "),
    ],
)
def test_a_line_may_hold_anything(data: bytes, line: str) -> None:
    assert said(lambda: child().childDataReceived(1, data)) == [("info", line)]


def test_a_line_that_is_too_long_is_cut_and_those_behind_it_are_not_lost() -> None:
    process, cut = child(), ("info", f"[2] {'x' * 200}...")
    assert said(lambda: process.childDataReceived(1, b"x" * 20_000 + b"\nnext\n")) == [cut, ("info", "[2] next")]
    for _ in range(10):
        assert said(lambda: process.childDataReceived(1, b"x" * 10_000)) == [], "it is not at its end"
    assert said(lambda: process.childDataReceived(1, b"\nand on\n")) == [cut, ("info", "[2] and on")]


def test_the_end_of_a_process_is_an_error_and_says_when_it_comes_back() -> None:
    process = child()
    ((level, line),) = said(lambda: process.processEnded(Failure(ProcessTerminated(exitCode=3))))
    assert level == "error" and line.startswith("process 2 has ended (") and "exit code 3" in line
    assert line.endswith("): it is started again in 0.3 s")
