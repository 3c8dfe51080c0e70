"""Binance's REST API as far as market data goes: weights, limits, errors, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby

import msgspec
from attrs import frozen

from cryptodash.simulator.dialects.binance import messages, rest_messages
from cryptodash.simulator.dialects.binance.websocket import BinanceWebSocket
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument

_JSON = "application/json;charset=UTF-8"
_BAN_SECONDS = 120
_ABUSES_BEFORE_BAN = 10
_MOST_BETWEEN = 3_600_000
Query = Mapping[str, str]


class Rejected(Exception):
    """A request with the venue's error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@frozen
class Route:
    """What a path costs and who answers it."""

    weight: Callable[[Query], int]
    answer: Callable[[Query], bytes]


def _limit(query: Query, default: int, most: int) -> int:
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdigit()) or int(text[:9]) < 1:
        raise Rejected(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(int(text[:9]), most)


def _time(query: Query, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Rejected(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


def _count(query: Query, default: int) -> int:
    text = query.get("limit", "")
    return int(text[:9]) if text.isascii() and text.isdigit() else default


class BinanceHost(BinanceWebSocket):
    """The host with its REST side: one weight budget per minute, 429 over it, 418 for those who go on."""

    _banned_until = 0.0
    _abuses = 0

    def _routes(self) -> dict[str, Route]:
        spot = self.is_spot
        prefix = "/api/v3" if spot else "/fapi/v1"

        def per_symbol(one: int, every: int) -> Callable[[Query], int]:
            return lambda query: one if query.get("symbol") else every

        def flat(weight: int) -> Callable[[Query], int]:
            return lambda query: weight

        routes = {
            "ping": Route(flat(1), lambda query: b"{}"),
            "time": Route(flat(1), lambda query: _json({"serverTime": self.clock.wall_ms()})),
            "exchangeInfo": Route(flat(20 if spot else 1), self._exchange_info),
            "depth": Route(self._depth_weight, self._depth_answer),
            "klines": Route(self._klines_weight, self._klines),
            "ticker/24hr": Route(per_symbol(2, 80) if spot else per_symbol(1, 40), self._tickers),
            "ticker/bookTicker": Route(per_symbol(2, 4) if spot else per_symbol(2, 5), self._book_tickers),
            "trades": Route(flat(25 if spot else 5), self._trades),
            "aggTrades": Route(flat(4 if spot else 20), self._agg_trades),
        }
        if not spot:
            routes["openInterest"] = Route(flat(1), self._open_interest)
            routes["fundingInfo"] = Route(flat(0), self._funding_info)
            routes["premiumIndex"] = Route(per_symbol(1, 10), self._premium_index)
        return {f"{prefix}/{name}": route for name, route in routes.items()}

    def answer(self, path: str, query: Query) -> HttpAnswer:
        left_banned = self._banned_until - self.clock.monotonic()
        if left_banned > 0:
            self.ledger.violate("request while banned")
            return self.banned(str(int(left_banned) + 1))
        route = self._routes().get(path)
        if route is None:
            return HttpAnswer(404, b"<html><body><h2>404 Not found</h2></body></html>", {"Content-Type": "text/html"})
        used = self.ledger.spend(route.weight(query), self.clock.wall_ms())
        headers = {"Content-Type": _JSON, "X-MBX-USED-WEIGHT-1M": str(used), "X-MBX-USED-WEIGHT": str(used)}
        if used > self.ledger.limits.weight:
            self.ledger.violate(f"REST weight {used} in one minute")
            return self._too_many(headers)
        try:
            return HttpAnswer(200, route.answer(query), headers)
        except Rejected as error:
            return HttpAnswer(400, _json({"code": error.code, "msg": error.message}), headers)

    def out_of_service(self) -> HttpAnswer:
        return HttpAnswer(503, b'{"code":-1016,"msg":"This service is no longer available."}', {"Content-Type": _JSON})

    def too_many_requests(self, retry_after: str) -> HttpAnswer:
        return HttpAnswer(429, _TOO_MANY, {"Content-Type": _JSON, "Retry-After": retry_after})

    def banned(self, retry_after: str) -> HttpAnswer:
        return HttpAnswer(418, _BANNED, {"Content-Type": _JSON, "Retry-After": retry_after})

    def _too_many(self, headers: dict[str, str]) -> HttpAnswer:
        self._abuses += 1
        if self._abuses >= _ABUSES_BEFORE_BAN:
            self._abuses = 0
            self._banned_until = self.clock.monotonic() + _BAN_SECONDS
            return HttpAnswer(418, _BANNED, headers | {"Retry-After": str(_BAN_SECONDS)})
        return HttpAnswer(429, _TOO_MANY, headers | {"Retry-After": "60"})

    def _instrument(self, query: Query, *, halted: bool = False) -> SimulatedInstrument:
        """The instrument asked for; ``halted``: also one that is no longer traded, whose past is still served."""
        native = query.get("symbol")
        if not native:
            raise Rejected(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        found = self.market.listed(native) if halted else self.market.get(native)
        if found is None:
            raise Rejected(-1121, "Invalid symbol.")
        found.catch_up(self.clock.wall_ms())
        return found

    def _chosen(self, query: Query) -> tuple[list[SimulatedInstrument], bool]:
        """The instruments asked for, and whether it was one by name."""
        if query.get("symbol"):
            return [self._instrument(query)], True
        everything = self.market.all()
        for instrument in everything:
            instrument.catch_up(self.clock.wall_ms())
        return everything, False

    def _exchange_info(self, query: Query) -> bytes:
        entries = []
        for spec in self.market.specs:
            if query.get("symbol", spec.native) != spec.native:
                continue
            delisted = self.is_delisted(self.market.market, spec.native)
            if self.is_spot:
                status = "BREAK" if delisted or not spec.trading else "TRADING"
                entries.append(rest_messages.spot_symbol(spec, status=status))
            else:
                entries.append(rest_messages.usdm_symbol(spec, status="SETTLING" if delisted else "TRADING"))
        if not entries:
            raise Rejected(-1121, "Invalid symbol.")
        return _json(
            rest_messages.exchange_info(self.market.market, self.ledger.limits.weight, entries, self.clock.wall_ms())
        )

    def _depth_weight(self, query: Query) -> int:
        count = _count(query, 100 if self.is_spot else 500)
        table = (
            ((100, 5), (500, 25), (1_000, 50), (5_000, 250))
            if self.is_spot
            else ((50, 2), (100, 5), (500, 10), (1_000, 20))
        )
        return next((weight for most, weight in table if count <= most), table[-1][1])

    def _depth_answer(self, query: Query) -> bytes:
        count = _limit(query, 100 if self.is_spot else 500, 5_000 if self.is_spot else 1_000)
        if not self.is_spot and count not in (5, 10, 20, 50, 100, 500, 1_000):
            raise Rejected(-4021, f"'{count}' is not valid depth limit.")
        instrument = self._instrument(query)
        image = self.book_image(instrument, count)
        if self.is_spot:
            return messages.partial_depth(instrument.spec, image.last, image.bids, image.asks).encode()
        return rest_messages.depth_usdm(instrument.spec, image.time, image.last, image.bids, image.asks).encode()

    def _klines_weight(self, query: Query) -> int:
        if self.is_spot:
            return 2
        count = _count(query, 500)
        return next((weight for below, weight in ((100, 1), (500, 2), (1_001, 5)) if count < below), 10)

    def _klines(self, query: Query) -> bytes:
        interval = query.get("interval", "")
        if interval not in self.intervals:
            raise Rejected(-1120, "Invalid interval.")
        limit = _limit(query, 500, 1_000 if self.is_spot else 1_500)
        begin, end = _time(query, "startTime"), _time(query, "endTime")
        instrument = self._instrument(query, halted=True)
        now = self.clock.wall_ms()
        bars = instrument.candles.candles(interval, begin, now if end is None else end, limit)
        return f"[{','.join(rest_messages.kline_row(instrument.spec, interval, bar) for bar in bars)}]".encode()

    def _tickers(self, query: Query) -> bytes:
        now = self.clock.wall_ms()
        chosen, single = self._chosen(query)
        answers = [rest_messages.ticker_24h(instrument, now) for instrument in chosen]
        return _json(answers[0] if single else answers)

    def _book_tickers(self, query: Query) -> bytes:
        now = self.clock.wall_ms()
        chosen, single = self._chosen(query)
        answers = [rest_messages.book_ticker_rest(instrument, now) for instrument in chosen]
        return _json(answers[0] if single else answers)

    def _trades(self, query: Query) -> bytes:
        instrument = self._instrument(query, halted=True)
        fills = list(instrument.trades)[-_limit(query, 500, 1_000) :]
        return _json([rest_messages.trade_rest(instrument.spec, fill) for fill in fills])

    def _agg_trades(self, query: Query) -> bytes:
        """Of the orders whose fills are still kept: from an id or a time on the oldest, else the newest."""
        limit = _limit(query, 500, 1_000)
        from_id, begin, end = (_time(query, name) for name in ("fromId", "startTime", "endTime"))
        if begin is not None and end is not None and end - begin > _MOST_BETWEEN:
            raise Rejected(-1127, "More than 1 hours between startTime and endTime.")
        instrument = self._instrument(query, halted=True)
        orders = [
            list(fills)
            for order, fills in groupby(instrument.trades, key=lambda fill: fill.order)
            if from_id is None or order >= from_id
        ]
        orders = [fills for fills in orders if (begin or 0) <= fills[0].time and (end is None or fills[0].time <= end)]
        chosen = orders[-limit:] if from_id is None and begin is None else orders[:limit]
        return _json([rest_messages.agg_trade_rest(instrument.spec, fills) for fills in chosen])

    def _open_interest(self, query: Query) -> bytes:
        return _json(rest_messages.open_interest(self._instrument(query), self.clock.wall_ms()))

    def _premium_index(self, query: Query) -> bytes:
        now = self.clock.wall_ms()
        chosen, single = self._chosen(query)
        answers = [rest_messages.premium_index(instrument, now) for instrument in chosen]
        return _json(answers[0] if single else answers)

    def _funding_info(self, query: Query) -> bytes:
        """Those that were adjusted: all but the first. It has a limit of its own, which is not kept here."""
        return _json([rest_messages.funding_info(spec) for spec in self.market.specs[1:]])


_TOO_MANY = b'{"code":-1003,"msg":"Too many requests; please use the websocket for live updates to avoid bans."}'
_BANNED = b'{"code":-1003,"msg":"Way too many requests; IP banned."}'


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
