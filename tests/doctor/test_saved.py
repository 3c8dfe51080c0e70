"""What ``--save`` keeps is what ``replay`` reads: the saved frames of a run make the same streams live again."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import MarketType
from cryptodash.core.layers import Layer, load
from cryptodash.doctor.findings import findings
from cryptodash.doctor.recorder import Recorder
from cryptodash.exchanges.adapter.venue import Hosts
from cryptodash.exchanges.venues import registry
from cryptodash.exchanges.venues.recorded import RecordedVenue
from cryptodash.exchanges.venues.recorded_names import listed, own_names
from cryptodash.service import StandIn, build
from cryptodash.simulator.recording import answers_beside, read_recording
from cryptodash.simulator.replay import Replay
from cryptodash.testing.network import MemoryNetwork
from tests.doctor.stage import Stage

SPOT = MarketType.SPOT


def saved(exchange: str, directory: Path) -> list[Path]:
    """The files of frames of a run."""
    stage = Stage(exchange, seconds=15.0, save=directory)
    facts = stage.examine()
    stage.stop()
    assert "frames and" in facts.saved and not facts.save_error
    assert not [each for each in findings(facts) if each.is_wrong]
    return sorted((directory / exchange).glob("*.jsonl"))


@pytest.mark.parametrize("exchange", ["binance", "bybit", "coinbase", "kraken", "okx"])
def test_a_saved_directory_replays(exchange: str, tmp_path: Path) -> None:
    files = saved(exchange, tmp_path)
    assert [path.name.partition("-")[0] for path in files] == sorted(map(str, registry.load(exchange).markets))
    for path in files:
        replayed(path, exchange)


def replayed(path: Path, exchange: str) -> None:
    recording = read_recording(path)
    assert recording.exchange == exchange and str(recording.market) == path.name.partition("-")[0]
    assert len(recording.symbols) >= 3
    real = registry.load(exchange)
    samples = own_names(real, recording.market, recording.symbols, recording.asked, recording.samples())
    known = listed(real, recording.market, lambda asked: answers_beside(path, asked.path, asked.params))
    venue = RecordedVenue(real, samples, recording.limits, known)
    topics = venue.topics(exchange, recording.market, recording.symbols, 20)
    network = MemoryNetwork()
    replay = Replay(network, recording, speed=1.0, delay=3.0)
    replay.listen()
    config = load([Layer("test", {"BIND_ADDR": "127.0.0.1:0", "EXCHANGES": exchange})], [exchange])
    stand_in = StandIn(replay, replay.base_urls, "replay")
    server = build(config, network, clock=network, random=Random(1), venues=[venue], stand_in=stand_in)
    server.privilegedStartService()
    server.startService()
    for topic in topics:
        server.hub.hold(topic, 0)
    network.pass_time(15.0, 1 / 16)
    states = {topic: json.loads(server.hub.status(topic).body)["payload"]["state"] for topic in topics}
    good = {str(topic.channel) for topic, state in states.items() if state in ("live", "quiet")}
    assert {"ticker", "trade", "order_book"} <= good, states
    server.stopService()
    network.pass_time(6.0)


def test_every_frame_is_kept_in_order_and_rest_answers_beside(tmp_path: Path) -> None:
    (path,) = saved("kraken", tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {each["dir"] for each in lines} == {"in", "out"}
    assert [each["t"] for each in lines] == sorted(each["t"] for each in lines)
    index = json.loads(path.with_name("rest-index.json").read_text())
    assert {name.split("-")[2] for name in index} >= {"catalogue", "candles", "probe"}
    assert all(path.with_name(name).stat().st_size and each["url"].startswith("http") for name, each in index.items())


def test_what_is_saved_is_bounded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "acme", {SPOT: Hosts("ws://a", "http://a")}, 0, most=1000)
    for _ in range(20):
        recorder.frame(SPOT, b'{"a":1}' * 10, 0, came_in=True)
    recorder.close()
    assert recorder.path_of(SPOT).stat().st_size <= 1000
    assert "more were left out" in recorder.said and not recorder.error


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--save"):
        Recorder(tmp_path / "file", "acme", {SPOT: Hosts("ws://a", "http://a")}, 0)
