"""OKX's V5 REST API as far as market data goes: a limit for each endpoint, errors in the body, and the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.okx import messages
from cryptodash.simulator.dialects.okx.bars import BARS
from cryptodash.simulator.dialects.okx.catalogue import untraded_swaps
from cryptodash.simulator.dialects.okx.channels import MARKET_TYPES, PERPETUAL, SPOT, index_source
from cryptodash.simulator.dialects.okx.numbers import sequence
from cryptodash.simulator.dialects.okx.websocket import OkxWebSocket
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.limits import SlidingWindow

Query = Mapping[str, str]

_JSON = {"Content-Type": "application/json"}
_WINDOW = 2_000
LIMITS = {
    "/api/v5/public/time": 10,
    "/api/v5/public/instruments": 20,
    "/api/v5/public/mark-price": 10,
    "/api/v5/public/open-interest": 20,
    "/api/v5/public/funding-rate": 10,
    "/api/v5/market/tickers": 20,
    "/api/v5/market/ticker": 20,
    "/api/v5/market/index-tickers": 20,
    "/api/v5/market/books": 40,
    "/api/v5/market/candles": 40,
    "/api/v5/market/history-candles": 20,
    "/api/v5/market/trades": 100,
}
"""Requests of an address in two seconds (documents, "Rate Limit" of each endpoint)."""
_COUNTED_APART = {
    "/api/v5/public/instruments": "instType",
    "/api/v5/public/mark-price": "instId",
    "/api/v5/public/open-interest": "instId",
    "/api/v5/public/funding-rate": "instId",
}
"""What else some are counted by ("Rate limit rule")."""
_OTHER_TYPES = ("MARGIN", "FUTURES", "OPTION")
_MOST_WINDOWS = 1_000


class Rejected(Exception):
    """A request with the venue's code. ``status`` is 200 for some errors, 400 for others (documents, "REST API error
    code")."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def _bad(name: str) -> Rejected:
    return Rejected(51000, f"Parameter {name} error")


def _number(query: Query, name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise _bad(name)
    return int(text)


def _limit(query: Query, name: str, default: int, most: int) -> int:
    found = _number(query, name)
    if found is None:
        return default
    if found < 1:
        raise _bad(name)
    return min(found, most)


def _needed(query: Query, name: str) -> str:
    text = query.get(name, "")
    if not text:
        raise Rejected(50014, f"Parameter {name} cannot be empty")
    return text


class OkxHost(OkxWebSocket):
    """The host with its REST side."""

    def __init__(self, environment: HostEnvironment) -> None:
        super().__init__(environment)
        self._windows: dict[tuple[str, str], SlidingWindow] = {}

    def rest_market(self, path: str, query: Query) -> MarketType | None:
        native = query.get("instId", "")
        if native:
            return PERPETUAL if native.endswith("-SWAP") else SPOT
        return MARKET_TYPES.get(query.get("instType", ""))

    def answer(self, path: str, query: Query) -> HttpAnswer:
        now = self.clock.wall_ms()
        self.ledger.spend(1, now)
        rows = {
            "/api/v5/public/time": self._clock,
            "/api/v5/public/instruments": self._instruments,
            "/api/v5/public/mark-price": self._mark_prices,
            "/api/v5/public/open-interest": self._open_interests,
            "/api/v5/public/funding-rate": self._funding_rates,
            "/api/v5/market/tickers": self._tickers,
            "/api/v5/market/ticker": self._ticker,
            "/api/v5/market/index-tickers": self._index_tickers,
            "/api/v5/market/books": self._books,
            "/api/v5/market/candles": self._candles,
            "/api/v5/market/history-candles": self._history_candles,
            "/api/v5/market/trades": self._trades,
        }.get(path)
        if rows is None:
            return HttpAnswer(404, b'{"msg":"Not Found","code":"404"}', _JSON)
        if self._is_too_frequent_a_request(path, query, now):
            return HttpAnswer(429, _too_many(), _JSON)
        try:
            body = f'{{"code":"0","msg":"","data":[{",".join(rows(query, now))}]}}'
            return HttpAnswer(200, body.encode(), _JSON)
        except Rejected as error:
            return HttpAnswer(error.status, _failure(error.code, error.message), _JSON)

    def _is_too_frequent_a_request(self, path: str, query: Query, now: int) -> bool:
        key = (path, query.get(_COUNTED_APART.get(path, ""), ""))
        if len(self._windows) >= _MOST_WINDOWS:
            self._windows.clear()
        window = self._windows.setdefault(key, SlidingWindow(_WINDOW))
        used = window.add(now - self.ledger.step_ms)
        if used > LIMITS[path]:
            self.ledger.violate(f"{used} requests for {path} in 2 seconds")
        return used > LIMITS[path]

    def out_of_service(self) -> HttpAnswer:
        return HttpAnswer(503, _failure(50001, "Service temporarily unavailable. Please try again later."), _JSON)

    def too_many_requests(self, retry_after: str) -> HttpAnswer:
        return HttpAnswer(429, _too_many(), _JSON | {"Retry-After": retry_after})

    def banned(self, retry_after: str) -> HttpAnswer:
        """The documents know no ban beyond the limit."""
        return self.too_many_requests(retry_after)

    # --- what a request is about ---

    def _type(self, query: Query) -> MarketType | None:
        """None for a kind of which nothing is listed here."""
        kind = _needed(query, "instType")
        if kind in _OTHER_TYPES:
            return None
        if kind not in MARKET_TYPES:
            raise _bad("instType")
        return MARKET_TYPES[kind]

    def _instrument(self, query: Query) -> SimulatedInstrument:
        """A traded one, or one that no longer is."""
        native = _needed(query, "instId")
        for market in self.markets.values():
            found = market.listed(native)
            if found is not None:
                found.catch_up(self.clock.wall_ms())
                return found
        raise _unknown_instrument()

    def _of_type(self, query: Query, now: int) -> Iterator[SimulatedInstrument]:
        """Those of ``instType``, or the one of ``instId`` among them."""
        if query.get("instId"):  # which says enough by itself
            yield self._instrument(query)
            return
        market = self._type(query)
        if market is None:
            return
        for each in self.markets[market].all():
            if not self.is_delisted(market, each.spec.native):
                each.catch_up(now)
                yield each

    # --- answers ---

    def _clock(self, query: Query, now: int) -> Iterable[str]:
        return (f'{{"ts":"{now}"}}',)

    def _instruments(self, query: Query, now: int) -> Iterable[str]:
        market = self._type(query)
        if market is None:
            return ()
        found = dict(self.entries(market))
        if market is PERPETUAL:
            found |= {str(each["instId"]): msgspec.json.encode(each).decode() for each in untraded_swaps()}
        native = query.get("instId", "")
        if native and native not in found:
            raise _unknown_instrument()
        return (found[native],) if native else found.values()

    def _tickers(self, query: Query, now: int) -> Iterable[str]:
        return [messages.ticker(each, now) for each in self._of_type({**query, "instId": ""}, now)]

    def _ticker(self, query: Query, now: int) -> Iterable[str]:
        return (messages.ticker(self._instrument(query), now),)

    def _index_tickers(self, query: Query, now: int) -> Iterable[str]:
        """Of one index, or of all in a quote currency."""
        native, quote = query.get("instId", ""), query.get("quoteCcy", "")
        if not native and not quote:
            raise Rejected(50015, "Either parameter quoteCcy or instId is required")
        natives = {messages.index_name(spec) for market in self.markets.values() for spec in market.specs}
        chosen = [native] if native else sorted(each for each in natives if each.endswith(f"-{quote}"))
        sources = [found for each in chosen if (found := index_source(each, self.markets)) is not None]
        if native and not sources:
            raise _unknown_instrument()
        return [messages.index_ticker(self._instrument({"instId": source}), now) for _, source in sources]

    def _mark_prices(self, query: Query, now: int) -> Iterable[str]:
        return [messages.mark_price(each, now) for each in self._of_type(query, now)]

    def _open_interests(self, query: Query, now: int) -> Iterable[str]:
        if self.rest_market("", query) is SPOT:
            raise _bad("instId" if query.get("instId") else "instType")
        return [messages.open_interest(each, now) for each in self._of_type(query, now)]

    def _funding_rates(self, query: Query, now: int) -> Iterable[str]:
        """Of one perpetual, or of ``ANY``."""
        native = _needed(query, "instId")
        kind = {"instType": "SWAP", "instId": "" if native == "ANY" else native}
        if native != "ANY" and not native.endswith("-SWAP"):
            raise _bad("instId")
        return [messages.funding_rate(each, now) for each in self._of_type(kind, now)]

    def _books(self, query: Query, now: int) -> Iterable[str]:
        count = _limit(query, "sz", 1, 400)
        instrument = self._instrument(query)
        spec, image = instrument.spec, self.book_image(instrument, count)
        asks, bids = messages.levels(spec, image.asks), messages.levels(spec, image.bids)
        seq = sequence(image.last, image.time)
        return (f'{{"asks":{asks},"bids":{bids},"ts":"{image.time}","seqId":{seq}}}',)

    def _candles(self, query: Query, now: int) -> Iterable[str]:
        """The newest 1,440 entries alone."""
        return self._bars(query, is_history=False)

    def _history_candles(self, query: Query, now: int) -> Iterable[str]:
        return self._bars(query, is_history=True)

    def _bars(self, query: Query, *, is_history: bool) -> Iterable[str]:
        """Newest first: those before ``after`` and later than ``before``."""
        kind = BARS.get(query.get("bar") or "1m")
        if kind is None:
            raise _bad("bar")
        limit, after, before = _limit(query, "limit", 100, 300), _number(query, "after"), _number(query, "before")
        instrument = self._instrument(query)
        candles, spec = instrument.candles, instrument.spec
        least = (before or 0) + 1
        if not is_history:
            least = max(least, kind.oldest_of_newest(candles))
        end = candles.running if after is None else after - 1
        bars = [bar for bar in kind.newest(candles, end, limit) if bar.start >= least]
        return [messages.candle(spec, bar, closed=kind.closes(bar.start) <= candles.running) for bar in bars]

    def _trades(self, query: Query, now: int) -> Iterable[str]:
        limit = _limit(query, "limit", 100, 500)
        instrument = self._instrument(query)
        rows = [messages.rest_trade(instrument.spec, fill) for fill in list(instrument.trades)[-limit:]]
        return rows[::-1]


def _unknown_instrument() -> Rejected:
    return Rejected(51001, "Instrument ID, Instrument ID code, or Spread ID doesn't exist.", 200)


def _failure(code: int, message: str) -> bytes:
    """``{"code":"51001","data":[],"msg":"Instrument ID, ... doesn't exist."}``"""
    return msgspec.json.encode({"code": str(code), "data": [], "msg": message})


def _too_many() -> bytes:
    return b'{"msg":"Too Many Requests","code":"50011"}'
