"""What the hub says of the venues: values, never the venues themselves."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred

from cryptodash.core.events import State
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.interfaces import ExchangeReport, StreamReport


def test_venues_are_asked_by_name(world):
    assert world.hub.exchanges() == ("binance", "bybit")
    assert world.hub.markets("binance") == (MarketType.SPOT, MarketType.PERPETUAL)
    assert world.hub.candle_intervals("binance", MarketType.SPOT) == tuple(world.venue.intervals(MarketType.SPOT))
    assert world.hub.source("binance") == "simulated"
    assert world.hub.book_depth_default == 50


def test_instruments_are_one_value_until_the_catalogue_changes(world):
    before = world.hub.instruments("binance")
    assert before.version == world.venue.catalogue.version
    assert before.instruments == tuple(world.venue.catalogue)
    assert all(isinstance(each, Instrument) for each in before.instruments)
    assert world.hub.instruments("binance") is before
    world.venue.catalogue.replace(MarketType.SPOT, [])
    after = world.hub.instruments("binance")
    assert after.version > before.version
    assert len(after.instruments) == 2 and len(before.instruments) == 4


def test_reports_of_all_venues_are_values(world, monkeypatch):
    report = ExchangeReport("x", "X", "online", False, None, "", "live", "", "", {}, 1, 1, 1, None)
    stream = StreamReport("x", "s", "c", (), State.LIVE, None, None, 0.0, None, 0, 0)
    for venue in (world.venue, world.other):
        monkeypatch.setattr(venue, "report", lambda: report)
        monkeypatch.setattr(venue, "streams", lambda: iter([[stream], []]))
    assert world.hub.exchange_reports() == (report, report)
    assert list(world.hub.stream_reports()) == [[stream], [], [stream], []]


def test_a_catalogue_is_read_again_by_name(world, monkeypatch):
    async def seven() -> int:
        return 7

    monkeypatch.setattr(world.other, "refresh_catalogue", seven)
    got: list[int] = []
    ensureDeferred(world.hub.refresh_catalogue("bybit")).addCallback(got.append)
    assert got == [7]
