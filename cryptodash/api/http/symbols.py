"""``/api/symbols``: the catalogues as JSON, encoded once per version of a catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from cryptodash.api.http.answers import Stored
from cryptodash.core import codec
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.numbers import trimmed
from cryptodash.hub.interfaces import IDirectory


@frozen
class _Entry:
    market: MarketType
    quote: str
    words: str
    """What a search looks in."""
    body: bytes


class SymbolList:
    """Answers by (exchange, market, search).

    Those without a search are kept until a catalogue changes: at most three per venue and three for all together.
    """

    def __init__(self, directory: IDirectory) -> None:
        self._directory = directory
        self._entries: dict[str, tuple[int, tuple[_Entry, ...]]] = {}
        self._stored: dict[tuple[str | None, MarketType | None], tuple[tuple[int, ...], Stored]] = {}

    def answer(self, exchange: str | None, market: MarketType | None, search: str) -> Stored:
        """The body for these filters; ``exchange`` is an enabled one or None, ``search`` is in upper case."""
        exchanges = (exchange,) if exchange else self._directory.exchanges()
        if search:
            return Stored(self._encode(exchanges, market, search), level=1)
        versions = tuple(self._directory.instruments(each).version for each in exchanges)
        known = self._stored.get((exchange, market))
        if known is None or known[0] != versions:
            known = self._stored[exchange, market] = (versions, Stored(self._encode(exchanges, market, "")))
        return known[1]

    def _encode(self, exchanges: Iterable[str], market: MarketType | None, search: str) -> bytes:
        quotes: dict[MarketType, set[str]] = {each: set() for each in MarketType}
        venues: list[bytes] = []
        for exchange in exchanges:
            chosen = [each for each in self._of(exchange) if market in (None, each.market) and search in each.words]
            for entry in chosen:
                quotes[entry.market].add(entry.quote)
            venues.append(
                b'{"exchange":%s,"symbols":[%s]}' % (codec.encode(exchange), b",".join([each.body for each in chosen]))
            )
        allowed = codec.encode({each.value: sorted(found) for each, found in quotes.items()})
        return b'{"allowed_quotes":%s,"exchanges":[%s]}' % (allowed, b",".join(venues))

    def _of(self, exchange: str) -> tuple[_Entry, ...]:
        listed = self._directory.instruments(exchange)
        known = self._entries.get(exchange)
        if known is None or known[0] != listed.version:
            known = self._entries[exchange] = (listed.version, tuple(_entry(each) for each in listed.instruments))
        return known[1]


def _entry(instrument: Instrument) -> _Entry:
    base, quote = instrument.symbol
    words = f"{base}-{quote} {base}/{quote} {base}{quote} {instrument.native}".upper()
    return _Entry(instrument.market, quote, words, codec.encode(symbol_members(instrument)))


def symbol_members(instrument: Instrument) -> dict[str, object]:
    """One instrument as the contract lists it; sizes are text, bare of padding."""
    base, quote = instrument.symbol
    members: dict[str, object] = {
        "symbol": str(instrument.symbol),
        "base": base,
        "quote": quote,
        "market_type": instrument.market.value,
        "display_name": f"{base} / {quote}",
        "price_precision": instrument.price_precision,
        "tick_size": trimmed(instrument.tick_size),
    }
    if instrument.min_qty is not None:
        members["min_qty"] = trimmed(instrument.min_qty)
    members["step_size"] = trimmed(instrument.step_size)
    members["native"] = instrument.native
    members["status"] = instrument.status
    return members
