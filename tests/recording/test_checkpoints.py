"""A replay that begins in the middle of a frames tape has every order book at once, for all venues."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from cryptodash.core.topics import parse_topic
from cryptodash.recording.entries import Missing
from cryptodash.recording.frame_tap import FrameTap
from cryptodash.recording.frames import TapedFrame, checkpoint_before, read_frames
from cryptodash.recording.taped_books import TapedBook
from cryptodash.recording.verify import verify
from cryptodash.simulator.recording import read_recording
from tests.recording.taped_runs import STEP, Played, Taped, topics_of

MARKETS = [
    ("binance", "spot"),
    ("binance", "perpetual"),
    ("bybit", "spot"),
    ("bybit", "perpetual"),
    ("okx", "spot"),
    ("okx", "perpetual"),
    ("coinbase", "spot"),
    ("kraken", "spot"),
]


def assert_same_books(played: Played, taped: Taped, *, within: int) -> None:
    """Both have both books; those of the replay are live for so many of the last states of the run at least, and these
    are the run's, level for level."""
    assert len(taped.books.states) == len(played.books.states) == 2
    for symbol, states in played.books.states.items():
        last = [each.levels for each in states][-within:]
        assert last == [each.levels for each in taped.books.states[symbol]][-within:], symbol


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("exchange", "market"), MARKETS)
def test_books_are_there_where_the_beginning_of_a_tape_is_not(tmp_path: Path, exchange: str, market: str) -> None:
    taped = Taped(tmp_path, exchange, market)
    taped.run(22)
    taped.stop()
    assert len(taped.segments) == 2
    taped.segments[0].unlink()  # as the quota does
    played = Played(tmp_path, taped.config)
    played.play()
    assert_same_books(played, taped, within=60)
    assert {str(each) for each in played.recording.symbols.values()} == set(taped.books.states)
    assert played.recording.instruments.keys() <= played.recording.symbols.keys()


def test_a_ticker_that_is_told_by_changes_is_there_too(tmp_path: Path) -> None:
    """Bybit's linear ones: what does not change, the high of the day, is not said again."""
    taped = Taped(tmp_path, "bybit", "perpetual")
    taped.run(22)
    taped.stop()
    taped.segments[0].unlink()
    played = Played(tmp_path, taped.config)
    played.play()
    assert taped.tickers.keys() == played.tickers.keys() == taped.books.states.keys()
    for symbol, ticker in played.tickers.items():
        assert ticker.high_24h is not None and ticker.funding_interval_h is not None
        assert replace(ticker, timestamp=0) == replace(taped.tickers[symbol], timestamp=0)


@pytest.mark.parametrize("market", ["spot", "perpetual"])
def test_a_book_by_rest_is_there_however_fast_it_is_played(tmp_path: Path, market: str) -> None:
    taped = Taped(tmp_path, "binance", market)
    taped.run(34)
    taped.stop()
    taped.segments[0].unlink()
    played = Played(tmp_path, taped.config, speed=0.0)
    played.play()
    assert_same_books(played, taped, within=100)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("exchange", "market"), MARKETS)
def test_books_are_there_behind_a_hole(tmp_path: Path, exchange: str, market: str) -> None:
    """All blocks were lost for three seconds. What came of a book between them and its checkpoint is left out."""
    taped = Taped(tmp_path, exchange, market, segment_s=3600.0)
    taped.run(14)
    taped.lose(3)
    taped.run(10)
    taped.stop()
    assert len(taped.segments) == 1
    played = Played(tmp_path, taped.config)
    played.play()
    assert_same_books(played, taped, within=60)
    for symbol in played.books.states:
        assert 1 <= len(played.books.rebuilt[symbol]) - len(taped.books.rebuilt[symbol]) <= 2


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("exchange", "market"), MARKETS)
def test_in_a_hole_nothing_is_live(tmp_path: Path, exchange: str, market: str) -> None:
    """The stand-in ends the connections where something is missing: it is not taken for silence, and what comes behind
    it is no smooth series."""
    taped = Taped(tmp_path, exchange, market, segment_s=3600.0)
    taped.run(14)
    taped.lose(4)
    taped.run(8)
    taped.stop()
    played = Played(tmp_path, taped.config)
    (hole,) = (place for place, each in enumerate(played.recording.frames) if each.is_behind_hole)
    topics = [parse_topic(each) for each in topics_of(exchange, market).split(",")]
    live: list[tuple[int, int]] = []  # frames played so far, topics that are live

    def look() -> None:
        states = [played.server.hub.status(topic).body for topic in topics]
        live.append((played.replay.played, sum(b'"state":"live"' in each for each in states)))

    played.play(each_step=look)
    within = [count for place, count in live if place == hole]
    assert len(within) > 2 / STEP and set(within[1:]) == {0}
    assert max(count for place, count in live if place < hole) == len(topics) == live[-1][1]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("exchange", "market"), [("bybit", "perpetual"), ("coinbase", "spot")])
def test_a_long_hole_is_passed_over(tmp_path: Path, exchange: str, market: str) -> None:
    """And the venue's times, which go on by all of it at once, are taken for nothing that they are not."""
    taped = Taped(tmp_path, exchange, market, segment_s=3600.0)
    taped.run(14)
    taped.lose(40)
    taped.run(10)
    taped.stop()
    played = Played(tmp_path, taped.config)
    played.play()
    assert 30 < played.seconds - played.began < 40
    assert_same_books(played, taped, within=60)
    topics = [parse_topic(each) for each in topics_of(exchange, market).split(",")]
    assert all(b'"state":"live"' in played.server.hub.status(topic).body for topic in topics)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("exchange", "market"), MARKETS)
def test_a_time_in_the_middle_of_a_segment_is_played_from_the_checkpoint_before_it(
    tmp_path: Path, exchange: str, market: str
) -> None:
    taped = Taped(tmp_path, exchange, market)
    taped.run(18)
    chosen = taped.now
    taped.run(5)
    taped.stop()
    assert len(taped.segments) == 2
    played = Played(tmp_path, taped.config, begin=chosen)
    assert played.recording.frames[0].at < -3
    played.play()
    assert_same_books(played, taped, within=60)
    assert 4 < played.seconds - played.began < 5.5  # what lies before the chosen time took none


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("exchange", "market"), MARKETS)
def test_a_whole_tape_is_played_without_its_checkpoints(tmp_path: Path, exchange: str, market: str) -> None:
    """All that a book is made of is on the tape, byte for byte."""
    taped = Taped(tmp_path, exchange, market)
    taped.run(16)
    taped.stop()
    assert len(taped.segments) == 2 and verify(tmp_path).errors == []
    recording = read_recording(tmp_path)
    found = [each for each in read_frames(tmp_path, exchange, market) if not isinstance(each, Missing)]
    taken = [each.frame.decode() for each in found if isinstance(each, TapedFrame) and each.came_in]
    assert len([each for each in found if isinstance(each, TapedBook)]) >= 2
    assert {each.text for each in recording.frames} <= set(taken)
    assert not any(each.is_checkpoint for several in recording.timed_snapshots.values() for each in several)


def test_a_tape_without_checkpoints_is_read_as_before(tmp_path: Path) -> None:
    """Of one that was made by an earlier version the books come when the venue sends them."""
    with patch.object(FrameTap, "checkpoint", FrameTap.standing):
        taped = Taped(tmp_path, "bybit", "spot")
        taped.run(20)
        chosen = taped.now - 3_000_000
        taped.stop()
    assert checkpoint_before(tmp_path, "bybit", "spot", chosen) is None
    recording = read_recording(tmp_path, begin=chosen)
    assert recording.frames[0].at == 0.0 and recording.instruments == {}
    taped.segments[0].unlink()
    played = Played(tmp_path, taped.config)
    played.play()
    assert not played.books.states
