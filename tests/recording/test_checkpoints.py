"""A replay that begins in the middle of a frames tape has every order book at once, for all venues."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recording.taped_runs import Played, Taped

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
    """Both have both books; those of the replay are live within so many of the last states of the run, and from then on
    they are the run's, level for level."""
    assert len(taped.books.states) == len(played.books.states) == 2
    for symbol, states in played.books.states.items():
        own = [each.levels for each in states]
        assert own == [each.levels for each in taped.books.states[symbol]][-len(own) :]
        assert len(own) >= within, (symbol, len(own))


@pytest.mark.parametrize(("exchange", "market"), MARKETS)
def test_books_are_there_where_the_beginning_of_a_tape_is_not(tmp_path: Path, exchange: str, market: str) -> None:
    taped = Taped(tmp_path, exchange, market)
    taped.run(20)
    taped.stop()
    assert len(taped.segments) == 2
    taped.segments[0].unlink()
    played = Played(tmp_path, taped.config)
    played.play()
    for symbol in played.books.states: print(symbol, len(played.books.states[symbol]), len(taped.books.states[symbol]), played.books.rebuilt[symbol], taped.books.rebuilt[symbol])
    assert_same_books(played, taped, within=20)
