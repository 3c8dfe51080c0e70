"""``twistd cryptodash doctor`` as an operator meets it: a real process, its table or JSON, its exit code."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.processes import run


def test_a_demo_is_well_and_its_frames_are_kept(tmp_path: Path) -> None:
    done = run("cryptodash", "doctor", "kraken", "--demo", "--seconds", "5", "--json", "--save", "kept", cwd=tmp_path)
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    (venue,) = said["venues"]
    assert said["wrong"] is False and venue["exchange"] == "kraken" and venue["source"] == "simulated"
    (market,) = venue["markets"]
    assert market["connections"][0]["frames"] > 0 and market["checksums"]["compared"] > 0
    (frames,) = (tmp_path / "kept" / "kraken").glob("spot-*.jsonl")
    assert len(frames.read_text().splitlines()) > 50
    assert not (tmp_path / "twistd.pid").exists() and not (tmp_path / "twistd.log").exists()


def test_a_venue_out_of_reach_is_said_in_plain_words_with_exit_code_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        urls = {"KRAKEN_WS_URL": f"ws://127.0.0.1:{port}", "KRAKEN_REST_URL": f"http://127.0.0.1:{port}"}
        done = run("-n", "--pidfile=", "cryptodash", "doctor", "--seconds", "5", "kraken", cwd=tmp_path, **urls)
    assert done.returncode == 1, done
    assert "WRONG kraken spot: [tcp] REST catalogue: no connection" in done.stdout
    assert "what can be done" in done.stdout and "something is wrong" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "the catalogue cannot be read" in done.stderr  # the log


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("mtgox",), "'mtgox' is not a venue; allowed are binance"),
        (("--seconds", "4"), "--seconds: '4' is not allowed; allowed is a whole number from 5 to 3600"),
        (("--no-such-option",), "allowed here are --"),
        (("kraken", "--demo", "--save", "/dev/null/x"), "--save: "),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], named: str, tmp_path: Path) -> None:
    done = run("cryptodash", "doctor", *arguments, cwd=tmp_path)
    assert done.returncode == 1, done
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("cryptodash: ") and named in line


def test_help_says_what_it_takes(tmp_path: Path) -> None:
    assert "doctor" in run("cryptodash", "--help", cwd=tmp_path).stdout
    text = run("cryptodash", "doctor", "--help", cwd=tmp_path).stdout
    assert all(each in text for each in ("[VENUE...]", "--seconds", "--save", "--json", "--demo", "--https-proxy"))
