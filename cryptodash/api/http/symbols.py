"""``/api/symbols``: the catalogues as JSON, encoded once per version of a catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from cryptodash.api.http.answers import Stored, storing
from cryptodash.api.http.recent import Shared
from cryptodash.api.slices import Slices
from cryptodash.core import codec
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.numbers import trimmed
from cryptodash.core.steps import Steps
from cryptodash.hub.interfaces import IDirectory

ENCODED: Final = 32
FILTERED: Final = 512
"""Instruments that are encoded, or looked through, in one step: less than half a millisecond."""
KEPT: Final = 64
"""Answers that are kept."""


@frozen
class _Entry:
    market: MarketType
    quote: str
    words: str
    """What a search looks in."""
    body: bytes


class SymbolList:
    """Answers by (exchanges, market, search).

    Those without a search are kept until a catalogue changes, ``KEPT`` at most: three per venue, three for all
    together, and three for each selection of venues that somebody's token knows.
    """

    def __init__(self, directory: IDirectory, slices: Slices) -> None:
        self._directory = directory
        self._slices = slices
        self._entries: dict[str, tuple[int, tuple[_Entry, ...]]] = {}
        self._kept: dict[tuple[tuple[str, ...], MarketType | None], tuple[tuple[int, ...], Shared[Stored]]] = {}

    async def answer(self, exchanges: tuple[str, ...], market: MarketType | None, search: str) -> Stored:
        """The body for these filters; ``exchanges`` are enabled ones, ``search`` is in upper case."""
        if search:
            return await self._slices.outcome(self._encoded(exchanges, market, search, level=1))
        versions = tuple(self._directory.instruments(each).version for each in exchanges)
        known = self._kept.get((exchanges, market))
        if known is None or known[0] != versions:
            building = Shared(self._slices.outcome(self._encoded(exchanges, market, "", level=5)))
            self._kept.pop((exchanges, market), None)
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            known = self._kept[exchanges, market] = (versions, building)
        return await known[1].wait()

    def _encoded(
        self, exchanges: Iterable[str], market: MarketType | None, search: str, *, level: int
    ) -> Steps[Stored]:
        quotes: dict[MarketType, set[str]] = {each: set() for each in MarketType}
        venues: list[bytes] = []
        for exchange in exchanges:
            chosen: list[bytes] = []
            entries = yield from self._of(exchange)
            for at in range(0, len(entries), FILTERED):
                for entry in entries[at : at + FILTERED]:
                    if market in (None, entry.market) and search in entry.words:
                        quotes[entry.market].add(entry.quote)
                        chosen.append(entry.body)
                yield
            named = codec.encode(exchange), b",".join(chosen), self._not_listed(exchange, market, search)
            venues.append(b'{"exchange":%s,"symbols":[%s]%s}' % named)
            yield
        allowed = codec.encode({each.value: sorted(found) for each, found in quotes.items()})
        body = b'{"allowed_quotes":%s,"exchanges":[%s]}' % (allowed, b",".join(venues))
        return (yield from storing(body, level))

    def _not_listed(self, exchange: str, market: MarketType | None, search: str) -> bytes:
        """The member that names what else the venue's catalogue holds; nothing where that is nothing."""
        others = [
            {"native": native, "market_type": kind.value, "reason": reason}
            for kind, native, reason in self._directory.instruments(exchange).not_listed
            if market in (None, kind) and search in native.upper()
        ]
        return b',"not_listed":%s' % codec.encode(others) if others else b""

    def _of(self, exchange: str) -> Steps[tuple[_Entry, ...]]:
        listed = self._directory.instruments(exchange)
        known = self._entries.get(exchange)
        if known is not None and known[0] == listed.version:
            return known[1]
        entries: list[_Entry] = []
        for at in range(0, len(listed.instruments), ENCODED):
            entries.extend(map(_entry, listed.instruments[at : at + ENCODED]))
            yield
        self._entries[exchange] = (listed.version, tuple(entries))
        return tuple(entries)


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
    if instrument.underlying_type:
        members["underlying_type"] = instrument.underlying_type
    return members
