"""History and the live market are one process: its statistics on several seeds, what it says when asked twice, how
venues follow each other, and what is served of an instrument that is halted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.assets import AssetValues
from cryptodash.simulator.bar_cache import BarCache
from cryptodash.simulator.bars import merged
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import DAY, HOUR, MINUTE, QUARTER
from cryptodash.simulator.market import Market, MarketSpec

NOW = 1_763_811_234_567
SEEDS = (1, 2, 3)
SPOT = MarketType.SPOT


def _markets(seed: int, start: int = NOW) -> dict[str, Market]:
    assets, bars = AssetValues(seed, start), BarCache()
    return {name: Market(name, SPOT, registry.load(name).markets[SPOT], assets, bars) for name in ("binance", "bybit")}


def _stepped(instruments: list[SimulatedInstrument], every: int, seconds: int) -> Iterator[int]:
    for instrument in instruments:
        instrument.watched = 1
    for now in range(NOW + every, NOW + seconds * 1_000 + 1, every):
        for instrument in instruments:
            instrument.step(now)
        yield now


def _minutes(instrument: SimulatedInstrument, now: int, count: int) -> list[Any]:
    """The last closed minutes."""
    return instrument.candles.candles("1m", None, now - now % MINUTE - 1, count)


# --- volume ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("native", ["BTCUSDT", "LTCUSDT"])
def test_live_minutes_have_the_volume_of_the_minutes_before_the_start(seed: int, native: str) -> None:
    instrument = _markets(seed)["binance"].get(native)
    before = instrument.candles.day().volume
    history = _minutes(instrument, NOW, 24 * 60)
    now = NOW
    for now in _stepped([instrument], 500, 18 * 60):  # noqa: B007 (the last one)
        pass
    live = _minutes(instrument, now, 17)
    ratio = sum(bar.volume for bar in live) / 17 / (sum(bar.volume for bar in history) / len(history))
    assert 0.25 < ratio < 4
    widths = [sorted(bar.high - bar.low for bar in bars)[len(bars) // 2] for bars in (history, live)]
    assert 0.25 < (widths[1] + 1) / (widths[0] + 1) < 4
    assert 0.95 < instrument.candles.day().volume / before < 1.05


@pytest.mark.parametrize("native", ["BTCUSDT", "BCHUSDT", "NKNUSDT"])
def test_minutes_are_the_same_whether_somebody_watches_or_not(native: str) -> None:
    watched, asked, late = (_markets(4)["binance"].get(native) for _ in range(3))
    now = NOW
    for now in _stepped([watched], 100, 400):  # noqa: B007 (the last one)
        pass
    asked.catch_up(NOW + 170_000)
    for each in (asked, late):
        each.catch_up(now)
    late_bars = _minutes(late, now, 5)
    for one, other, third in zip(_minutes(watched, now, 5), _minutes(asked, now, 5), late_bars, strict=True):
        assert one == other
        assert (one.start, one.count, one.volume, one.first) == (third.start, third.count, third.volume, third.first)
    assert watched.trade_id == asked.trade_id == late.trade_id


def test_a_price_asked_for_again_is_the_same_and_another_start_changes_its_unit_only() -> None:
    path, again = (AssetValues(9, NOW).pair("ETH", "USDT").path for _ in range(2))
    times = [NOW - 700 * DAY, NOW - HOUR - 1, NOW, NOW + 12_345, NOW + 40 * DAY]
    first = [path.at(time) for time in times]
    assert first == [path.at(time) for time in times]
    assert first[::-1] == [again.at(time) for time in times[::-1]]
    other = AssetValues(9, NOW + 5 * DAY).pair("ETH", "USDT").path
    assert [path.range(HOUR, NOW - NOW % HOUR)] == [other.range(HOUR, NOW - NOW % HOUR)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_price_stays_within_the_range_of_its_bars(seed: int) -> None:
    path = AssetValues(seed, NOW).pair("BTC", "USDT").path
    for start in range(NOW - NOW % MINUTE, NOW + 100 * MINUTE, MINUTE):
        open_, high, low, close = path.range(MINUTE, start)
        prices = [path.at(time)[0] for time in range(start, start + MINUTE, 250)]
        assert prices[0] == open_ and path.at(start + MINUTE - 1)[0] == close
        assert low <= min(prices) and max(prices) <= high
        seconds = path.seconds(start)
        assert (max(each[1] for each in seconds), min(each[2] for each in seconds)) == (high, low)


# --- bars ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("native", ["BTCUSDT", "ETHBTC", "NKNUSDT"])
def test_every_coarse_bar_is_the_sum_of_its_minutes_and_the_day_of_its_tickers(seed: int, native: str) -> None:
    instrument = _markets(seed)["bybit"].get(native)
    now = NOW
    for now in _stepped([instrument], 1_000, 20 * 60):  # noqa: B007 (the last one)
        pass
    candles = instrument.candles
    minutes = {bar.start: bar for bar in candles.candles("1m", None, now, 1_600)}
    for hour in candles.candles("1h", None, now, 24):
        parts = [minutes[at] for at in range(hour.start, min(hour.start + HOUR, now), MINUTE)]
        assert merged(hour.start, parts) == hour
        assert parts[0].open == minutes[hour.start - MINUTE].close or native == "NKNUSDT" or not parts[0].count
    last = candles.candles("1m", None, now, 1_440)
    assert candles.day() == merged(last[0].start, last)
    assert candles.candles("1m", None, now, 1_600) == list(minutes.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_price_of_a_busy_pair_does_not_stand_still(seed: int) -> None:
    instrument = _markets(seed)["binance"].get("BTCUSDT")
    now = NOW
    for now in _stepped([instrument], 500, 600):  # noqa: B007 (the last one)
        pass
    closes = [bar.close for bar in _minutes(instrument, now, 3_000)]
    assert max(len(list(run)) for _, run in itertools.groupby(closes)) <= 3
    joints = itertools.pairwise(_minutes(instrument, now, 3_000))
    # A bar opens where the one before it closed, but for the live ones: those open with their first trade.
    gaps = sorted(abs(after.open - before.close) for before, after in joints)
    assert gaps[len(gaps) * 9 // 10] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_no_hour_is_a_plateau(seed: int) -> None:
    minutes = _minutes(_markets(seed)["binance"].get("BTCUSDT"), NOW, 5 * 24 * 60)
    closes = [bar.close for bar in minutes]
    quarters = [closes[at : at + 15] for at in range(0, len(closes), 15)]
    hours = [closes[at : at + 60] for at in range(0, len(closes), 60)]
    for windows, least in ((quarters, 12), (hours, 6)):
        widths = sorted(max(each) - min(each) for each in windows)
        assert widths[0] * least > widths[len(widths) // 2]


def test_live_bars_that_are_no_longer_kept_are_served_from_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptodash.simulator.candles._MOST_KEPT", 60)
    instrument = _markets(2)["binance"].get("ETHUSDT")
    instrument.catch_up(NOW + 5 * HOUR)
    minutes = _minutes(instrument, NOW + 5 * HOUR, 600)
    assert [bar.start for bar in minutes] == list(range(minutes[0].start, minutes[-1].start + 1, MINUTE))
    assert len(minutes) == 600
    quarter = instrument.candles.bar(QUARTER, (NOW + HOUR) // QUARTER * QUARTER)
    assert quarter == merged(quarter.start, [bar for bar in minutes if 0 <= bar.start - quarter.start < QUARTER])


# --- venues ---


def _quotes(seed: int, lags: dict[str, int], every: int, seconds: int) -> Iterator[tuple[float, float, float, float]]:
    """(bid, ask, bid, ask) of BTC-USDT on both venues, in the quote currency."""
    assets, bars = AssetValues(seed, NOW), BarCache()
    pair = []
    for name in ("binance", "bybit"):
        spec = registry.load(name).markets[SPOT]
        pair.append(Market(name, SPOT, MarketSpec(spec.instruments, lag_ms=lags[name]), assets, bars).get("BTCUSDT"))
    for _ in _stepped(pair, every, seconds):
        yield tuple(  # type: ignore[misc]
            ticks * each.spec.tick / 10**each.spec.price_decimals
            for each in pair
            for ticks in (each.book.bid, each.book.ask)
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_venues_cross_rarely_and_briefly(seed: int) -> None:
    lags = {name: registry.load(name).markets[SPOT].lag_ms for name in ("binance", "bybit")}
    crossed = [
        max(bid - other_ask, other_bid - ask) > 0 for bid, ask, other_bid, other_ask in _quotes(seed, lags, 20, 600)
    ]
    assert sum(crossed) / len(crossed) < 0.05
    runs = [len(list(run)) * 20 for is_crossed, run in itertools.groupby(crossed) if is_crossed]
    assert sorted(runs)[len(runs) // 2] <= 100 and max(runs) < 600


def test_venues_without_a_lag_never_cross() -> None:
    assert all(
        bid < other_ask and other_bid < ask
        for bid, ask, other_bid, other_ask in _quotes(5, {"binance": 0, "bybit": 0}, 100, 300)
    )


@pytest.mark.parametrize(("binance", "bybit"), [(0, 120), (250, 0), (40, 40)])
def test_the_lag_between_venues_is_the_one_that_is_set(binance: int, bybit: int) -> None:
    """By cross-correlation of their moves."""
    quotes = list(_quotes(1, {"binance": binance, "bybit": bybit}, 10, 240))
    moves = [[later[side] - earlier[side] for earlier, later in itertools.pairwise(quotes)] for side in (0, 2)]
    span = 40

    def together(shift: int) -> float:
        return sum(one * other for one, other in zip(moves[0][span:-span], moves[1][span + shift :], strict=False))

    best = max(range(-span, span + 1), key=together)
    assert best * 10 == bybit - binance


def test_the_lag_is_an_option_of_the_simulator(make_world: Any) -> None:
    world = make_world(lags={"bybit": 300})
    lags = {place: market.lag_ms for place, market in world.simulator.markets.items()}
    assert {lag for (exchange, _), lag in lags.items() if exchange == "bybit"} == {300}
    assert {lag for (exchange, _), lag in lags.items() if exchange == "binance"} == {0}
    world.simulator.stopService()


# --- instruments differ ---


@pytest.mark.parametrize("exchange", ["binance", "bybit"])
def test_volume_falls_from_bitcoin_to_the_long_tail(exchange: str) -> None:
    market = _markets(1)[exchange]

    def turnover(spec: InstrumentSpec) -> float:
        bar = market.get(spec.native).candles.day()
        return bar.turnover * spec.tick * spec.step / 10 ** (spec.price_decimals + spec.size_decimals)

    found = sorted(((turnover(each), each.base) for each in market.specs if each.quote == "USDT"), reverse=True)
    assert [base for _, base in found[:3]] == ["BTC", "ETH", "SOL"]
    assert found[-1][1] == "NKN"
    assert found[0][0] > 1_000 * found[-1][0]
    spreads = {each.native: market.get(each.native).fair.spread for each in market.specs if each.trading}
    assert spreads["BTCUSDT"] == 1 and len(set(spreads.values())) > 1


# --- what is halted ---


def test_klines_of_a_halted_instrument_are_flat_since_then_and_served_on(world: Any) -> None:
    query = {"symbol": "BCHBTC", "interval": "1m", "limit": 500}
    rows = world.json("binance-spot", "/api/v3/klines", **query)
    world.run(60)
    later = world.json("binance-spot", "/api/v3/klines", **query)
    assert rows[1:] == later[:-1]
    last = rows[0][4]
    assert all(row[1:6] == [last] * 4 + ["0.00000000"] and row[8] == 0 for row in (*rows, *later))
    days = world.json("binance-spot", "/api/v3/klines", symbol="BCHBTC", interval="1d", limit=10)
    assert [bool(row[8]) for row in days] == [True] * 6 + [False] * 4
    assert days[5][4] == last
    assert world.get("binance-spot", "/api/v3/depth", symbol="BCHBTC").status == 400


def test_nothing_is_traded_while_an_instrument_is_delisted(world: Any) -> None:
    place = "binance-spot", "/api/v3/klines"
    world.json(*place, symbol="ETHUSDT", interval="1m")
    world.simulator.faults.start("binance", "delist", "ETH-USDT", seconds=200, market="spot")
    world.run(190)
    rows = world.json(*place, symbol="ETHUSDT", interval="1m", limit=3)
    assert [row[8] for row in rows[1:]] == [0, 0]
    assert {price for row in rows[1:] for price in row[1:5]} == {rows[0][4]}
    world.run(70)
    assert world.json(*place, symbol="ETHUSDT", interval="1m", limit=1)[0][8] > 0


# --- trades by REST ---


@pytest.mark.parametrize(
    ("host", "stream", "prefix"),
    [("binance-spot", "/ws/btcusdt@", "/api/v3"), ("binance-perpetual", "/market/ws/btcusdt@", "/fapi/v1")],
)
def test_rest_tells_the_trades_that_the_streams_sent(world: Any, host: str, stream: str, prefix: str) -> None:
    wire = world.connect(host, f"{stream}aggTrade")
    single = world.connect(host, f"{stream.replace('/market', '/public')}trade")
    world.run(30)
    sent = {each["a"]: each for each in wire.take() if each.get("e") == "aggTrade"}
    fills = {each["t"]: each for each in single.take() if each.get("e") == "trade"}
    rows = world.json(host, f"{prefix}/aggTrades", symbol="BTCUSDT", limit=50)
    assert len(rows) == 50 and {row["a"] for row in rows} <= sent.keys()
    for row in rows:
        assert row == {name: sent[row["a"]][name] for name in row}
        assert ("M" in row) is (prefix == "/api/v3")
    for row in world.json(host, f"{prefix}/trades", symbol="BTCUSDT", limit=50):
        fill = fills[row["id"]]
        assert [row["price"], row["qty"], row["time"], row["isBuyerMaker"]] == [fill[name] for name in "pqTm"]
    assert sum(row["l"] - row["f"] + 1 for row in rows) == rows[-1]["l"] - rows[0]["f"] + 1


def test_aggregate_trades_are_asked_for_by_id_and_by_time(world: Any) -> None:
    place = "binance-spot", "/api/v3/aggTrades"
    rows = world.json(*place, symbol="BTCUSDT", limit=100)
    assert world.json(*place, symbol="BTCUSDT", fromId=rows[40]["a"], limit=5) == rows[40:45]
    begin, end = rows[10]["T"], rows[60]["T"]
    within = world.json(*place, symbol="BTCUSDT", startTime=begin, endTime=end)
    assert within == [row for row in rows if begin <= row["T"] <= end]
    refused = world.get(*place, symbol="BTCUSDT", startTime=0, endTime=2 * HOUR)
    assert (refused.status, b"-1127" in refused.body) == (400, True)
