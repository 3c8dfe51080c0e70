"""The market: books never crossed, trades that take what the book shows, truth that can be rewound,
all of it from the seed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.assets import AssetValues
from cryptodash.simulator.bar_cache import BarCache
from cryptodash.simulator.book import Book, Side
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.market import Market

NOW = 1_763_811_234_567
PLACES = [(exchange, market) for exchange in ("binance", "bybit") for market in MarketType]


def _market(
    exchange: str = "binance", market: MarketType = MarketType.SPOT, *, seed: int = 1, record: bool = True
) -> Market:
    spec = registry.load(exchange).markets[market]
    return Market(exchange, market, spec, AssetValues(seed, NOW), BarCache(), record=record)


def _walk(instrument, steps: int = 300):
    instrument.watched = 1
    for changes in range(1, steps + 1):
        yield instrument.step(NOW + 100 * changes)


@pytest.mark.parametrize(("exchange", "market"), PLACES)
def test_books_are_never_crossed_and_never_empty(exchange: str, market: MarketType) -> None:
    place = _market(exchange, market)
    for instrument in place.all():
        for changes in _walk(instrument, 60):
            for top in changes.tops:
                assert 0 < top.bid < top.ask
                assert top.bid_size > 0
                assert top.ask_size > 0


@pytest.mark.parametrize(("exchange", "market"), PLACES)
def test_every_market_has_what_a_demo_needs(exchange: str, market: MarketType) -> None:
    tradable = [each for each in _market(exchange, market).specs if each.trading and each.kind != "future"]
    assert len(tradable) >= 20
    assert {"USDT", "USDC"} <= {each.quote for each in tradable}
    assert min(each.trades_per_hour for each in tradable) <= 20, "an instrument that rarely trades"
    assert len({each.native for each in tradable}) == len(tradable)
    texts = [each.price(_market(exchange, market).get(each.native).last_price) for each in tradable]
    assert any(float(text) > 100_000 for text in texts)
    if market is MarketType.SPOT:
        assert "BTC" in {each.quote for each in tradable}
        assert any(text.startswith("0.00001") for text in texts)
    else:
        assert {"1000PEPE"} <= {each.base for each in tradable}


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    runs = [
        [(changes.bids, changes.asks, changes.trades) for changes in _walk(_market(seed=seed).get("BTCUSDT"))]
        for seed in (7, 7, 8)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_trades_take_the_best_price_there_was() -> None:
    instrument = _market().get("BTCUSDT")
    tops = [instrument.top()]
    trades = []
    for changes in _walk(instrument, 600):
        tops.extend(changes.tops)
        trades.extend(changes.trades)
    assert len(trades) > 100
    for trade in trades:
        before = [top for top in tops if top.id < trade.sequence][-1]
        assert trade.price == (before.ask if trade.buy else before.bid)
        assert trade.size <= (before.ask_size if trade.buy else before.bid_size)
    assert [trade.id for trade in trades] == list(range(trades[0].id, trades[0].id + len(trades)))


@pytest.mark.parametrize("native", ["BTCUSDT", "PEPEUSDT", "NKNUSDT", "ETHBTC"])
def test_changes_applied_to_an_old_book_give_the_new_one(native: str) -> None:
    instrument = _market().get(native)
    bids, asks = (dict(side) for side in instrument.book.levels(3_000))
    edges = min(bids), max(asks)
    for changes in _walk(instrument, 400):
        bids.update(changes.bids)
        asks.update(changes.asks)
    expected_bids, expected_asks = instrument.book.levels(200)
    assert [(price, size) for price, size in sorted(bids.items(), reverse=True) if size and price >= edges[0]][
        :200
    ] == expected_bids[:200]
    assert [(price, size) for price, size in sorted(asks.items()) if size and price <= edges[1]][:200] == expected_asks[
        :200
    ]


def test_the_price_walks_out_of_a_thousand_levels_in_time() -> None:
    instrument = _market(record=False).get("BTCUSDT")
    worst = {side[-1][0] for side in instrument.book.levels(100)}
    instrument.watched = 1
    for second in range(1, 1_200):
        instrument.step(NOW + 1_000 * second)
        if not min(worst) < instrument.book.bid < max(worst):
            return
    pytest.fail("the price stayed inside the best hundred levels for 20 minutes")


def test_books_are_deeper_than_any_snapshot() -> None:
    bids, asks = _market().get("BTCUSDT").book.levels(6_000)
    assert len(bids) == len(asks) == 6_000
    assert [price for price, _ in bids] == sorted({price for price, _ in bids}, reverse=True)
    assert [price for price, _ in asks] == sorted({price for price, _ in asks})


def test_a_cheap_coin_ends_at_one_tick() -> None:
    bids, _ = _market().get("PEPEUSDT").book.levels(6_000)
    assert bids[-1][0] >= 1
    assert len(bids) == bids[0][0]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    gap=st.integers(1, 50),
    steps=st.lists(
        st.tuples(st.sampled_from(["best", "near", "deep", "kept"]), st.integers(0, 40), st.integers(0, 5)), max_size=60
    ),
)
def test_a_side_is_what_its_changes_made_of_it(seed: int, gap: int, steps: list[tuple[str, int, int]]) -> None:
    side = Side(1, 10_000, gap, 100, Random(seed))
    model = dict(side.levels(400))
    edge = max(model)
    for kind, distance, size in steps:
        key = {
            "best": side.best,
            "near": side.best - 5 + distance,
            "deep": side.untouched(distance),
            "kept": side.kept(distance) or side.best,
        }[kind]
        if key > edge:
            continue
        side.set(key, size)
        model[key] = size
        left = sorted(key for key, steps_there in model.items() if steps_there)
        if len(left) < 100:
            return
        assert side.best == left[0]
        assert side.size(key) == size
        assert side.levels(50) == [(key, model[key]) for key in left[:50]]


def test_two_simulators_with_one_seed_say_the_same(make_world) -> None:
    said = []
    for seed in (5, 5, 6):
        world = make_world(seed)
        wires = [
            world.connect("binance-spot", "/stream", {"streams": "btcusdt@depth@100ms/pepeusdt@trade/!miniTicker@arr"}),
            world.connect("bybit", "/v5/public/linear"),
        ]
        wires[1].say({"op": "subscribe", "args": ["tickers.ETHUSDT", "orderbook.200.BTCUSDT"]})
        world.run(10)
        said.append([wire.frames for wire in wires])
        world.simulator.stopService()
    assert said[0] == said[1]
    assert said[0] != said[2]


def test_there_are_recent_trades_from_the_start(world) -> None:
    trades = world.json("binance-spot", "/api/v3/trades", symbol="BTCUSDT")
    assert len(trades) > 10
    assert trades[-1]["time"] > world.clock.wall_ms() - 5_000


def test_truth_can_be_rewound_to_any_recorded_change(world) -> None:
    truth = world.simulator.truth
    wire = world.connect("binance-spot", "/ws/btcusdt@bookTicker")
    seen = {}
    for _ in range(60):
        world.run(0.1)
        instrument = truth.instrument("binance", MarketType.SPOT, "BTC-USDT")
        spec = instrument.spec
        seen[instrument.update_id] = [
            [(spec.price(price), spec.size(size)) for price, size in side] for side in instrument.book.levels(25)
        ]
    assert len(seen) > 30
    for update_id, (bids, asks) in seen.items():
        assert truth.book("binance", MarketType.SPOT, "BTC-USDT", update_id, 25) == (bids, asks)
    for quote in wire.take():
        bids, asks = truth.book("binance", MarketType.SPOT, "BTCUSDT", quote["u"], 1)
        assert (bids[0], asks[0]) == ((quote["b"], quote["B"]), (quote["a"], quote["A"]))
    assert truth.book("binance", MarketType.SPOT, "BTC-USDT", max(seen) + 1, 5) is None
    assert truth.book("binance", MarketType.SPOT, "BTC-USDT", 1, 5) is None
    with pytest.raises(KeyError):
        truth.book("binance", MarketType.SPOT, "NO-SUCH", 1, 5)


def test_truth_knows_quotes_tickers_trades_and_candles(world) -> None:
    truth = world.simulator.truth
    wire = world.connect("binance-spot", "/ws/btcusdt@trade")
    world.run(20)
    place = ("binance", MarketType.SPOT, "BTC-USDT")
    for trade in wire.take():
        known = truth.trade(*place, trade["t"])
        assert (known.price, known.size, known.side) == (trade["p"], trade["q"], "sell" if trade["m"] else "buy")
    assert truth.trade(*place, 1) is None
    ticker = truth.ticker(*place)
    assert ticker.last == truth.trades(*place)[-1].price
    assert ticker.quote == truth.quotes(*place)[-1]
    row = world.json("binance-spot", "/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=3)[-1]
    running = truth.candles(*place, "1m", 3)[-1]
    assert [running.start, running.open, running.high, running.low, running.close, running.volume] == row[:6]
    assert not running.closed


def test_venues_differ_a_little_and_assets_move_together() -> None:
    assets = AssetValues(3, NOW)
    spot, linear = (
        Market(exchange, market, registry.load(exchange).markets[market], assets, BarCache())
        for exchange, market in (("binance", MarketType.SPOT), ("bybit", MarketType.PERPETUAL))
    )
    apart = []
    for minute in range(1, 30):
        one, other = spot.get("BTCUSDT"), linear.get("BTCUSDT")
        for instrument in (one, other):
            instrument.catch_up(NOW + 60_000 * minute)
        apart.append(abs(one.book.bid - other.book.bid * 10) * 1_000_000 // one.book.bid)
    assert sorted(apart)[len(apart) // 2] <= 100, "one pair is worth the same everywhere, but for the basis"
    assert one.last_price != other.last_price * 10


@pytest.mark.parametrize(
    ("units", "decimals", "places", "text"),
    [
        (6_400_012, 2, 8, "64000.12000000"),
        (1093, 8, 8, "0.00001093"),
        (-331, 2, 2, "-3.31"),
        (-5, 2, 8, "-0.05000000"),
        (12, 0, 0, "12"),
        (12, 0, 3, "12.000"),
        (123_456, 4, 2, "12.34"),
        (0, 3, 3, "0.000"),
    ],
)
def test_numbers_are_padded_or_cut_exactly(units: int, decimals: int, places: int, text: str) -> None:
    assert fixed(units, decimals, places) == text


@pytest.mark.parametrize(("text", "bare"), [("78715.00", "78715"), ("0.10", "0.1"), ("100", "100"), ("0.000", "0")])
def test_bare_numbers_lose_padding_only(text: str, bare: str) -> None:
    assert trim(text) == bare


def test_a_book_starts_uncrossed() -> None:
    assert Book(100, 101, 1, 5, Random(1)).top()[::2] == (100, 101)
