"""``LOG_FORMAT=json``: a line is one object, whatever was logged."""

from __future__ import annotations

import json
import math
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from cryptodash.core.time import parse_time
from cryptodash.json_log import MAX_FIELDS, MAX_LINE, line_of
from cryptodash.log import make_observer

AT = 1_767_225_600.123


def document(format: str | None = "it is so", namespace: str = "cryptodash.x", /, **fields: Any) -> dict[str, Any]:
    event = {"log_level": LogLevel.info, "log_namespace": namespace, "log_format": format, "log_time": AT}
    line = line_of(event | fields)
    assert line.endswith("\n") and line.count("\n") == 1 and len(line.encode()) <= MAX_LINE + 1
    made = json.loads(line)
    assert isinstance(made, dict)
    return made


def test_a_line_has_time_level_namespace_message_and_the_events_own_values() -> None:
    said = document("{exchange} is gone for {wait:.1f} s", exchange="binance", wait=0.25, tries=3, first=True)
    assert list(said.items()) == [
        ("time", "2026-01-01T00:00:00.123Z"),
        ("level", "info"),
        ("namespace", "cryptodash.x"),
        ("message", "binance is gone for 0.2 s"),
        ("exchange", "binance"),
        ("wait", 0.25),
        ("tries", 3),
        ("first", True),
    ]
    assert parse_time(said["time"]) == round(AT * 1000)


def test_a_traceback_is_one_value() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        failure = Failure()
    said = document("Unhandled error", log_failure=failure)
    assert said["message"] == "Unhandled error"
    assert "Traceback" in said["traceback"] and "two\nlines" in said["traceback"]
    assert document(None, log_failure=failure)["message"] == "ValueError: two\nlines"


def test_values_that_json_does_not_know_and_names_that_are_ours() -> None:
    said = document(
        "{message}",
        message="m",
        level="own",
        nan=math.nan,
        big=2**60,
        huge=-(9**9999),
        thing=object(),
        log_source=3,
        text="\udc80\u2028",
    )
    assert said["message"] == "m" and said["level"] == "info" and said["level_"] == "own"
    assert said["nan"] == "nan" and said["big"] == str(2**60) and said["huge"] == "a number of 31697 bits"
    assert said["text"] == "?\u2028"
    assert "thing" not in said and "log_source" not in said


@pytest.mark.parametrize(
    "name",
    ["token", "auth_token", "password", "authorization", "api_secret", "private", "key", "cluster_key", "cookie"],
)
def test_what_is_named_as_a_secret_is_not_written(name: str) -> None:
    assert "hunter2" not in json.dumps(document("a request came", **{name: "hunter2"}))


def test_of_a_librarys_event_only_what_its_text_shows_is_written() -> None:
    said = document("{a.b} {c[0]} {d!r}", "twisted.web", c="xyz", d="d", a=Failure, url="/ws?token=hunter2")
    assert set(said) == {"time", "level", "namespace", "message", "c", "d"}


def test_a_line_is_bounded_whatever_it_holds() -> None:
    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
        raise ValueError("\x00" * 50_000)

    try:
        deep(200)
    except ValueError:
        failure = Failure()
    said = document("{text}", text="\x01" * 100_000, log_failure=failure, **{f"f{n}": "\x02" * 999 for n in range(100)})
    assert said["message"] and said["traceback"]
    assert len(document("x", **{f"f{n}": n for n in range(100)})) == 4 + MAX_FIELDS


@given(
    st.text(), st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.floats() | st.none() | st.binary())
)
def test_any_event_is_a_line(format: str, fields: dict[str, Any]) -> None:
    fields = {name: value for name, value in fields.items() if not name.startswith("log_")}
    said = document(format, **fields)
    assert list(said)[:4] == ["time", "level", "namespace", "message"]


def test_what_another_process_wrote_is_written_with_its_number() -> None:
    inner = line_of({"log_level": LogLevel.warn, "log_namespace": "cryptodash.y", "log_format": "so", "log_time": AT})
    said = document("[{process}] {relayed}", relayed=inner.rstrip(), process=2)
    assert said == {**json.loads(inner), "process": 2} and said["level"] == "warn"


@pytest.mark.parametrize(
    "line",
    ["Traceback (most recent call last):", '{"time":1}', '{"time":"', '{"time":"a","level":"b","message":"c"}', ""],
)
def test_what_another_process_wrote_in_no_such_form_is_a_message(line: str) -> None:
    said = document("[{process}] {relayed}", relayed=line, process=2)
    assert said["message"] == f"[2] {line}" and said["process"] == 2 and said["level"] == "info"


def test_levels_and_throttle_hold_for_it_as_well_but_not_for_what_is_relayed() -> None:
    stream = StringIO()
    observer = make_observer("warn", stream, "json")
    log = Logger(namespace="cryptodash.x", observer=observer)
    for _ in range(100):
        log.info("[{process}] {relayed}", process=1, relayed="a line")
        log.info("too quiet")
        log.warn("too often")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sum(each["message"] == "[1] a line" for each in lines) == 100
    assert [each["message"] for each in lines if "a line" not in each["message"]] == ["too often"] * 20
    observer.set_levels("info")
    log.info("loud enough")
    assert json.loads(stream.getvalue().splitlines()[-1])["message"] == "loud enough"
