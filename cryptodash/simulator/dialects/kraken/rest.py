"""Kraken's REST API as far as market data goes: the request limit, errors inside HTTP 200, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.kraken import rest_messages
from cryptodash.simulator.dialects.kraken.instruments import RestNames, asset_id, by_rest_name, rest_names
from cryptodash.simulator.dialects.kraken.numbers import INTERVALS, recent_bars, stamp, trade_ns
from cryptodash.simulator.dialects.kraken.websocket import KrakenWebSocket
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import SECOND

SPOT = MarketType.SPOT
_JSON = {"Content-Type": "application/json"}
_PATH = "/0/public/"
_MOST_BARS, _MOST_LEVELS, _MOST_TRADES = 720, 500, 1_000
_NANOSECONDS = 10**12
"""A ``since`` of ``Trades`` below this is in seconds."""

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Query = Mapping[str, str]


class Rejected(Exception):
    """A request with the venue's error."""


def _whole(query: Query, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise Rejected(f"EGeneral:Invalid arguments:{name}")
    return int(text)


class KrakenHost(KrakenWebSocket):
    """The host with its REST side: about one request a second."""

    def __init__(self, environment: HostEnvironment) -> None:
        super().__init__(environment)

    def answer(self, path: str, query: Query) -> HttpAnswer:
        now = self.clock.wall_ms()
        used = self.ledger.spend(1, now)
        limits = self.ledger.limits
        if used > limits.weight:
            self.ledger.violate(f"{used} REST requests in {limits.weight_window // SECOND} s")
            return HttpAnswer(200, rest_messages.failure("EGeneral:Too many requests"), _JSON)
        answers: dict[str, Callable[[Query, int], object]] = {
            "Time": self._time,
            "SystemStatus": self._system_status,
            "Assets": self._assets,
            "AssetPairs": self._pairs,
            "Ticker": self._tickers,
            "OHLC": self._candles,
            "Depth": self._depth,
            "Trades": self._trades,
        }
        found = answers.get(path.removeprefix(_PATH)) if path.startswith(_PATH) else None
        if found is None:
            return HttpAnswer(404, rest_messages.failure("EGeneral:Unknown method"), _JSON)
        try:
            return HttpAnswer(200, rest_messages.envelope(found(query, now)), _JSON)
        except Rejected as error:
            return HttpAnswer(200, rest_messages.failure(str(error)), _JSON)

    def out_of_service(self) -> HttpAnswer:
        return HttpAnswer(503, rest_messages.failure("EService:Unavailable"), _JSON)

    def too_many_requests(self, retry_after: str) -> HttpAnswer:
        """By the proxy before the venue, which says until when; the venue's own limit is an error in HTTP 200."""
        body = rest_messages.failure("EGeneral:Too many requests")
        return HttpAnswer(429, body, _JSON | {"Retry-After": retry_after})

    def banned(self, retry_after: str) -> HttpAnswer:
        """By the proxy before the venue."""
        return HttpAnswer(403, b"error code: 1006", {"Content-Type": "text/plain", "Retry-After": retry_after})

    # --- names ---

    def _names(self, spec: InstrumentSpec, query: Query) -> RestNames:
        """Legacy names, or with ``assetVersion=1`` those of WebSocket v2."""
        legacy = rest_names(spec)
        if query.get("assetVersion") != "1":
            return legacy
        return RestNames(spec.native, legacy.altname, legacy.wsname, spec.base, spec.quote)

    def _listed(self, query: Query) -> list[InstrumentSpec]:
        """The pairs that a request names, all of them where it names none. One that is delisted is not there."""
        if not query.get("pair"):
            listed = [each for each in self.market.specs if not self.is_delisted(SPOT, each.native)]
            return [each for each in listed if rest_messages.asset_class(each) == _class_of(query)]
        return [self._pair(name, query) for name in query["pair"].split(",")]

    def _pair(self, name: str, query: Query) -> InstrumentSpec:
        """Other classes than that of currencies have to be named with their pairs."""
        by_name = by_rest_name(self.market.specs)
        spec = by_name.get(name) or by_name.get(name.upper())
        if spec is None or self.is_delisted(SPOT, spec.native) or rest_messages.asset_class(spec) != _class_of(query):
            raise Rejected("EQuery:Unknown asset pair")
        return spec

    def _instrument(self, spec: InstrumentSpec) -> SimulatedInstrument:
        found = self.market.listed(spec.native)
        assert found is not None  # every pair of the catalogue has a past
        found.catch_up(self.clock.wall_ms())
        return found

    def _one(self, query: Query) -> tuple[SimulatedInstrument, str]:
        """The one pair that a request is about, and the key of its answer."""
        if not query.get("pair"):
            raise Rejected("EGeneral:Invalid arguments")
        spec = self._pair(query["pair"], query)
        return self._instrument(spec), self._names(spec, query).key

    # --- answers ---

    def _time(self, query: Query, now: int) -> object:
        return {"unixtime": now // SECOND, "rfc1123": _rfc1123(now)}

    def _system_status(self, query: Query, now: int) -> object:
        return {"status": "online", "timestamp": f"{stamp(now)[:19]}Z"}

    def _assets(self, query: Query, now: int) -> object:
        names = dict.fromkeys(name for each in self._listed({**query, "pair": ""}) for name in (each.base, each.quote))
        plain = query.get("assetVersion") == "1"
        return {name if plain else asset_id(name): rest_messages.asset(name) for name in names}

    def _pairs(self, query: Query, now: int) -> object:
        chosen = [(each, self._names(each, query)) for each in self._listed(query)]
        return {names.key: rest_messages.pair(each, self.status_of(each), names) for each, names in chosen}

    def _tickers(self, query: Query, now: int) -> object:
        return {
            self._names(each, query).key: rest_messages.ticker(self._instrument(each), now)
            for each in self._listed(query)
        }

    def _candles(self, query: Query, now: int) -> object:
        """The last 720 bars at most, the running one last; of these the ones after ``since`` (s). ``last`` is the bar
        before the running one."""
        instrument, key = self._one(query)
        minutes, since = _whole(query, "interval", 1), _whole(query, "since", 0)
        if minutes not in INTERVALS:
            raise Rejected("EGeneral:Invalid arguments")
        bars = recent_bars(instrument.candles, minutes, _MOST_BARS)
        rows = [rest_messages.candle(instrument.spec, bar) for bar in bars]
        newer = [row for row, bar in zip(rows, bars, strict=True) if bar.start > since * SECOND]
        return {key: newer or rows[-1:], "last": bars[-2].start // SECOND if len(bars) > 1 else since}

    def _depth(self, query: Query, now: int) -> object:
        instrument, key = self._one(query)
        count = min(_MOST_LEVELS, max(1, _whole(query, "count", 100)))
        spec, image = instrument.spec, self.book_image(instrument, count)
        sides = (("asks", image.asks), ("bids", image.bids))
        return {key: {name: rest_messages.depth_side(spec, side, image.time) for name, side in sides}}

    def _trades(self, query: Query, now: int) -> object:
        """Without ``since`` the last ones, with it the first of those after it; oldest first."""
        instrument, key = self._one(query)
        count = min(_MOST_TRADES, max(1, _whole(query, "count", _MOST_TRADES)))
        since = _whole(query, "since", 0)
        since *= 1 if since >= _NANOSECONDS else 10**9
        newer = [fill for fill in instrument.trades if trade_ns(fill) > since]
        fills = newer[:count] if since else newer[-count:]
        rows = [rest_messages.trade(instrument.spec, fill) for fill in fills]
        return {key: rows, "last": rest_messages.last_trade(fills, since)}


def _class_of(query: Query) -> str:
    """``aclass_base`` of ``AssetPairs``, ``aclass`` of ``Assets``, ``asset_class`` of the others."""
    return query.get("aclass_base") or query.get("aclass") or query.get("asset_class") or "currency"


def _rfc1123(now: int) -> str:
    """``Sun, 21 Mar 21 14:23:14 +0000``"""
    moment = datetime.fromtimestamp(now // SECOND, timezone.utc)
    weekday, month = _WEEKDAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{weekday}, {moment.day:02d} {month} {moment:%y %H:%M:%S} +0000"
