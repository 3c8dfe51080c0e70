"""Where a ticker's ``last`` comes from: the trade stream, or the 24 h figures where trades may be missing."""

from __future__ import annotations

from cryptodash.core.events import State, StreamStatus, Ticker
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench, Server

TICKER = "spot:BTC-USDT:ticker"
TRADES = "spot:BTC-USDT:trade"
OTHER = "spot:ETH-USDT:trade"


class Market:
    """A bench with a ticker, its trades, and another instrument's trades, which prove that such a stream delivers."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.bench.want(TICKER, TRADES, OTHER)
        self.bench.advance(1)
        self._number = 0

    @property
    def newest(self) -> Server:
        return list(self.bench.servers.values())[-1]

    @property
    def last(self) -> str | None:
        return self.bench.published(Ticker)[-1].last

    def trade(self, price: str, native: str = "BTCUSDT") -> None:
        self._number += 1
        self.bench.frame(wire.trade(native, self._number, price, self.bench.wall), self.newest)

    def day(self, price: str) -> None:
        self.bench.frame(wire.day("BTCUSDT", price, self.bench.wall), self.newest)

    def after_trade(self, price: str, figures: str) -> str | None:
        """``last`` once a trade has come, and after it figures with another price."""
        self.bench.advance(0.1)
        self.trade(price)
        self.bench.advance(0.1)
        self.day(figures)
        return self.last

    def quote(self) -> None:
        self.bench.frame(wire.quote("BTCUSDT", "99", "111", self.bench.wall), self.newest)

    def begin(self, seconds: int = 4) -> None:
        """Quotes, figures that say 100, and trades at that price, two a second."""
        for _ in range(seconds * 2):
            self.trade("100")
            self.day("100")
            self.quote()
            self.bench.advance(0.5)

    def wait(self, seconds: int, price: str | None = None) -> None:
        """Quotes and the other's trades; the figures say ``price``."""
        for _ in range(seconds * 2):
            self.trade("10", "ETHUSDT")
            self.quote()
            if price is not None:
                self.day(price)
            self.bench.advance(0.5)


def test_trades_that_a_lost_connection_cost_are_told_by_the_figures_until_the_next_trade() -> None:
    """The trade stream is back and quiet: what was traded meanwhile only the 24 h figures tell (seeds 342, 395)."""
    market = Market()
    bench = market.bench
    market.begin()
    bench.close(market.newest)
    bench.advance(3)
    market.wait(7)
    assert bench.state(TRADES) is State.QUIET
    before = len(bench.events)
    market.day("105")
    told = [each for each in bench.events[before:] if each.topic == bench.topic(TICKER)]
    assert isinstance(told[0], Ticker) and told[0].last == "105"
    assert [each.state for each in told[1:] if isinstance(each, StreamStatus)] == [State.LIVE]
    bench.advance(0.1)
    market.day("106")
    assert market.last == "106"
    market.trade("107")
    bench.advance(0.1)
    market.day("106")
    assert market.last == "107", "from the first trade on none is missing"


def test_a_trade_of_before_the_stream_was_begun_anew_shows_nothing_of_those_between() -> None:
    market = Market()
    bench = market.bench
    market.begin(15)
    bench.obedient = False
    market.wait(12, "100")
    assert [request["op"] for _, request in market.newest.sent if "trade:BTC" in str(request)] == ["sub", "unsub"]
    market.trade("101")  # on its way when the venue heard of the end
    bench.ack(market.newest)
    bench.advance(1)
    bench.ack(market.newest)
    assert bench.state(TRADES) is State.LIVE
    market.day("105")
    assert market.last == "105"
    assert market.after_trade("106", "105") == "106"


def test_trades_that_a_silence_of_the_whole_connection_swallowed_are_told_by_the_figures() -> None:
    """The connection says something again: the trade stream is quiet, and was not begun anew (seed 626)."""
    market = Market()
    bench = market.bench
    market.begin(4)
    bench.advance(9)
    assert bench.state(TRADES) is State.STALE
    market.quote()
    bench.advance(0.5)
    assert bench.state(TRADES) is State.QUIET
    market.day("105")
    assert market.last == "105"
    assert market.after_trade("106", "105") == "106", "from the first trade on none is missing"


def test_what_the_figures_said_while_trades_were_believed_counts_once_they_are_not() -> None:
    """Figures that tell only changes do not say it again."""
    market = Market()
    bench = market.bench
    market.begin(15)
    bench.advance(0.1)
    market.day("105")
    assert market.last == "100", "the trade stream is open"
    before = len(bench.events)
    for _ in range(12):
        bench.advance(0.5)
        market.trade("10", "ETHUSDT")
        market.quote()
    assert bench.state(TRADES) is State.STALE
    prices = [each.last for each in bench.events[before:] if isinstance(each, Ticker)]
    assert prices[0] == "100" and prices[-1] == "105"


def test_figures_older_than_the_last_trade_do_not_replace_it_when_trades_are_not_believed_any_more() -> None:
    market = Market()
    market.begin(15)
    market.bench.advance(0.1)
    market.day("105")
    market.bench.advance(0.1)
    market.trade("106")
    market.wait(12)
    assert market.bench.state(TRADES) is State.STALE
    assert market.last == "106"


def test_trades_that_are_older_than_the_last_of_the_figures_do_not_keep_it_fresh() -> None:
    """A clock that was set back while the connection was lost: by their times the trades are of before what the figures
    said, so that ``last`` stays that of the figures, which do not come (seeds 179, 357)."""
    market = Market()
    bench = market.bench
    market.begin()
    bench.drop(TRADES)
    market.wait(8, "105")
    bench.frame(wire.day("BTCUSDT", "105", bench.wall + 4_900), market.newest)
    bench.close(market.newest)
    bench.advance(2)
    bench.want(TRADES)
    bench.advance(0.5)
    for _ in range(4):
        market.quote()
        market.trade("120")
        bench.advance(0.25)
    assert bench.state(TRADES) is State.LIVE
    assert (market.last, bench.state(TICKER), bench.status(TICKER).fields) == ("105", State.STALE, ("last", "stats"))
    bench.frame(wire.day("BTCUSDT", "121", bench.wall + 4_900), market.newest)
    assert (market.last, bench.state(TICKER), bench.status(TICKER).fields) == ("121", State.LIVE, ())
