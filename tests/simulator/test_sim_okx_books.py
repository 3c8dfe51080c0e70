"""Books and quotes of the simulated OKX: the chain of ids, the truth, contracts, and the legal oddities."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.okx.feeds import Books
from cryptodash.simulator.dialects.okx.numbers import sequence

PUBLIC = "/ws/v5/public"
HOUR = 3_600_000
SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
NATIVES = [("BTC-USDT", SPOT), ("BTC-USDT-SWAP", PERPETUAL), ("PEPE-USDT-SWAP", PERPETUAL), ("NKN-USDT", SPOT)]
Levels = dict[Decimal, Decimal]


def _watch(world, channel: str, native: str):
    wire = world.connect("okx", PUBLIC)
    wire.say({"op": "subscribe", "args": [{"channel": channel, "instId": native}]})
    return wire


def _frames(wire) -> list[dict[str, Any]]:
    return [frame for frame in wire.take() if "data" in frame]


def _contract(world, native: str) -> Decimal:
    """Base per unit of a size, as the catalogue has it."""
    kind = "SWAP" if native.endswith("-SWAP") else "SPOT"
    (entry,) = world.json("okx", "/api/v5/public/instruments", instType=kind, instId=native)["data"]
    return Decimal(entry["ctVal"] or "1") * Decimal(entry["ctMult"] or "1")


class Chain:
    """A client's book, put together by the rules of the documents."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.bids: Levels = {}
        self.asks: Levels = {}

    def take(self, frame: dict[str, Any]) -> None:
        (row,) = frame["data"]
        if frame["action"] == "snapshot":
            assert row["prevSeqId"] == -1
            self.bids, self.asks = {}, {}
        else:
            assert row["prevSeqId"] == self.last, "a gap"
        self.last = row["seqId"]
        assert row["checksum"] == 0
        for book, side in ((self.bids, row["bids"]), (self.asks, row["asks"])):
            for price, size, zero, orders in side:
                assert zero == "0" and (orders == "0") == (size == "0")
                if size == "0":
                    del book[Decimal(price)]  # a delete of an unknown level never happens
                else:
                    book[Decimal(price)] = Decimal(size)


def _scaled(levels: Iterable[tuple[str, str]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(size)) for price, size in levels]


@pytest.mark.parametrize(("native", "market"), NATIVES)
def test_the_chain_holds_and_the_book_is_the_truth(world, native: str, market: MarketType) -> None:
    contract, wire, chain = _contract(world, native), _watch(world, "books", native), Chain()
    checked = 0
    for _ in range(100):
        world.run(0.1)
        frames = _frames(wire)
        for frame in frames:
            chain.take(frame)
        if not frames:
            continue
        assert len(chain.bids) == len(chain.asks) == 400
        bids, asks = world.simulator.truth.instrument("okx", market, native).book.levels(400)
        spec = world.simulator.truth.instrument("okx", market, native).spec
        for mine, true, sign in ((chain.bids, bids, -1), (chain.asks, asks, 1)):
            best = sorted(mine.items(), key=lambda level: sign * level[0])
            expected = _scaled((spec.price(price), spec.size(size)) for price, size in true)
            assert [(price, size * contract) for price, size in best] == expected
        checked += 1
    assert checked > (0 if native.startswith("NKN") else 50)


def test_levels_are_sorted_best_first_in_snapshots_and_updates(world) -> None:
    wire = _watch(world, "books", "BTC-USDT")
    world.run(10)
    for frame in _frames(wire):
        (row,) = frame["data"]
        bids, asks = ([Decimal(level[0]) for level in row[side]] for side in ("bids", "asks"))
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)


def test_a_late_subscriber_gets_the_window_as_last_sent(world) -> None:
    first = _watch(world, "books", "BTC-USDT")
    world.run(5)
    second, chains = _watch(world, "books", "BTC-USDT"), (Chain(), Chain())
    world.run(3)
    for wire, chain in zip((first, second), chains, strict=True):
        for frame in _frames(wire):
            chain.take(frame)
    assert (chains[0].last, chains[0].bids, chains[0].asks) == (chains[1].last, chains[1].bids, chains[1].asks)


def _row(frames: Iterable[str]) -> dict[str, Any]:
    (frame,) = frames
    (row,) = msgspec.json.decode(frame)["data"]
    return row


def test_a_minute_without_a_change_brings_an_empty_update_that_repeats_the_id(world) -> None:
    instrument = world.simulator.truth.instrument("okx", SPOT, "NKN-USDT")
    now = world.clock.wall_ms()
    instrument.catch_up(now)
    feed = Books(instrument, '"channel":"books","instId":"NKN-USDT"')
    last = _row(feed.opening(now))["seqId"]
    sent = {after: frames for after in range(0, 130_000, 100) if (frames := feed.frames(now + after))}
    assert list(sent) == [60_000, 120_000]
    for frames in sent.values():
        row = _row(frames)
        assert (row["asks"], row["bids"]) == ([], [])
        assert (row["seqId"], row["prevSeqId"]) == (last, last)


def test_ids_step_back_at_the_full_hour_and_the_chain_goes_on(world) -> None:
    world.clock.advance(1_540)
    world.reactor.advance(1_540)
    wire, chain = _watch(world, "books", "BTC-USDT"), Chain()
    world.run(40)
    steps = []
    for frame in _frames(wire):
        before = chain.last
        chain.take(frame)
        if before is not None:
            steps.append((int(frame["data"][0]["ts"]), chain.last - before))
    (back,) = [at for at, step in steps if step < 0]
    assert back - back % HOUR <= back < back - back % HOUR + 1_000
    rest = world.json("okx", "/api/v5/market/books", instId="BTC-USDT", sz=400)["data"][0]
    assert abs(rest["seqId"] - chain.last) < 1_000_000


def test_the_step_back_is_larger_than_any_step_forward() -> None:
    assert sequence(5 * 10**12 + 10**6, HOUR) < sequence(5 * 10**12, HOUR - 1)


def test_rest_books_fit_into_the_stream_by_the_rule_of_the_venue(world) -> None:
    """A snapshot of REST stands between two updates: ``prevSeqId <= seqId < seqId of the update``."""
    wire, chain = _watch(world, "books", "ETH-USDT-SWAP"), Chain()
    world.run(2)
    fitted = 0
    for _ in range(20):
        rest = world.json("okx", "/api/v5/market/books", instId="ETH-USDT-SWAP", sz=400)["data"][0]
        for frame in _frames(wire):
            chain.take(frame)
        if chain.last == rest["seqId"]:
            fitted += 1
            for side, mine in (("bids", chain.bids), ("asks", chain.asks)):
                assert {Decimal(level[0]): Decimal(level[1]) for level in rest[side]} == mine
        else:
            assert chain.last is not None and chain.last < rest["seqId"]
        world.run(0.1)
    assert fitted > 5


@pytest.mark.parametrize("native", ["BTC-USDT", "BTC-USDT-SWAP"])
def test_five_levels_are_those_of_the_book(world, native: str) -> None:
    books, best = _watch(world, "books", native), _watch(world, "books5", native)
    chain, by_time = Chain(), {}
    world.run(10)
    for frame in _frames(books):
        chain.take(frame)
        by_time[frame["data"][0]["ts"]] = (dict(chain.bids), dict(chain.asks))
    found = 0
    for frame in _frames(best):
        assert "action" not in frame
        (row,) = frame["data"]
        assert row["instId"] == native
        if row["ts"] in by_time:
            bids, asks = by_time[row["ts"]]
            for side, mine, sign in (("bids", bids, -1), ("asks", asks, 1)):
                levels = [(Decimal(level[0]), Decimal(level[1])) for level in row[side]]
                assert levels == sorted(mine.items(), key=lambda level: sign * level[0])[:5]
            found += 1
    assert found > 20


def test_best_levels_come_at_once_and_at_every_change(world) -> None:
    wire = _watch(world, "bbo-tbt", "BTC-USDT-SWAP")
    (first,) = _frames(wire)
    world.run(10)
    contract = _contract(world, "BTC-USDT-SWAP")
    truth = {quote.id: quote for quote in world.simulator.truth.quotes("okx", PERPETUAL, "BTC-USDT-SWAP")}
    rows = [frame["data"][0] for frame in _frames(wire)]
    assert len(rows) > 50
    shift = sequence(0, world.clock.wall_ms())
    for row in rows:
        quote = truth[row["seqId"] - shift]
        (bid,), (ask,) = row["bids"], row["asks"]
        told = [Decimal(bid[0]), Decimal(bid[1]) * contract, Decimal(ask[0]), Decimal(ask[1]) * contract]
        assert told == [Decimal(text) for text in (quote.bid, quote.bid_size, quote.ask, quote.ask_size)]
    assert list(first["data"][0]) == ["asks", "bids", "ts", "seqId"]


def _gaps(frames: Iterable[dict[str, Any]]) -> int:
    rows = [frame["data"][0] for frame in frames if frame.get("action") == "update"]
    return sum(after["prevSeqId"] != before["seqId"] for before, after in itertools.pairwise(rows))


def test_skip_makes_a_gap(world) -> None:
    wire = _watch(world, "books", "BTC-USDT")
    world.run(2)
    world.simulator.faults.start("okx", "skip", seconds=5)
    world.run(10)
    assert _gaps(_frames(wire)) == 1


def _best(frames: Iterable[dict[str, Any]]) -> Iterator[tuple[Decimal, Decimal]]:
    chain = Chain()
    for frame in frames:
        chain.take(frame)
        yield max(chain.bids), min(chain.asks)


def test_crossed_books_recover_by_their_own_updates(world) -> None:
    books, quotes = _watch(world, "books", "BTC-USDT-SWAP"), _watch(world, "bbo-tbt", "BTC-USDT-SWAP")
    world.run(1)
    quotes.take()
    world.simulator.faults.start("okx", "crossed", "BTC-USDT", seconds=3, market=PERPETUAL)
    world.run(2.5)
    assert all(
        Decimal(row["bids"][0][0]) > Decimal(row["asks"][0][0]) for row in (f["data"][0] for f in _frames(quotes))
    )
    world.run(3)
    crossed = [bid > ask for bid, ask in _best(_frames(books))]
    assert any(crossed)
    assert not crossed[0] and not crossed[-1]


def test_old_snapshots_are_old_in_every_member(world) -> None:
    first = world.json("okx", "/api/v5/market/books", instId="BTC-USDT", sz=100)
    world.simulator.faults.start("okx", "old-snapshot", "BTC-USDT", seconds=5)
    world.run(3)
    assert world.json("okx", "/api/v5/market/books", instId="BTC-USDT", sz=100) == first
    world.run(3)
    assert world.json("okx", "/api/v5/market/books", instId="BTC-USDT", sz=100) != first


@pytest.mark.parametrize("step", [-3_600, -1.5, 3_600])
def test_the_chain_goes_on_and_all_times_jump_when_the_clock_steps(world, step: float) -> None:
    wire, chain = _watch(world, "books", "BTC-USDT"), Chain()
    other = world.connect("okx", "/ws/v5/business")
    bars = [{"channel": f"candle{bar}", "instId": "BTC-USDT"} for bar in ("1s", "1m", "1H", "1D", "1Mutc")]
    other.say({"op": "subscribe", "args": bars})
    world.run(2)
    for frame in _frames(wire):
        chain.take(frame)
    world.simulator.faults.start("okx", "clock", step=step, seconds=3)
    now = world.clock.wall_ms()
    world.run(2)
    during = _frames(wire)
    assert len(during) > 5
    for frame in during:
        chain.take(frame)
        assert abs(int(frame["data"][0]["ts"]) - now - step * 1000) <= 2_100
    assert int(world.json("okx", "/api/v5/public/time")["data"][0]["ts"]) == now + step * 1000 + 2_000
    world.run(3)
    for frame in _frames(wire):
        chain.take(frame)
    running = {frame["arg"]["channel"]: int(frame["data"][0][0]) for frame in _frames(other)}
    last = world.clock.wall_ms()
    assert running["candle1s"] >= last - 2_000 and running["candle1m"] == last - last % 60_000
    assert not world.simulator.ledger.violations
