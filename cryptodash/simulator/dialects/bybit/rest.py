"""Bybit's V5 REST API as far as market data goes: the request limit, errors inside HTTP 200, and the answers."""

from __future__ import annotations

from collections.abc import Mapping

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.bybit import messages, rest_messages
from cryptodash.simulator.dialects.bybit.websocket import BybitWebSocket
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_CATEGORIES = {"spot": MarketType.SPOT, "linear": MarketType.PERPETUAL}
_PAGE = 10
"""Most catalogue entries of a linear page: far fewer than the venue's 1,000, so that even this small
market has several pages."""

Query = Mapping[str, str]


class Rejected(Exception):
    """A request with the venue's return code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _limit(query: Query, default: int, most: int) -> int:
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdigit()) or int(text[:9]) < 1:
        raise Rejected(10001, "params error: limit invalid")
    return min(int(text[:9]), most)


def _time(query: Query, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Rejected(10001, f"params error: {name} invalid")
    return int(text)


class BybitHost(BybitWebSocket):
    """The host with its REST side: 600 requests in 5 seconds, then 403."""

    def rest_market(self, path: str, query: Query) -> MarketType | None:
        return _CATEGORIES.get(query.get("category", ""))

    def answer(self, path: str, query: Query) -> HttpAnswer:
        now = self.clock.wall_ms()
        used = self.ledger.spend(1, now)
        if used > self.ledger.limits.weight:
            self.ledger.violate(f"{used} REST requests in 5 seconds")
            return HttpAnswer(403, b"access too frequent", {"Content-Type": "text/plain"})
        answers = {
            "/v5/market/time": self._clock,
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/tickers": self._tickers,
            "/v5/market/kline": self._klines,
            "/v5/market/orderbook": self._orderbook,
            "/v5/market/recent-trade": self._trades,
        }
        answer = answers.get(path)
        if answer is None:
            return HttpAnswer(404, rest_messages.envelope({}, now, 404, "Not Found"), _JSON)
        try:
            return HttpAnswer(200, rest_messages.envelope(answer(query, now), now), _JSON)
        except Rejected as error:
            return HttpAnswer(200, rest_messages.envelope({}, now, error.code, error.message), _JSON)

    def out_of_service(self) -> HttpAnswer:
        return HttpAnswer(503, rest_messages.envelope({}, self.clock.wall_ms(), 10016, "Server error."), _JSON)

    def too_many_requests(self, retry_after: str) -> HttpAnswer:
        return HttpAnswer(429, self._too_many_visits(), _JSON | {"Retry-After": retry_after})

    def banned(self, retry_after: str) -> HttpAnswer:
        """Too many requests of an address are refused as if it were forbidden."""
        return HttpAnswer(403, self._too_many_visits(), _JSON | {"Retry-After": retry_after})

    def _too_many_visits(self) -> bytes:
        return rest_messages.envelope({}, self.clock.wall_ms(), 10006, "Too many visits!")

    def _category(self, query: Query) -> MarketType:
        market = _CATEGORIES.get(query.get("category", ""))
        if market is None:
            raise Rejected(10001, "params error: Category is invalid")
        return market

    def _instrument(self, query: Query, market: MarketType) -> SimulatedInstrument:
        found = self.markets[market].get(query.get("symbol", ""))
        if found is None:
            raise Rejected(10001, "params error: symbol invalid")
        found.catch_up(self.clock.wall_ms())
        return found

    def _clock(self, query: Query, now: int) -> object:
        return {"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)}

    def _instruments(self, query: Query, now: int) -> object:
        market = self._category(query)
        numbered = [
            (number, each)
            for number, each in enumerate(self.markets[market].specs, 1)
            if query.get("symbol", each.native) == each.native
        ]
        if market is MarketType.SPOT:
            # Spot lists trading pairs only: a delisted one is simply not there.
            kept = [
                rest_messages.spot_instrument(each, number)
                for number, each in numbered
                if not self.is_delisted(market, each.native)
            ]
            return {"category": "spot", "list": kept}
        # What is not launched yet is listed for those alone who ask for that status.
        early = query.get("status") == "PreLaunch"
        numbered = [(number, each) for number, each in numbered if each.launched is not early]
        start = self._cursor(query)
        page = numbered[start : start + min(_PAGE, _limit(query, 500, 1_000))]
        following = start + len(page)
        entries = [self._linear(each, number) for number, each in page]
        return {
            "category": "linear",
            "list": entries,
            "nextPageCursor": f"page:{following}" if following < len(numbered) else "",
        }

    def _cursor(self, query: Query) -> int:
        cursor = query.get("cursor", "")
        if not cursor:
            return 0
        number = cursor.removeprefix("page:")
        if not (number.isascii() and number.isdigit()):
            raise Rejected(10001, "params error: cursor invalid")
        return int(number[:9])

    def _linear(self, spec: InstrumentSpec, number: int) -> dict[str, object]:
        status = "Trading" if spec.launched else "PreLaunch"
        if self.is_delisted(MarketType.PERPETUAL, spec.native):
            status = "Closed"
        return rest_messages.linear_instrument(spec, number, status=status)

    def _tickers(self, query: Query, now: int) -> object:
        market = self._category(query)
        chosen = [self._instrument(query, market)] if query.get("symbol") else self._tradable(market)
        for instrument in chosen:
            instrument.catch_up(now)
        spot = market is MarketType.SPOT
        rows = [
            rest_messages.spot_ticker_rest(each) if spot else rest_messages.linear_ticker_rest(each, now)
            for each in chosen
        ]
        return {"category": query["category"], "list": rows}

    def _tradable(self, market: MarketType) -> list[SimulatedInstrument]:
        return [each for each in self.markets[market].all() if not self.is_delisted(market, each.spec.native)]

    def _klines(self, query: Query, now: int) -> object:
        market = self._category(query)
        interval = messages.INTERVALS.get(query.get("interval", ""))
        if interval is None:
            raise Rejected(10001, "params error: Invalid period!")
        limit = _limit(query, 200, 1_000)
        begin, end = _time(query, "start"), _time(query, "end")
        instrument = self._instrument(query, market)
        candles = instrument.candles
        if begin is None:
            bars = candles.candles(interval, None, now if end is None else end, limit)
        else:
            # With both ends the newest of the range are given.
            bars = [
                bar for bar in candles.candles(interval, None, now if end is None else end, limit) if bar.start >= begin
            ]
        rows = [rest_messages.kline_row(instrument.spec, bar) for bar in reversed(bars)]
        return {"symbol": instrument.spec.native, "category": query["category"], "list": rows}

    def _orderbook(self, query: Query, now: int) -> object:
        market = self._category(query)
        count = _limit(query, 1 if market is MarketType.SPOT else 25, 1_000)
        instrument = self._instrument(query, market)
        spec, image = instrument.spec, self.book_image(instrument, count)
        return {
            "s": spec.native,
            "a": [[messages.price(spec, ticks), messages.size(spec, steps)] for ticks, steps in image.asks],
            "b": [[messages.price(spec, ticks), messages.size(spec, steps)] for ticks, steps in image.bids],
            "ts": image.time,
            "u": image.number,
            "seq": image.last,
            "cts": image.time,
        }

    def _trades(self, query: Query, now: int) -> object:
        market = self._category(query)
        instrument = self._instrument(query, market)
        limit = _limit(query, 60 if market is MarketType.SPOT else 500, 60 if market is MarketType.SPOT else 1_000)
        fills = list(instrument.trades)[-limit:][::-1]
        return {
            "category": query["category"],
            "list": [rest_messages.trade_rest(instrument.spec, fill) for fill in fills],
        }
