"""Recording as an operator meets it: a server that records, one without clients, and the commands that read tapes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryptodash.core.events import Cause
from cryptodash.options import ExportOptions
from tests.processes import Process, all_ended, get, get_text, run


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with all_ended() as started:
        yield started


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it has not come to that"
        signal.sigtimedwait([], 0.2)


def recording_of(port: int) -> dict[str, object]:
    dependencies = get(port, "/ready")[1]["dependencies"]
    assert isinstance(dependencies, dict)
    found = dependencies["recording"]
    assert isinstance(found, dict)
    return found


def test_record_listen_verify_export_and_replay(tmp_path: Path, processes: list[Process]) -> None:
    server = Process(
        *("-n", "--pidfile=", "cryptodash", "record", "--demo", "--exchanges", "bybit", "--bind-addr", "127.0.0.1:0"),
        *("--record-dir", "tapes", "--record", "*:*:*:BTC-USDT"),
        cwd=tmp_path,
    )
    processes.append(server)
    port = server.port()
    assert get(port, "/api/ticker?exchange=bybit&symbol=BTC-USDT")[0] == 503, "no clients: operators only"
    until(lambda: recording_of(port)["topics"] == 11)
    written = 'cryptodash_recording_records{tape="messages"} '
    until(lambda: float(get_text(port, "/metrics").split(written)[1].split()[0]) > 200)
    assert recording_of(port) == {"status": "ok", "topics": 11, "lost_blocks": 0}
    live = run("cryptodash", "tape", "verify", "tapes", cwd=tmp_path)
    assert live.returncode == 0 and "is being written" in live.stdout
    server.signal(signal.SIGTERM)
    assert server.ended(6) == 0

    done = run("cryptodash", "tape", "verify", "tapes", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].endswith("0 holes, 0 torn ends: good"), done
    listed = run("cryptodash", "tape", "ls", "tapes", cwd=tmp_path)
    assert listed.returncode == 0 and "bybit:perpetual:BTC-USDT:order_book:50: " in listed.stdout
    exported = run("cryptodash", "export", "--output", "out.csv", "tapes", "bybit:spot:*:trade", cwd=tmp_path)
    assert exported.returncode == 0, exported
    assert exported.stderr.splitlines()[-1].endswith("rows of 1 topics, 0 holes: out.csv")
    assert len((tmp_path / "out.csv").read_text().splitlines()) > 5

    both = run("-n", "--pidfile=", "cryptodash", "replay", "tapes", cwd=tmp_path)
    assert both.returncode == 1 and "bybit perpetual, bybit spot: name one by" in both.stderr
    replayed = Process(
        *("-n", "--pidfile=", "cryptodash", "replay", "--exchange", "bybit", "--market", "spot", "--speed", "0"),
        *("--bind-addr", "127.0.0.1:0", "tapes"),
        cwd=tmp_path,
    )
    processes.append(replayed)
    port = replayed.port()
    book = "/api/orderbook?exchange=bybit&symbol=BTC-USDT&depth=5"
    until(lambda: get(port, book)[0] == 200)
    answer = get(port, book)[1]
    assert answer["bids"] and answer["status"]["source"] == "replay"  # type: ignore[index]

    segment = max((tmp_path / "tapes").glob("writer-00/messages/*.tape"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    bad = run("cryptodash", "tape", "verify", "tapes", cwd=tmp_path)
    assert bad.returncode == 1 and bad.stdout.splitlines()[-1].split(": ")[-1].startswith("BAD, "), bad


def test_a_server_whose_disk_fails_serves_on_and_records_again(tmp_path: Path, processes: list[Process]) -> None:
    server = Process(
        *("-n", "--pidfile=", "cryptodash", "run", "--demo", "--exchanges", "bybit", "--bind-addr", "127.0.0.1:0"),
        *("--record-dir", "tapes", "--symbols", "bybit:spot:BTC-USDT:trade"),
        cwd=tmp_path,
    )
    processes.append(server)
    port = server.port()
    until(lambda: len(list(tmp_path.glob("tapes/*/*/*.tape"))) == 2)
    (tmp_path / "tapes").rename(tmp_path / "gone")  # in one step: it is written into meanwhile
    (tmp_path / "tapes").write_bytes(b"")  # nothing can be made there
    until(lambda: recording_of(port)["status"] == "degraded")
    status, ready = get(port, "/ready")
    assert status == 200 and ready["status"] == "ready"
    trades = get(port, "/api/trades?exchange=bybit&symbol=BTC-USDT")[1]
    assert trades["status"]["state"] in ("live", "quiet") and Cause.BACKEND.value not in str(trades)  # type: ignore[index]
    server.line("recording has stopped: ")
    (tmp_path / "tapes").unlink()
    until(lambda: recording_of(port)["status"] == "ok", 90)
    server.line("recording goes on")
    server.signal(signal.SIGTERM)
    assert server.ended(6) == 0
    done = run("cryptodash", "tape", "verify", "tapes", cwd=tmp_path)
    assert done.returncode == 0 and " disk (" in done.stdout, done


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("record",), "record needs RECORD_DIR"),
        (("record", "--record-dir", "x", "--record", "ticker"), "RECORD (command line): 'ticker' is not allowed"),
        (("run", "--record", "ticker:okx:spot:BTC-USDT"), "RECORD: 'okx' is a venue that is not enabled"),
        (("run", "--record-keep-gb", "-1"), "RECORD_KEEP_GB"),
        (("tape", "mend", "x"), "tape takes ls DIR or verify DIR"),
        (("tape", "ls", "nowhere"), "tape ls: 'nowhere' is neither a directory nor a file"),
        (("tape", "verify", "nowhere"), "tape verify: 'nowhere' is neither"),
        (("export", "tapes", "x"), "export takes --output FILE"),
        (("export", "--output", "o", "--format", "xls", "tapes", "x"), "allowed are csv, parquet and arrow"),
        (("export", "--output", "o", "--from", "yesterday", "tapes", "x"), "--from: not a time"),
        (("export", "--output", "o", "nowhere", "x"), "export: 'nowhere' is neither"),
        (("replay", "."), "replay: . cannot be read: no frames are recorded there"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("-n", "--pidfile=", "cryptodash", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("cryptodash: ") and said in line


@pytest.mark.parametrize(
    "words",
    [
        ("-o", "x.csv", "tapes", "*:trade"),
        ("-ox.csv", "tapes", "*:trade"),
        ("tapes", "*:trade", "-o", "x.csv"),
        ("tapes", "--output", "x.csv", "*:trade"),
        ("--output=x.csv", "tapes", "*:trade"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--from", "5", "--text")])
def test_the_file_of_an_export_is_the_one_that_is_named(words: tuple[str, ...], more: tuple[str, ...]) -> None:
    """``-o`` wrote into a file ``--``, or into one that was called as the next option."""
    options = ExportOptions()
    options.parseOptions([*more, *words])
    assert (options["output"], options["path"], list(options["topics"])) == ("x.csv", "tapes", ["*:trade"])
    assert (options["from"], bool(options["text"])) == (("5", True) if more else (None, False))
