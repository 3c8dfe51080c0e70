"""The command line as an operator meets it: real processes, exit codes, one clear line for every mistake."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptodash.simulator.dialects import registry
from tests.processes import ROOT, Process, all_ended, direct, get, no_daemon_left, run

HOSTS = sum(len(registry.load(each).hosts) for each in registry.available())
"""Ports that the simulator takes in a row."""
SEED_ENV = """RUST_LOG=info,crypto_dash=debug
BIND_ADDR=0.0.0.0:8080
ENABLE_REDIS=false
REDIS_URL=redis://127.0.0.1:6379
EXCHANGES=binance,bybit
BOOK_DEPTH_DEFAULT=50
"""


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with all_ended() as started:
        yield started


def silent_client(port: int) -> socket.socket:
    """A /ws client that shakes hands and then neither reads nor answers."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    key = base64.b64encode(b"0123456789abcdef").decode()
    headers = (
        "GET /ws HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    )
    connection.sendall(("\r\n".join(headers) + "\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    return connection


def test_the_seeds_env_file_starts_the_server_unchanged(tmp_path: Path, processes: list[Process]) -> None:
    (tmp_path / ".env").write_text(SEED_ENV)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free = probe.connect_ex(("127.0.0.1", 8080)) != 0
    elsewhere = () if free else ("--bind-addr", "127.0.0.1:0")
    server = Process("-n", "cryptodash", "run", *elsewhere, cwd=tmp_path)
    processes.append(server)
    port = server.port()
    assert port == 8080 or not free
    assert get(port, "/health")[1]["status"] == "ok"
    status, ready = get(port, "/ready")
    assert status == 503, ready
    assert set(ready["dependencies"]["exchanges"]) == {"binance", "bybit"}  # type: ignore[index]
    server.signal(signal.SIGTERM)
    assert server.ended(5) == 0
    assert not (tmp_path / "twistd.pid").exists()


@pytest.mark.parametrize("how", ["plugin", "tac", "daemon"])
def test_a_taken_port_ends_the_process_with_one_line_and_no_pid_file(how: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = {
            "plugin": ("-n", "cryptodash"),
            "tac": ("-ny", str(ROOT / "examples" / "cryptodash.tac")),
            "daemon": ("cryptodash",),
        }[how]
        with no_daemon_left(tmp_path / "twistd.pid"):
            done = run(*arguments, cwd=tmp_path, BIND_ADDR=address)
    assert done.returncode == 1, done
    assert not (tmp_path / "twistd.pid").exists()
    assert "Traceback" not in done.stdout + done.stderr
    if how != "daemon":
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("cryptodash: cannot listen on ")
        assert "Address already in use" in line
    else:
        assert "cannot listen" in (tmp_path / "twistd.log").read_text()
        assert f"cannot listen on {address}: Address already in use" in done.stdout + done.stderr


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("arguments", "values", "named"),
    [
        (("run", "--exchanges", "mtgox"), {}, "'mtgox' is not a venue; allowed are binance, bybit"),
        (("run",), {"BOOK_DEPTH_DEFAULT": "0"}, "BOOK_DEPTH_DEFAULT (environment): '0' is not allowed"),
        (("run", "--no-such-option"), {}, "allowed here are --"),
        (("--no-such-option",), {}, "no-such-option"),
        (("no-such-command",), {}, "no-such-command; allowed are run, simulate"),
        (("run", "surplus"), {}, "'surplus' is not understood"),
        (("simulate", "--port", "0"), {}, "--port: '0' is not allowed; allowed is a whole number"),
        (("replay", "--speed", "nan", "x"), {}, "--speed: 'nan' is not allowed"),
        (("check-config", "--bind-addr", "tcp:http"), {}, "BIND_ADDR"),
        (("check-config",), {"TLS_CERT": "missing.pem", "TLS_KEY": "missing.pem"}, "TLS_CERT"),
        (("run", "--env-file", "missing.env"), {}, "'missing.env' is not a file"),
        (("check-config",), {"BINANCE_WS_URL": "wss://me:hunter2@h"}, "BINANCE_WS_URL (environment): 'wss://h' is not"),
        (("--demo",), {"BINANCE_WS_URL": "ws://127.0.0.1:1"}, "BINANCE_WS_URL"),
        (("check-config", "--symbols", "okx:spot:BTC-USDT"), {}, "not enabled"),
        (
            ("run", "--exchanges", "kraken", "--symbols", "kraken:perpetual:BTC-USD"),
            {},
            "'kraken:perpetual:BTC-USD:ticker': no perpetual market there; allowed is spot",
        ),
        (
            ("check-config", "--exchanges", "kraken", "--symbols", "composite:perpetual:BTC-USD:bbo"),
            {},
            "no perpetual market there; allowed is spot",
        ),
        (
            ("check-config", "--exchanges", "coinbase", "--symbols", "coinbase:spot:BTC-USD:candle:3m"),
            {},
            "no such candles there; allowed are 1m, 5m",
        ),
        (("run", "--bind-addr", "ssl:443:privateKey=/nowhere.pem"), {}, "BIND_ADDR"),
        (("replay",), {}, "replay takes one FILE"),
        (("replay", "missing.jsonl"), {}, "cannot be read"),
        (("fault", "binance"), {}, "EXCHANGE NAME"),
        (("fault", "binance", "drop"), {}, "fault needs --control-port"),
        (("fault", "list"), {}, "fault needs --control-port"),
        (("fault", "stop"), {}, "8099 unless that was taken"),
        (("--demo", "--control-port", "x"), {}, "CONTROL_PORT (command line): 'x' is not allowed"),
        (("fault", "--control-port", "9", "binance", "drop"), {}, "no simulator answers on control port 9"),
        (("fault", "binance", "slow", "--delay", "x"), {}, "--delay: 'x' is not allowed; allowed is a number"),
        (("fault", "binance", "slow", "--delay"), {}, "option --delay requires argument; allowed here are --"),
        (("fault", "binance", "slow", "--colour"), {}, "option --colour not recognized; allowed here are --"),
        (("fault", "--control-port", "9", "--spot", "--perpetual", "stop"), {}, "--spot and --perpetual do not go"),
        (("simulate", "--exchanges", "mtgox"), {}, "allowed are binance, bybit"),
        (("simulate", "--lag", "mtgox=5"), {}, "--lag: 'mtgox' has no simulator; allowed are binance, bybit"),
        (("simulate", "--lag", "bybit"), {}, "--lag: '' is not allowed; allowed is a whole number from 0 to 10000"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_every_mistake_is_one_line_and_exit_code_1(
    arguments: tuple[str, ...], values: dict[str, str], named: str, tmp_path: Path
) -> None:
    done = run("-n", "--pidfile=", "cryptodash", *arguments, cwd=tmp_path, **values)
    assert done.returncode == 1, done
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("cryptodash: ")
    assert named in line


def test_check_config_shows_what_counts_and_hides_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BOOK_DEPTH_DEFAULT=20\nEXCHANGES=bybit\n")
    done = run(
        "cryptodash",
        "check-config",
        "--exchanges",
        "binance",
        cwd=tmp_path,
        HTTPS_PROXY="http://me:hunter2@127.0.0.1:9",
        REDIS_URL="redis://:hunter2@127.0.0.1:6379",
        BINANCE_REST_URL="https://proxy.example:8443/hunter2/binance",
    )
    assert done.returncode == 0, done
    assert "book_depth_default = 20\n" in done.stdout
    assert "exchanges = binance\n" in done.stdout
    assert "max_channels = 1000\n" in done.stdout
    assert "binance_rest_url = https://proxy.example:8443\n" in done.stdout
    assert "the settings are good" in done.stdout
    assert "hunter2" not in done.stdout
    assert not (tmp_path / "twistd.pid").exists()


def test_help_and_version(tmp_path: Path) -> None:
    top = run("cryptodash", "--help", cwd=tmp_path).stdout
    assert all(command in top for command in ("run", "simulate", "replay", "fault", "check-config"))
    options = run("cryptodash", "run", "--help", cwd=tmp_path).stdout
    assert all(
        option in options for option in ("--demo", "--bind-addr", "--binance-perpetual-ws-url", "--stale-after-s")
    )
    assert "  half-open " in run("cryptodash", "fault", "--help", cwd=tmp_path).stdout
    assert re.fullmatch(r"cryptodash \d+\.\d+\.\d+\n", run("cryptodash", "--version", cwd=tmp_path).stdout)


def test_sigterm_tells_every_client_when_to_come_back(tmp_path: Path, processes: list[Process]) -> None:
    server = Process("-n", "--pidfile=", "cryptodash", "--bind-addr", "127.0.0.1:0", cwd=tmp_path)
    processes.append(server)
    with silent_client(server.port()) as client:
        server.signal(signal.SIGTERM)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
            if b"retry_ms" in received:
                break
        assert b'\x03\xf4{"retry_ms":' in received  # close code 1012
        assert server.ended(30) == 0


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET /api/ticker?exchange=binance&symbol=BTC-USDT", 409), ("POST /api/symbols/refresh", 503)],
)
def test_a_request_under_way_at_sigterm_is_answered(
    request_line: str, status: int, tmp_path: Path, processes: list[Process]
) -> None:
    """The venue is a port where nothing answers: a first value comes too late, a catalogue later than the end."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        server = Process(
            "-n",
            "--pidfile=",
            "cryptodash",
            "--bind-addr=127.0.0.1:0",
            "--exchanges=binance",
            cwd=tmp_path,
            BINANCE_WS_URL=f"ws://{where}",
            BINANCE_REST_URL=f"http://{where}",
        )
        processes.append(server)
        with socket.create_connection(("127.0.0.1", server.port()), timeout=30) as client:
            client.sendall(f"{request_line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            with socket.create_connection(("127.0.0.1", server.port()), timeout=30) as second:
                second.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert second.recv(100).startswith(b"HTTP/1.1 200"), "so the first one has come in"
            server.signal(signal.SIGTERM)
            answer = b""
            while chunk := client.recv(65536):
                answer += chunk
            assert server.ended(30) == 0
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"Connection: close" in answer


def test_what_was_built_at_the_start_is_left_out_of_garbage_collections(
    tmp_path: Path, processes: list[Process]
) -> None:
    told = "os.write(1, b'frozen %d' % gc.get_freeze_count())"  # the log takes what is printed, and has ended by then
    said = f"import atexit, gc, os; atexit.register(lambda: {told})"
    process = Process(
        "-n", "--pidfile=", "cryptodash", "--demo", "--bind-addr", "127.0.0.1:0", cwd=tmp_path, first=said
    )
    processes.append(process)
    assert get(process.port(), "/health")[0] == 200
    process.signal(signal.SIGTERM)
    assert process.ended(10) == 0
    assert int(process.line(r"frozen (\d+)", 1).group(1)) > 20_000


def test_while_it_drains_a_new_connection_reads_503(tmp_path: Path, processes: list[Process]) -> None:
    server = Process("-n", "--pidfile=", "cryptodash", "--bind-addr", "127.0.0.1:0", cwd=tmp_path)
    processes.append(server)
    port = server.port()
    with silent_client(port):
        server.signal(signal.SIGTERM)
        server.line("draining 1 clients")
        status, ready = get(port, "/ready")
        assert (status, ready["status"], ready["reasons"]) == (503, "not_ready", ["the server is shutting down"])
        assert server.ended(5) == 0


def test_a_second_signal_ends_at_once(tmp_path: Path, processes: list[Process]) -> None:
    server = Process("-n", "cryptodash", "--bind-addr", "127.0.0.1:0", cwd=tmp_path)
    processes.append(server)
    with silent_client(server.port()):
        server.signal(signal.SIGTERM)
        server.line("draining 1 clients")
        server.signal(signal.SIGTERM)
        server.ended(0.9)  # a silent client alone would hold the drain for a second
    assert not (tmp_path / "twistd.pid").exists()


@pytest.mark.parametrize(("signals", "code"), [(1, 0), (2, 1)])
def test_signals_while_it_starts_are_signals_none_the_less(signals: int, code: int, tmp_path: Path) -> None:
    tac = tmp_path / "impatient.tac"
    tac.write_text(
        "import os, signal\n"
        "from twisted.application.service import Service\n"
        "from cryptodash.tap import make_application\n"
        "class Impatient(Service):\n"
        "    def startService(self):\n"  # after the pid file is written, before the reactor runs
        f"        for _ in range({signals}):\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "application = make_application()\n"
        "Impatient().setServiceParent(application)\n"
    )
    done = run("-ny", str(tac), cwd=tmp_path, BIND_ADDR="127.0.0.1:0")
    assert done.returncode == code, done
    assert not (tmp_path / "twistd.pid").exists()
    assert "Traceback" not in done.stdout + done.stderr


def test_the_tac_file_serves(tmp_path: Path, processes: list[Process]) -> None:
    server = Process(
        "-ny",
        str(ROOT / "examples" / "cryptodash.tac"),
        cwd=tmp_path,
        BIND_ADDR="127.0.0.1:0",
        LOG_LEVEL="warn,cryptodash.service=info",
    )
    processes.append(server)
    assert get(server.port(), "/health")[0] == 200
    assert not any("twisted.scripts" in line for line in server.lines), "the level of other namespaces is warn"
    server.signal(signal.SIGTERM)
    assert server.ended(5) == 0


def test_the_tac_file_logs_where_twistd_was_told_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        tac = str(ROOT / "examples" / "cryptodash.tac")
        done = run("--logfile=t.log", "-ny", tac, cwd=tmp_path, BIND_ADDR=address)
    assert done.returncode == 1, done
    assert f"cannot listen on {address}" in (tmp_path / "t.log").read_text()


def test_a_person_can_break_the_demo_and_watch(tmp_path: Path, processes: list[Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as spare:
        control = str(spare.getsockname()[1])
    simulator = Process(
        "-n",
        "--pidfile=",
        "cryptodash",
        "simulate",
        "--port",
        _free_block(HOSTS),
        "--control-port",
        control,
        cwd=tmp_path,
    )
    processes.append(simulator)
    urls = {
        name: simulator.line(rf"^{name} \(({markets})\): (ws\S+) \(.+\) (http\S+) \(\S+\)$").groups()
        for name, markets in (
            ("binance-spot", "spot"),
            ("binance-perpetual", "perpetual"),
            ("bybit", "spot, perpetual"),
        )
    }
    simulator.line(rf"^start faults with: twistd cryptodash fault --control-port {control}$")
    with direct(f"{urls['binance-spot'][2]}/api/v3/time", timeout=30) as answer:
        assert "serverTime" in json.load(answer)
    started = run("cryptodash", "fault", "--control-port", control, "binance", "silent", "BTC-USDT", "10", cwd=tmp_path)
    assert started.returncode == 0, started
    assert json.loads(started.stdout)["started"]["symbol"] == "BTC-USDT"
    listed = json.loads(run("cryptodash", "fault", "--control-port", control, "list", cwd=tmp_path).stdout)
    assert [fault["fault"] for fault in listed["active"]] == ["silent"]
    words = ("binance", "slow", "30", "--stream", "btcusdt@trade", "--delay", "2.5", "--control-port", control)
    slow = json.loads(run("cryptodash", "fault", *words, cwd=tmp_path).stdout)["started"]
    assert (slow["stream"], slow["delay"]) == ("btcusdt@trade", 2.5)
    words = ("bybit", "clock", "--step", "-1.5", "--control-port", control)
    assert json.loads(run("cryptodash", "fault", *words, cwd=tmp_path).stdout)["started"]["step"] == -1.5
    refused = run("cryptodash", "fault", "--control-port", control, "binance", "nonsense", cwd=tmp_path)
    assert refused.returncode == 1
    assert "silent-venue" in refused.stderr
    assert json.loads(run("cryptodash", "fault", "--control-port", control, "stop", cwd=tmp_path).stdout)["stopped"]
    simulator.signal(signal.SIGTERM)
    assert simulator.ended(5) == 0, "\n".join(simulator.lines)


@pytest.mark.parametrize("command", [("simulate",), ("run", "--demo", "--bind-addr", "127.0.0.1:0")], ids="-".join)
def test_a_taken_control_port_is_refused_where_it_was_asked_for(command: tuple[str, ...], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        first = ("--port", _free_block(HOSTS)) if command == ("simulate",) else ()
        done = run("-n", "--pidfile=", "cryptodash", *command, *first, "--control-port", port, cwd=tmp_path)
    assert done.returncode == 1, done
    assert f"127.0.0.1:{port}: [Errno 98] Address already in use" in done.stderr.strip().splitlines()[-1]


def test_each_of_two_demos_says_how_to_break_it_and_no_other(tmp_path: Path, processes: list[Process]) -> None:
    said = []
    for _ in range(2):
        demo = Process("-n", "--pidfile=", "cryptodash", "--demo", "--bind-addr", "127.0.0.1:0", cwd=tmp_path)
        processes.append(demo)
        words = demo.line(r"start faults of this demo with: twistd (cryptodash fault --control-port (\d+))$")
        assert get(demo.port(), "/ready")[1]["control_port"] == int(words[2])
        said.append(words[1].split())
    assert said[0] != said[1]
    for command in said:
        assert run(*command, "binance", "silent", "BTC-USDT", cwd=tmp_path).returncode == 0
        assert len(json.loads(run(*command, "list", cwd=tmp_path).stdout)["active"]) == 1


def test_make_demo_prints_what_breaks_it_and_ctrl_c_ends_it_and_its_server(
    tmp_path: Path, processes: list[Process]
) -> None:
    port = _free_block(1)
    demo = Process("--port", port, program=ROOT / "examples" / "demo.py", cwd=tmp_path)
    processes.append(demo)
    demo.line("ticker:")
    command = demo.line(r"twistd (cryptodash fault --control-port (\d+) .*)")
    assert get(int(port), "/ready")[1]["control_port"] == int(command[2])
    assert json.loads(run(*command[1].split(), cwd=tmp_path).stdout)["started"]["fault"] == "silent"
    demo.interrupt()
    assert demo.ended(10) == 0, "\n".join(demo.lines)
    assert "Server Shut Down" in (tmp_path / "demo.log").read_text()


def _free_block(count: int) -> str:
    """The first of ``count`` neighbouring free ports; another run of the tests at the same time
    begins to look elsewhere."""
    for first in range(20_000 + os.getpid() % 300 * 17, 32_000, 17):
        held: list[socket.socket] = []
        try:
            held = [socket.create_server(("127.0.0.1", first + index)) for index in range(count)]
        except OSError:
            continue
        finally:
            for each in held:
                each.close()
        return str(first)
    raise AssertionError("no free ports")
