"""The oracle: compares every value a client is shown as live with the simulated market's own past.

``Record`` keeps that past, ``Oracle`` takes what a client receives. A value is wrong if it never was true, if an older
one replaces a newer one, if it does not fit (a delta, a second closed bar), or if it stays on show as live although the
market went on more than ``patience`` seconds ago.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from itertools import takewhile
from typing import Any

from attrs import define, field

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import parse_time
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Top, Trade
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.dialects.bybit.messages import trade_id
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.intervals import MINUTE
from cryptodash.simulator.truth import TickerTruth, Truth

Payload = Mapping[str, Any]

GOOD = ("live", "quiet")

_MARK_SECONDS = 8


class Past:
    """One instrument's past since somebody first asked for it. Times are ms, oldest first."""

    def __init__(self, instrument: SimulatedInstrument, truth: Truth) -> None:
        self.instrument = instrument
        self.times: list[int] = []
        self.ids: list[int] = []
        """The id of the book's last change at each of ``times``."""
        self.tops: list[tuple[int, Top]] = [(instrument.time, instrument.top())]
        self.trades: list[Trade] = []
        self.bars: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=5_000)
        """The running minute: open time, open, high, low, close in ticks, volume in steps."""
        self.days: dict[int, TickerTruth] = {}
        self.marks: list[tuple[int, Decimal, Decimal]] = []
        self._truth = truth
        self._last_trade = instrument.trade_id
        self._first_price = instrument.last_price

    def look(self) -> None:
        """Note what the market has done since the last look."""
        instrument = self.instrument
        if self.times and self.times[-1] == instrument.time and self.ids[-1] == instrument.update_id:
            return
        self.times.append(instrument.time)
        self.ids.append(instrument.update_id)
        self._take_tops()
        fresh = list(takewhile(lambda each: each.id > self._last_trade, reversed(instrument.trades)))
        self.trades.extend(reversed(fresh))
        self._last_trade = instrument.trade_id
        minute = instrument.candles.minute
        if self.bars and self.bars[-1][1][0] < minute.start:
            # One step may hold the last trades of a minute and its end.
            self._note_bar(instrument.candles.bar(MINUTE, self.bars[-1][1][0]))
        self._note_bar(minute)
        spec = instrument.spec
        self.days[instrument.time] = self._truth.ticker(spec.exchange, spec.market, spec.native)
        if spec.market is MarketType.PERPETUAL:
            mark, index = (
                Decimal(fixed(each * spec.tick, spec.price_decimals, 8)) for each in (instrument.mark, instrument.index)
            )
            self.marks.append((instrument.time, mark, index))

    def _note_bar(self, bar: Bar | None) -> None:
        if bar is not None:
            now = (bar.start, bar.open, bar.high, bar.low, bar.close, bar.volume)
            self.bars.append((self.instrument.time, now))

    def _take_tops(self) -> None:
        newest = self.tops[-1][1].id
        fresh: list[tuple[int, Top]] = []
        for time, top in reversed(self.instrument.quotes or ()):
            if top.id <= newest:
                break
            fresh.append((time, top))
        self.tops.extend(reversed(fresh))

    def id_at(self, time: int) -> int | None:
        """The id of the book's last change at this time; None before the first look."""
        index = bisect_right(self.times, time) - 1
        return None if index < 0 else self.ids[index]

    def last_price_at(self, time: int) -> int:
        """The price in ticks of the last trade up to this time."""
        index = bisect_right(self.trades, time, key=lambda trade: trade.time) - 1
        return self.trades[index].price if index >= 0 else self._first_price


class Record:
    """The past of the instruments that were asked for, of a simulator made with ``record=True``."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self._pasts: dict[tuple[str, str, str], Past] = {}

    def follow(self, hosts: Iterable[VenueHost]) -> None:
        """Look after every step of the market, before anybody can hear of it:
        a subscription and a request bring it up to date as well."""
        for host in hosts:
            for name in ("step", "text", "rest"):
                setattr(host, name, partial(self._then_look, getattr(host, name)))

    def _then_look(self, step: Callable[..., Any], *arguments: Any) -> Any:
        result = step(*arguments)
        self.look()
        return result

    def look(self) -> None:
        """Note what has happened; to be called after whatever may have moved the market."""
        for past in self._pasts.values():
            past.look()

    def of(self, exchange: str, market: str, symbol: str) -> Past:
        """The past of an instrument, noted from the first call on. Raises ``KeyError`` for one that is not traded."""
        key = (exchange, market, symbol)
        past = self._pasts.get(key)
        if past is None:
            past = self._pasts[key] = Past(self.truth.instrument(exchange, MarketType(market), symbol), self.truth)
            past.look()
        return past


def name_of(channel: Payload) -> str:
    """``binance:spot:BTC-USDT:order_book:50``, from a channel or from any payload with the same members
    and a ``channel_type``."""
    symbol = channel["symbol"]
    detail = channel.get("interval") or channel.get("depth")
    place = (
        f"{channel['exchange']}:{channel['market_type']}:{symbol['base']}-{symbol['quote']}:{channel['channel_type']}"
    )
    return f"{place}:{detail}" if detail else place


def _units(text: str, decimals: int, unit: int, write: Callable[[int], str]) -> int:
    scaled = Decimal(text).scaleb(decimals)
    units = int(scaled) // unit
    return units if write(units) == text else -1


class Watch:
    """One channel as the client sees it. ``check`` is told every value, ``overdue`` every moment at
    which one is on show as live."""

    def __init__(self, name: str, past: Past) -> None:
        self.name = name
        self.past = past
        self.state = ""
        self.cause = ""
        self.fields: tuple[str, ...] = ()
        self.good_since = 0
        """Since when the state has been good without a break."""
        self.history: list[tuple[int, str, str]] = []
        self.shown = False
        self.spec = past.instrument.spec
        # Bybit pads nothing on spot and no candle anywhere.
        bare = self.spec.exchange == "bybit" and (self.spec.market is MarketType.SPOT or ":candle:" in name)
        self.text: Callable[[str], str] = trim if bare else str

    @property
    def good(self) -> bool:
        return self.state in GOOD

    def ticks(self, said: object) -> int:
        """A price in ticks; -1 unless it is exactly the venue's text of that many."""
        spec = self.spec
        return _units(str(said), spec.price_decimals, spec.tick, lambda ticks: self.text(spec.price(ticks)))

    def steps(self, said: object) -> int:
        """The same for a size."""
        spec = self.spec
        return _units(str(said), spec.size_decimals, spec.step, lambda steps: self.text(spec.size(steps)))

    def status(self, payload: Payload, now: int) -> None:
        """A status came."""
        state, cause = payload["state"], payload.get("cause", "")
        if state in GOOD and not self.good:
            self.good_since = now
        self.state, self.cause, self.fields = state, cause, tuple(payload.get("fields", ()))
        if not self.history or self.history[-1][1:] != (state, cause):
            self.history.append((now, state, cause))

    def check(self, kind: str, payload: Payload, now: int) -> str:
        """What is wrong with the value; empty if nothing is."""
        raise NotImplementedError

    def overdue(self, now: int, patience: int) -> str:
        """What is wrong with the value on show ``patience`` ms after the market went on; empty if nothing is."""
        raise NotImplementedError


class TickerWatch(Watch):
    """Bid and ask must be a pair of best levels, in order; last the price of a trade, in order;
    24 h figures those of their time."""

    def __init__(self, name: str, past: Past, last_told: int) -> None:
        super().__init__(name, past)
        self._last_told = last_told
        self._quote = 0
        """Index of the quote on show in the past's tops."""
        self._pair: tuple[int, ...] = ()
        self._last = -1
        self._last_time = 0
        self._timestamp = 0

    def check(self, kind: str, payload: Payload, now: int) -> str:
        self.shown = True
        timestamp = parse_time(payload["timestamp"])
        if timestamp < self._timestamp:
            return "timestamp runs backwards"
        self._timestamp = timestamp
        # What comes before the state is good again is noted as well: it is what is on show when it is.
        wrong = [
            self._check_quote(payload),
            self._check_last(payload),
            self._check_day(payload),
            self._check_mark(payload, now),
        ]
        return "; ".join(filter(None, wrong)) if self.good else ""

    def _check_quote(self, payload: Payload) -> str:
        self._pair = (
            tuple(self.ticks(payload.get(price)) for price in ("bid", "ask"))
            if "bid" in payload and "ask" in payload
            else ()
        )
        self._pair += tuple(self.steps(payload.get(size)) for size in ("bid_size", "ask_size")) if self._pair else ()
        tops = self.past.tops
        found = next((index for index in range(self._quote, len(tops)) if self._is_shown(tops[index][1])), None)
        if found is None:
            if "bid" in self.fields:
                return ""
            return (
                "bid and ask were never the best levels, "
                f"or this is an older pair: {payload.get('bid')} {payload.get('ask')}"
            )
        self._quote = found
        return ""

    def _is_shown(self, top: Top) -> bool:
        return self._pair == (top.bid, top.ask, top.bid_size, top.ask_size)

    def _check_last(self, payload: Payload) -> str:
        time, price = parse_time(payload["last_time"]), self.ticks(payload["last"])
        if time < self._last_time:
            return "last_time runs backwards"
        self._last_time = time
        past = self.past
        # Bybit's first ticker shows what it last told others, a while ago, under the present time.
        first = bisect_right(past.trades, time - self._last_told, key=lambda trade: trade.time)
        then = {trade.price for trade in takewhile(lambda trade: trade.time <= time, past.trades[first:])} | {
            past.last_price_at(time - self._last_told)
        }
        self._last = price
        return "" if price in then or "last" in self.fields else f"last {payload['last']} is no trade's price at {time}"

    def _check_day(self, payload: Payload) -> str:
        day = (
            self.past.days.get(parse_time(payload["stats_time"]))
            if "stats_time" in payload and "stats" not in self.fields
            else None
        )
        if day is None:
            return ""
        said = {
            name: str(payload[name]) for name in ("open_24h", "high_24h", "low_24h", "volume_24h") if name in payload
        }
        true = {"open_24h": day.open, "high_24h": day.high, "low_24h": day.low, "volume_24h": day.volume}
        wrong = [name for name, text in said.items() if Decimal(text) != Decimal(true[name])]
        return f"24 h figures: {[(name, said[name], true[name]) for name in wrong]}" if wrong else ""

    def _check_mark(self, payload: Payload, now: int) -> str:
        if "mark_price" not in payload or "mark_price" in self.fields:
            return ""
        # One by one: Bybit says in a message only what has changed, so that a late one leaves a mixture for a moment.
        recent = list(takewhile(lambda each: each[0] >= now - _MARK_SECONDS * 1000, reversed(self.past.marks)))
        for place, name in enumerate(("mark_price", "index_price"), 1):
            said = Decimal(str(payload[name]))
            if all(each[place] != said for each in recent):
                return f"{name} {payload[name]} was not so in the last {_MARK_SECONDS} s"
        return ""

    def overdue(self, now: int, patience: int) -> str:
        return self._overdue_quote(now - patience) or self._overdue_last(now - patience)

    def _overdue_quote(self, limit: int) -> str:
        """Whether the quote on show had been replaced before ``limit``, and has not been right since."""
        tops = self.past.tops
        if "bid" in self.fields or self._quote + 1 >= len(tops) or tops[self._quote + 1][0] >= limit:
            return ""
        first = max(0, bisect_right(tops, limit, key=lambda each: each[0]) - 1)
        if any(self._is_shown(top) for _, top in tops[first:]):
            return ""
        return f"bid and ask {self._pair} were replaced at {tops[self._quote + 1][0]}"

    def _overdue_last(self, limit: int) -> str:
        if "last" in self.fields:
            return ""
        trades = self.past.trades
        first = bisect_right(trades, limit, key=lambda trade: trade.time)
        recent = {self.past.last_price_at(limit)} | {trade.price for trade in trades[first:]}
        return "" if self._last in recent else f"last {self._last} is older than the trades before {limit}"


class BboWatch(TickerWatch):
    """The same of bid and ask alone; nothing else may be told."""

    def check(self, kind: str, payload: Payload, now: int) -> str:
        self.shown = True
        timestamp = parse_time(payload["timestamp"])
        if timestamp < self._timestamp:
            return "timestamp runs backwards"
        self._timestamp = timestamp
        wrong = self._check_quote(payload)
        more = payload.keys() - _BBO_MEMBERS
        return (f"members {more}" if more else wrong) if self.good else ""

    def overdue(self, now: int, patience: int) -> str:
        return self._overdue_quote(now - patience)


class LiquidationWatch(Watch):
    """Its states only: what is told is compared in ``test_liquidations.py``."""

    def check(self, kind: str, payload: Payload, now: int) -> str:
        return ""

    def overdue(self, now: int, patience: int) -> str:
        return ""


class TradeWatch(Watch):
    """Every trade once, none left out while the channel is good; ``late`` counts those that came after newer ones."""

    def __init__(self, name: str, past: Past) -> None:
        super().__init__(name, past)
        spec = past.instrument.spec
        self._aggregated = spec.exchange == "binance" and spec.market is MarketType.PERPETUAL
        self._known: dict[str, int] = {}
        """Position by wire id."""
        self._tape: list[list[Trade]] = []
        self._read = 0
        self._next: int | None = None
        """Position of the trade to come, while nothing may be missed."""
        self._missing: dict[int, None] = {}
        """Positions passed over: their trades may still come, late."""
        self._told: set[int] = set()
        self.late = 0

    def _wire_id(self, trade: Trade) -> str:
        spec = self.past.instrument.spec
        if spec.exchange == "bybit":
            return trade_id(spec, trade)
        return str(trade.order if self._aggregated else trade.id)

    def _catch_up(self) -> None:
        trades = self.past.trades
        for trade in trades[self._read :]:
            wire_id = self._wire_id(trade)
            if wire_id in self._known:
                self._tape[self._known[wire_id]].append(trade)
            else:
                self._known[wire_id] = len(self._tape)
                self._tape.append([trade])
        self._read = len(trades)

    def status(self, payload: Payload, now: int) -> None:
        super().status(payload, now)
        if not self.good:
            self._next = None
            self._missing.clear()

    def check(self, kind: str, payload: Payload, now: int) -> str:
        self._catch_up()
        self.shown = True
        position = self._known.get(payload["id"])
        if position is None:
            return f"no such trade: {payload['id']}"
        fills = self._tape[position]
        said = (
            self.ticks(payload["price"]),
            self.steps(payload["quantity"]),
            payload["side"],
            parse_time(payload["timestamp"]),
        )
        true = fills[0].price, sum(fill.size for fill in fills), "buy" if fills[0].buy else "sell", fills[0].time
        if said != true:
            return f"trade {payload['id']}: {said} instead of {true}"
        again = position in self._told
        self._told.add(position)
        if payload.get("replayed"):
            return ""
        if again:
            return f"trade {payload['id']} came again"
        if not self.good:
            return ""
        if position in self._missing:
            del self._missing[position]
            self.late += 1
        elif self._next is not None and position < self._next:
            return f"trade {payload['id']} is older than what the client was told at first"
        else:
            self._missing |= dict.fromkeys(range(self._next or position, position))
            self._next = position + 1
        return ""

    def overdue(self, now: int, patience: int) -> str:
        self._catch_up()
        due = next(iter(self._missing), self._next)
        if due is not None and due < len(self._tape) and self._tape[due][0].time < now - patience:
            self._missing.pop(due, None)
            return f"the trade of {self._tape[due][0].time} was left out"
        return ""


class CandleWatch(Watch):
    """A running bar must have been so; a closed one is final, and each is closed once."""

    def __init__(self, name: str, past: Past, interval: str, truth: Truth) -> None:
        super().__init__(name, past)
        self._interval = interval
        self._truth = truth
        self._closed: int | None = None
        self._known_since = 0
        self._shown: tuple[int, ...] = ()

    def check(self, kind: str, payload: Payload, now: int) -> str:
        start = parse_time(payload["timestamp"])
        said = (
            start,
            *(self.ticks(payload[name]) for name in ("open", "high", "low", "close")),
            self.steps(payload["volume"]),
        )
        self.shown = True
        self._shown = said
        if payload["closed"]:
            return self._check_closed(start, said)
        if not self.good:
            return ""
        if self._closed is not None and start <= self._closed:
            return f"the bar of {start} was closed already"
        found = next((time for time, bar in reversed(self.past.bars) if bar == said), None)
        if found is None:
            return f"the bar of {start} never was {said}"
        if found < self._known_since:
            return f"the bar of {start} goes back to what it was at {found}"
        self._known_since = found
        return ""

    def _check_closed(self, start: int, said: tuple[int, ...]) -> str:
        if self._closed is not None and start != self._closed + 60_000:
            return f"the bar of {start} follows that of {self._closed}"
        self._closed = start
        spec = self.spec
        bars = self._truth.candles(spec.exchange, spec.market, spec.native, self._interval, 50)
        true = next((bar for bar in bars if bar.start == start), None)
        if true is None:
            return f"no bar of {start} has closed"
        texts = tuple(map(self.text, (true.open, true.high, true.low, true.close, true.volume)))
        same = said[1:] == (*map(self.ticks, texts[:4]), self.steps(texts[4]))
        return "" if same else f"closed bar of {start}: {said[1:]} instead of {texts}"

    def overdue(self, now: int, patience: int) -> str:
        limit = now - patience
        for time, bar in reversed(self.past.bars):
            if bar == self._shown:
                return ""
            if time <= limit:
                break
        return f"the bar {self._shown} is older than {limit}"


class BookWatch(Watch):
    """The view, rebuilt as a client does it, must be the book's best levels at the view's own time."""

    def __init__(self, name: str, past: Past, depth: int, truth: Truth) -> None:
        super().__init__(name, past)
        self._depth = depth
        self._truth = truth
        self._sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self._sequence = 0
        self._time = 0
        self._true_at = 0
        """A time at which what is on show was true."""

    def check(self, kind: str, payload: Payload, now: int) -> str:
        wrong = self._take_snapshot(payload) if kind == "order_book_snapshot" else self._take_delta(payload)
        time, before = parse_time(payload["timestamp"]), self._time
        self._time, self._sequence = time, payload["sequence"]
        if wrong or not self.good:
            return wrong
        if time < before:
            return f"the view goes back from {before} to {time}"
        # A snapshot may show the book of a moment later than the newest frame's:
        # the REST answer was ahead of the stream.
        later = self.past.times[bisect_right(self.past.times, time) :] if kind == "order_book_snapshot" else []
        found = next((each for each in (time, *later) if self._is_at(each)), None)
        if found is None:
            return f"the view is not the book of {time}"
        self._true_at = found
        return ""

    def _take_snapshot(self, payload: Payload) -> str:
        self.shown = True
        self._sides = tuple(
            {str(level["price"]): str(level["quantity"]) for level in payload[side]} for side in ("bids", "asks")
        )  # type: ignore[assignment]
        fewest = min(len(side) for side in self._sides)
        if payload["complete"] is not (fewest >= self._depth):
            return f"complete={payload['complete']} with {fewest} of {self._depth} levels"
        return ""

    def _take_delta(self, payload: Payload) -> str:
        if not self.shown:
            return "a delta before any snapshot"
        fits = payload["sequence"] == self._sequence + 1
        for side, name in zip(self._sides, ("bids", "asks"), strict=True):
            for price in payload["deletes"][name]:
                if side.pop(str(price), None) is None:
                    return f"deletes {price}, which is not there"
            for level in payload[f"{name}_upserts"]:
                side[str(level["price"])] = str(level["quantity"])
        return "" if fits else f"sequence {payload['sequence']} after {self._sequence}"

    def _levels(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        bids, asks = self._sides
        return sorted(bids.items(), key=lambda level: -Decimal(level[0])), sorted(
            asks.items(), key=lambda level: Decimal(level[0])
        )

    def _is_at(self, time: int) -> bool:
        update_id = self.past.id_at(time)
        spec = self.past.instrument.spec
        true = (
            None
            if update_id is None
            else self._truth.book(spec.exchange, spec.market, spec.native, update_id, self._depth)
        )
        if true is None:
            return False
        for shown, levels in zip(self._levels(), true, strict=True):
            if not shown or shown != [(self.text(price), self.text(size)) for price, size in levels[: len(shown)]]:
                return False
        return True

    def overdue(self, now: int, patience: int) -> str:
        limit = now - patience
        if self._true_at >= limit:
            return ""
        first = max(0, bisect_right(self.past.times, limit) - 1)
        found = next((time for time in reversed(self.past.times[first:]) if self._is_at(time)), None)
        if found is None:
            return f"the view, last seen to be true at {self._true_at}, is older than {limit}"
        self._true_at = max(found, limit)
        return ""


@define
class Wrong:
    """A value that was shown as live and is not true."""

    name: str
    at: int
    what: str


@define
class Oracle:
    """Everything one client was shown. ``patience`` (ms) is how long a live value may lag behind the market,
    ``last_told`` how long ago a venue told others what a new subscriber of its ticker gets first: longer where the
    simulator runs in real time, on a machine that may be busy."""

    record: Record
    patience: int = 3_000
    last_told: int = 200
    wrong: list[Wrong] = field(factory=list)
    checked: Counter[str] = field(factory=Counter)
    watches: dict[str, Watch] = field(factory=dict)
    _grievances: dict[str, str] = field(factory=dict)

    def take(self, message: Mapping[str, Any], now: int) -> None:
        """One message of the client."""
        kind, payload = message["type"], message["payload"]
        if kind == "status":
            self._watch(payload["channel"]).status(payload, now)
        elif kind in _CHANNEL:
            watch = self._watch({**payload, "channel_type": _CHANNEL[kind]})
            if not watch.state:
                self._blame(watch, now, f"a {kind} before any status")
            self.checked[_CHANNEL[kind]] += watch.good
            what = watch.check(kind, payload, now)
            if what:
                self._blame(watch, now, what)

    def look(self, now: int) -> None:
        """Check what is on show at this moment."""
        for watch in self.watches.values():
            if watch.state == "live" and watch.shown:
                self.checked["moments"] += 1
                what = watch.overdue(now, self.patience)
                if what and self._grievances.get(watch.name) != watch.state:
                    self._blame(watch, now, what)  # once per bad spell
                self._grievances[watch.name] = watch.state if what else ""

    def _blame(self, watch: Watch, now: int, what: str) -> None:
        self.wrong.append(Wrong(watch.name, now, f"{watch.state}: {what}"))

    def _watch(self, channel: Payload) -> Watch:
        name = name_of(channel)
        watch = self.watches.get(name)
        if watch is None:
            symbol = channel["symbol"]
            past = self.record.of(channel["exchange"], channel["market_type"], f"{symbol['base']}-{symbol['quote']}")
            watch = self.watches[name] = self._new(name, channel, past)
        return watch

    def _new(self, name: str, channel: Payload, past: Past) -> Watch:
        kind = channel["channel_type"]
        if kind == "ticker":
            return TickerWatch(name, past, self.last_told)
        if kind == "bbo":
            return BboWatch(name, past, self.last_told)
        if kind == "liquidation":
            return LiquidationWatch(name, past)
        if kind == "trade":
            return TradeWatch(name, past)
        if kind == "candle":
            return CandleWatch(name, past, channel["interval"], self.record.truth)
        return BookWatch(name, past, channel["depth"], self.record.truth)

    def states(self) -> dict[str, tuple[str, str]]:
        """(state, cause) of every channel."""
        return {name: (watch.state, watch.cause) for name, watch in self.watches.items()}

    def seen(self, name: str, since: int) -> list[tuple[int, str, str]]:
        """(time, state, cause) of the channel's statuses since a time;
        ``live`` and ``quiet`` taking turns are no news."""
        told: list[tuple[int, str, str]] = []
        good = True
        for time, state, cause in self.watches[name].history:
            if time > since and not (good and state in GOOD):
                told.append((time, state, cause))
            good = state in GOOD
        return told

    def summary(self) -> str:
        """The first few of the wrong values, for a failing test."""
        by_channel: dict[str, int] = defaultdict(int)
        for each in self.wrong:
            by_channel[each.name] += 1
        return "\n".join([str(dict(by_channel)), *(f"{each.at} {each.name} {each.what}" for each in self.wrong[:20])])


_QUOTE = {"bid", "bid_size", "ask", "ask_size"}
_BBO_MEMBERS = {"timestamp", "received", "exchange", "market_type", "symbol"} | _QUOTE
_CHANNEL = {
    "ticker": "ticker",
    "bbo": "bbo",
    "trade": "trade",
    "candle": "candle",
    "order_book_snapshot": "order_book",
    "order_book_delta": "order_book",
}
