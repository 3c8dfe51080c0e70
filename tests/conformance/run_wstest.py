"""Runs the Autobahn testsuite (Python 2.7) against the production protocol classes and against
stock Autobahn, and compares.

    python tests/conformance/run_wstest.py [--wstest PATH] [--all]

``PATH`` is the suite's ``wstest``, else the variable WSTEST or the one on PATH. To get one where a CPython 2.7 exists:

    python -m pip install virtualenv==20.15.1        (in an environment of its own)
    python -m virtualenv -p python2.7 py27 && py27/bin/pip install autobahntestsuite==25.10.1

The suite's own exit code is always 0, so its index.json is read: OK and INFORMATIONAL pass. Ends with 0 if every case
passes that passes for stock Autobahn. The quick set (sections 1-7 and 10, four runs) takes about a minute;
``--all`` adds 9 (big messages).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import echo

QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
PASSED = {"OK", "INFORMATIONAL"}
DEADLINE = 300.0
"""Seconds one of the four runs may take."""

Outcomes = dict[str, str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def outcomes(folder: Path) -> Outcomes:
    """Case -> the worse of its behaviour and its closing behaviour."""
    (cases,) = json.loads((folder / "index.json").read_text()).values()
    return {
        case: said["behavior"]
        if said["behavior"] not in PASSED
        else said["behaviorClose"]
        if said["behaviorClose"] not in PASSED
        else "OK"
        for case, said in cases.items()
    }


def suite(wstest: str, mode: str, spec: dict[str, object], folder: Path) -> subprocess.Popen[bytes]:
    spec_file = folder / "spec.json"
    spec_file.write_text(json.dumps(spec))
    log = (folder / "wstest.log").open("wb")
    return subprocess.Popen([wstest, "-m", mode, "-s", str(spec_file)], stdout=log, stderr=log, cwd=folder)


def try_server(wstest: str, stock: bool, cases: list[str], folder: Path) -> Outcomes:
    """Listen, and let the suite's client come."""
    from twisted.internet import reactor

    factory = echo.stock_server_factory(reactor) if stock else echo.server_factory(reactor)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    url = f"ws://127.0.0.1:{port.getHost().port}"
    spec = {"outdir": str(folder), "servers": [{"agent": "us", "url": url}], "cases": cases, "exclude-cases": []}
    running = suite(wstest, "fuzzingclient", spec, folder)

    def look() -> None:
        if running.poll() is None:
            reactor.callLater(0.2, look)
        else:
            reactor.stop()

    look()
    reactor.callLater(DEADLINE, running.kill)
    reactor.run()
    return outcomes(folder)


def try_client(wstest: str, stock: bool, cases: list[str], folder: Path) -> Outcomes:
    """Let the suite listen, and go to it once per case."""
    from twisted.internet import reactor

    connect = echo.stock_client if stock else echo.feed_client
    url = f"ws://127.0.0.1:{free_port()}"
    running = suite(
        wstest, "fuzzingserver", {"outdir": str(folder), "url": url, "cases": cases, "exclude-cases": []}, folder
    )
    wait_for(url)
    count = number_of_cases(url)

    def next_case(number: int) -> None:
        if number > count:
            connect(f"{url}/updateReports?agent=us", reactor, reactor.stop)
        else:
            connect(
                f"{url}/runCase?case={number}&agent=us", reactor, lambda: reactor.callLater(0, next_case, number + 1)
            )

    reactor.callWhenRunning(next_case, 1)
    reactor.callLater(DEADLINE, reactor.stop)
    try:
        reactor.run()
        return outcomes(folder)
    finally:
        running.kill()


def wait_for(url: str) -> None:
    host, port = url.removeprefix("ws://").split(":")
    for _ in range(100):
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the suite's server did not start")


def number_of_cases(url: str) -> int:
    """Ask the suite; its answer is one short text frame."""
    host, port = url.removeprefix("ws://").split(":")
    head = (
        f"GET /getCaseCount HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    )
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall((head + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        got = b""
        while len(rest := got.partition(b"\r\n\r\n")[2]) < 2 or len(rest) < 2 + rest[1]:
            got += connection.recv(4096)
        return int(rest[2 : 2 + rest[1]])


RUNS: dict[str, tuple[Callable[[str, bool, list[str], Path], Outcomes], bool]] = {
    "server": (try_server, False),
    "server-stock": (try_server, True),
    "client": (try_client, False),
    "client-stock": (try_client, True),
}


def one_run(name: str, wstest: str, cases: list[str]) -> Outcomes:
    """In a process of its own: a reactor runs once."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--run", name, "--folder", folder, "--wstest", wstest, "--cases", *cases]
        done = subprocess.run(command, capture_output=True, timeout=DEADLINE + 60, check=False)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr.decode()[-2000:]}")
        said: Outcomes = json.loads(done.stdout)
        return said


def compare(side: str, wstest: str, cases: list[str]) -> list[str]:
    """Prints a line; returns what stock Autobahn passes and we do not."""
    ours, stock = one_run(side, wstest, cases), one_run(f"{side}-stock", wstest, cases)
    lost = [
        f"{side} {case}: {ours.get(case, 'not run')}"
        for case, said in stock.items()
        if said in PASSED and ours.get(case) not in PASSED
    ]
    passed = sum(said in PASSED for said in ours.values())
    print(  # noqa: T201
        f"{side}: {passed} of {len(ours)} cases pass; "
        f"stock Autobahn: {sum(said in PASSED for said in stock.values())} of {len(stock)}"
    )
    return lost


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--wstest", default=os.environ.get("WSTEST") or shutil.which("wstest"))
    arguments.add_argument("--all", action="store_true")
    for hidden in ("--run", "--folder"):
        arguments.add_argument(hidden, help=argparse.SUPPRESS)
    arguments.add_argument("--cases", nargs="*", help="patterns such as 1.* instead of the quick set")
    said = arguments.parse_args()
    if not said.wstest:
        arguments.error("no wstest: give --wstest or set WSTEST")
    cases = said.cases or [*QUICK, *(["9.*"] if said.all else [])]
    if said.run:
        run, stock = RUNS[said.run]
        print(json.dumps(run(said.wstest, stock, cases, Path(said.folder))))  # noqa: T201
        return 0
    lost = [case for side in ("server", "client") for case in compare(side, said.wstest, cases)]
    print("\n".join(["lost:", *lost]) if lost else "nothing lost")  # noqa: T201
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
