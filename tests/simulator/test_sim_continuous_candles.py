"""Candles of Binance's continuous contracts."""

from __future__ import annotations


def test_a_continuous_candle_is_that_of_the_perpetual(world) -> None:
    """developers.binance.com, USD-M, "Continuous Contract Kline/Candlestick Streams": pair and contract type instead of
    the symbol, else the same bar."""
    names = ["btcusdt@kline_1m", "btcusdt_perpetual@continuousKline_1m"]
    wire = world.connect("binance-perpetual", "/market/stream", {"streams": "/".join(names)})
    world.run(70)
    frames = {name: [] for name in names}
    for frame in wire.take():
        frames[frame["stream"]].append(frame["data"])
    plain, continuous = frames.values()
    assert len(continuous) > 100
    assert any(each["k"]["x"] for each in continuous)
    for one, other in zip(plain, continuous, strict=True):
        assert list(other) == ["e", "E", "ps", "ct", "k"]
        assert (other["e"], other["ps"], other["ct"]) == ("continuous_kline", "BTCUSDT", "PERPETUAL")
        bar = dict(one["k"])
        assert bar.pop("s") == "BTCUSDT"
        assert (other["E"], list(other["k"].items())) == (one["E"], list(bar.items()))
