"""A ticker whose venue's clock is set back: two frames must agree, what both said counts, and what was known before is
no newer than what comes."""

from __future__ import annotations

from typing import Any

from cryptodash.core.events import Side, Ticker
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Fill, Mark, Stats
from cryptodash.exchanges.builders.ticker import TickerBuilder

START = 1_700_000_000_000
BACK = 32_000
"""By how much the clock was set back, ms."""
TICKER = Topic("bybit", MarketType.PERPETUAL, Symbol("XRP", "USDT"), Channel.TICKER)
N = Number


class Venue:
    """Frames of one stream, each of 24 h figures, of mark figures or of both. ``ahead``: by how much (ms) the server
    takes the venue's clock for ahead of its own; ``set_back`` by how much that is wrong since."""

    def __init__(self) -> None:
        self.builder = TickerBuilder(TICKER)
        self.ahead, self.set_back = 45_000, 0
        self.says(0.0, {"last": "3.1", "high": "3.5", "low": "3.0"}, {"mark_price": "3.11", "open_interest": "70"})

    def says(self, now: float, stats: dict[str, str] | None, mark: dict[str, str] | None = None) -> Ticker | None:
        """A frame comes; what the ticker is when it was taken."""
        received = START + round(now * 1000)
        time = received + self.ahead - self.set_back
        if mark is not None:
            self.builder.mark(Mark("s", time, False, **_numbers(mark)), received + self.ahead, received, now)
        if stats is not None:
            full = Stats("s", time, full=False, **_numbers(stats))
            self.builder.stats(full, received + self.ahead, received, now)
        return self.builder.ticker

    def trades(self, now: float, price: str) -> None:
        received = START + round(now * 1000)
        fill = Fill("", N(price), N("1"), Side.BUY, received + self.ahead - self.set_back, None)
        self.builder.trades([fill], received + self.ahead, received, now)


def _numbers(said: dict[str, str]) -> dict[str, Any]:
    return {name: N(value) for name, value in said.items()}


def test_both_messages_of_a_frame_hear_that_the_clock_was_set_back() -> None:
    venue = Venue()
    venue.trades(0.1, "3.2")
    venue.set_back = BACK
    first = venue.says(1.0, {"last": "3.3"}, {"mark_price": "3.31"})
    assert first is not None and (first.last, first.mark_price) == ("3.2", "3.11")  # one frame alone proves nothing
    second = venue.says(1.1, {"last": "3.4"}, {"mark_price": "3.41"})
    assert second is not None and (second.last, second.mark_price) == ("3.4", "3.41")
    assert not venue.builder.dropped
    time = START + 1_100 + venue.ahead - BACK
    assert (second.timestamp, second.last_time, second.stats_time) == (time, time, time)


def test_what_the_held_frame_said_counts_when_another_agrees_that_says_less() -> None:
    venue = Venue()
    venue.set_back = BACK
    venue.says(1.0, {"last": "3.3", "high": "3.6"}, {"mark_price": "3.31", "open_interest": "77"})
    ticker = venue.says(1.1, {"last": "3.4"}, {"mark_price": "3.41"})
    assert ticker is not None
    assert (ticker.last, ticker.high_24h, ticker.mark_price, ticker.open_interest) == ("3.4", "3.6", "3.41", "77")


def test_the_held_frame_counts_as_well_where_it_waited_for_long() -> None:
    venue = Venue()
    venue.set_back = BACK
    venue.says(1.0, {"high": "3.6"})
    for now in (3.0, 6.1, 9.0):
        venue.builder.expire(venue.ahead, now)
    ticker = venue.says(20.0, {"last": "3.4"})
    assert ticker is not None and (ticker.last, ticker.high_24h) == ("3.4", "3.6")


def test_a_wild_frame_that_another_contradicted_counts_never() -> None:
    venue = Venue()
    venue.set_back = BACK
    venue.says(1.0, {"high": "9.9"})
    venue.set_back = 0
    venue.says(1.1, {"last": "3.4"})
    venue.set_back = BACK
    venue.says(1.2, {"last": "3.5"})
    ticker = venue.says(1.3, {"last": "3.6"})
    assert ticker is not None and (ticker.last, ticker.high_24h) == ("3.6", "3.5")


def test_what_the_stream_says_later_is_newer_than_what_it_said_before_its_clock_was_set_back() -> None:
    venue = Venue()
    venue.set_back = BACK
    venue.says(1.0, None, {"mark_price": "3.31"})
    venue.says(1.1, None, {"mark_price": "3.41"})
    ticker = venue.says(1.2, {"last": "3.4", "low": "2.9"}, {"mark_price": "3.42", "open_interest": "78"})
    assert ticker is not None
    assert (ticker.last, ticker.low_24h, ticker.mark_price, ticker.open_interest) == ("3.4", "2.9", "3.42", "78")
    assert ticker.last_time == ticker.stats_time == START + 1_200 + venue.ahead - BACK
    traded = START + 1_300 + venue.ahead - BACK
    venue.trades(1.3, "3.5")
    assert venue.builder.ticker is not None and venue.builder.ticker.last_time == traded


def test_both_messages_of_a_frame_are_told_once_the_venues_clock_is_known() -> None:
    venue = Venue()
    venue.set_back = BACK
    venue.says(1.0, {"last": "3.3"}, {"mark_price": "3.31"})
    venue.ahead -= BACK
    ticker = venue.builder.expire(venue.ahead, 6.0)
    assert ticker is not None and (ticker.last, ticker.mark_price) == ("3.3", "3.31")
