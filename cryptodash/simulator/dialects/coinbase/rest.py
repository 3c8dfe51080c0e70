"""Coinbase's Advanced Trade REST API as far as it is public: ten requests a second, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

import msgspec

from cryptodash.simulator.dialects.coinbase import rest_messages
from cryptodash.simulator.dialects.coinbase.instruments import ALIASES
from cryptodash.simulator.dialects.coinbase.texts import price
from cryptodash.simulator.dialects.coinbase.websocket import SPOT, CoinbaseWebSocket
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.rest_query import all_of

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_BASE = "/api/v3/brokerage"
_PRODUCTS = f"{_BASE}/market/products"
_GRANULARITIES = {
    "ONE_MINUTE": ("1m", 60),
    "FIVE_MINUTE": ("5m", 300),
    "FIFTEEN_MINUTE": ("15m", 900),
    "THIRTY_MINUTE": ("30m", 1_800),
    "ONE_HOUR": ("1h", 3_600),
    "TWO_HOUR": ("2h", 7_200),
    "FOUR_HOUR": ("4h", 14_400),
    "SIX_HOUR": ("6h", 21_600),
    "ONE_DAY": ("1d", 86_400),
}
_MOST_CANDLES = 350
_MOST_TRADES = 100
_REFUSED_TRADES = 1_000
"""More trades than fit are not given; more than so many are an error."""
_MOST_LEVELS = 1_000
_TOO_MANY = msgspec.json.encode({"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]})

Query = Mapping[str, str]


class Rejected(Exception):
    """A request with the venue's status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def _invalid(message: str) -> Rejected:
    return Rejected(400, "INVALID_ARGUMENT", message)


def _number(query: Query, name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise _invalid(f"{name} argument is invalid")
    return int(text)


class CoinbaseHost(CoinbaseWebSocket):
    """The host with its REST side."""

    def answer(self, path: str, query: Query) -> HttpAnswer:
        now = self.clock.wall_ms()
        used = self.ledger.spend(1, now)
        if used > self.ledger.limits.weight:
            self.ledger.violate(f"{used} REST requests in one second")
            return HttpAnswer(429, _TOO_MANY, _JSON)
        try:
            return _answered(200, self._route(path)(query, now))
        except Rejected as error:
            return _answered(error.status, rest_messages.error(error.code, error.message))

    def too_many_requests(self, retry_after: str) -> HttpAnswer:
        return HttpAnswer(429, _TOO_MANY, _JSON | {"Retry-After": retry_after})

    def _route(self, path: str) -> Callable[[Query, int], object]:
        fixed: dict[str, Callable[[Query, int], object]] = {
            f"{_BASE}/time": lambda query, now: rest_messages.server_time(now),
            "/v2/time": lambda query, now: rest_messages.old_server_time(now),
            _PRODUCTS: self._products,
            f"{_BASE}/market/product_book": self._book,
        }
        if path in fixed:
            return fixed[path]
        name, _, detail = path.removeprefix(f"{_PRODUCTS}/").partition("/")
        details = {"": self._product, "candles": self._candles, "ticker": self._trades}
        if not path.startswith(f"{_PRODUCTS}/") or detail not in details:
            raise Rejected(404, "NOT_FOUND", "Not Found")
        return lambda query, now: details[detail](name, query, now)

    # --- the catalogue ---

    def _found(self, name: str, now: int) -> SimulatedInstrument:
        """The book that a product is, under its own name or another."""
        found = self.market.get(ALIASES.get(name, name))
        if found is None:
            raise Rejected(404, "NOT_FOUND", f"Product {name[:40]} not supported")
        found.catch_up(now)
        return found

    def _entry(self, name: str, now: int) -> dict[str, object]:
        instrument = self._found(name, now)
        return rest_messages.product(instrument, name, delisted=self.is_delisted(SPOT, instrument.spec.native))

    def _product(self, name: str, query: Query, now: int) -> object:
        return self._entry(name, now)

    def _products(self, query: Query, now: int) -> object:
        """All of them, or those that are named; in pages only for those who ask for pages."""
        names = [each.native for each in self.market.specs] + list(ALIASES)
        wanted = all_of(query, "product_ids")
        if wanted:
            names = [each for each in names if each in wanted]
        if query.get("product_type", "SPOT") != "SPOT":
            names = []
        start, limit = _number(query, "offset") or 0, _number(query, "limit")
        names = names[start : start + limit] if limit else names[start:]
        return {
            "products": [self._entry(each, now) for each in names],
            "num_products": len(names),
            "pagination": None,
        }

    # --- one product ---

    def _book(self, query: Query, now: int) -> object:
        name = query.get("product_id", "")
        instrument = self._found(name, now)
        count = min(_number(query, "limit") or _MOST_LEVELS, _MOST_LEVELS)
        return rest_messages.book(instrument.spec, name, self.book_image(instrument, count))

    def _candles(self, name: str, query: Query, now: int) -> object:
        """Bars that open from ``start`` to ``end``, both included, the newest first; none without a trade."""
        interval, seconds = _GRANULARITIES.get(query.get("granularity", ""), ("", 0))
        if not interval:
            raise _invalid("granularity argument is invalid")
        start, end = _number(query, "start"), _number(query, "end")
        if start is None or end is None or end < start:
            raise _invalid("start and end argument is invalid")
        if (end - start) // seconds + 1 > _MOST_CANDLES:
            raise _invalid(
                f"start and end argument is invalid - number of candles requested should be less than {_MOST_CANDLES}"
            )
        instrument = self._found(name, now)
        bars = instrument.candles.candles(interval, start * 1_000, end * 1_000, _MOST_CANDLES)
        newest = [each for each in reversed(bars) if each.count]
        limit = _number(query, "limit") or _MOST_CANDLES
        return {"candles": [rest_messages.candle(instrument.spec, each) for each in newest[:limit]]}

    def _trades(self, name: str, query: Query, now: int) -> object:
        """Recent fills, the newest first, of a time if one is named, and the best prices."""
        instrument = self._found(name, now)
        limit = _number(query, "limit")
        limit = _MOST_TRADES if limit is None else limit
        if limit > _REFUSED_TRADES:
            raise Rejected(500, "INTERNAL", "internal server error")
        begin = (_number(query, "start") or 0) * 1_000
        end = (_number(query, "end") or now // 1_000 + 1) * 1_000
        fills = (each for each in reversed(instrument.trades) if begin <= each.time <= end)
        top, spec = instrument.shown_top(), instrument.spec
        return {
            "trades": [rest_messages.trade(spec, name, each) for each in islice(fills, min(limit, _MOST_TRADES))],
            "best_bid": price(spec, top.bid),
            "best_ask": price(spec, top.ask),
        }


def _answered(status: int, body: object) -> HttpAnswer:
    return HttpAnswer(status, msgspec.json.encode(body), _JSON)
