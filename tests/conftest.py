"""Shared by all tests: where the recorded frames are, and how long what is sampled takes.

``--long`` (``make long``) is for what a run of every day only samples: ``FACTOR`` times as many examples of each
property, long recordings whole, many connections that are replaced, the table of faults in several markets, two minutes
of a page's memory. A test asks for ``long``, ``world_seed`` or ``soak_seconds``; properties need nothing. Of a test
that is marked ``sampled(n)`` every nth case runs, and all of them where a case is named on the command line.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import hypothesis
import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

CAPTURES = Path(__file__).resolve().parent.parent.parent / "shared" / "captures"


FACTOR = 20
MARKETS = 5
SOAK_SECONDS = (6.0, 120.0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run in full what is sampled: the better part of an hour")
    parser.addoption(
        "--processes",
        type=int,
        default=1,
        help="server processes of each end-to-end test of a demo; its clients are at one that opens no venue",
    )
    parser.addoption(
        "--proxy",
        choices=("nginx", "haproxy", "caddy"),
        help="a real proxy, with its file of deploy/, between the clients of each end-to-end test and the server",
    )


class _ManyExamples(hypothesis.settings):
    """What a test says of its property, with more examples."""

    def __init__(self, *arguments: Any, **said: Any) -> None:
        if "max_examples" in said:
            said["max_examples"] *= FACTOR
        super().__init__(*arguments, **said)


def pytest_configure(config: pytest.Config) -> None:
    """Before a test's module is read, which says how many examples it wants."""
    if config.getoption("--long"):
        usual = hypothesis.settings.default.max_examples
        hypothesis.settings.register_profile("long", max_examples=FACTOR * usual)
        hypothesis.settings.load_profile("long")
        hypothesis.settings = _ManyExamples  # type: ignore[misc]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "world_seed" in metafunc.fixturenames and metafunc.config.getoption("--long"):
        metafunc.parametrize("world_seed", range(1, 1 + MARKETS))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is sampled. Which of a test's cases run depends on its file, so that not all files begin with the
    same proxy or the same venue; the cases of one file's tests go together."""
    if config.getoption("--long") or any("[" in each for each in config.args):
        return
    marked = [(item, item.get_closest_marker("sampled")) for item in items]
    total = Counter(_test_of(item) for item, mark in marked if mark is not None)
    seen: Counter[str] = Counter()
    left_out = []
    for item, mark in marked:
        if mark is not None:
            name = _test_of(item)
            place, seen[name] = seen[name], seen[name] + 1
            if (place + crc32(item.path.name.encode())) % min(mark.args[0], total[name]):
                left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        absent = set(left_out)
        items[:] = [item for item in items if item not in absent]


def _test_of(item: pytest.Item) -> str:
    """Its name without its case."""
    return item.nodeid.partition("[")[0]


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether nothing is to be sampled."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def world_seed() -> int:
    """The seed of a simulated market; of several, one after the other, in a long run."""
    return 1


@pytest.fixture(scope="session")
def soak_seconds(long: bool) -> float:
    """How long something is watched that might grow."""
    return SOAK_SECONDS[long]


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of recorded frames; the test is skipped where it is absent."""
    if not CAPTURES.is_dir():
        pytest.skip("recorded frames (../shared/captures) are not here")
    return CAPTURES


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests measured (``record_property("measured", text)``): said also when nothing failed,
    and from every process."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def redis_program() -> str:
    """Where ``redis-server`` is installed; the test is skipped where it is not."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CRYPTODASH_REQUIRE_REDIS"):
            pytest.fail("redis-server is not installed, and CRYPTODASH_REQUIRE_REDIS is set")
        pytest.skip("redis-server is not installed")
    return program


@pytest.fixture(scope="session")
def redis_port(redis_program: str) -> Iterator[int]:
    """The port of a ``redis-server`` that writes nothing to disk and ends with the session."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = subprocess.Popen(
        [redis_program, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    try:
        said = []
        while "Ready to accept connections" not in (line := server.stdout.readline()):
            said.append(line)
            assert line, f"redis-server has ended: {''.join(said)}"
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=20)
