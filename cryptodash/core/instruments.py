"""Symbols, market types, instruments and the catalogue that maps every spelling onto them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from attrs import frozen

from cryptodash.core.errors import Refused
from cryptodash.core.numbers import Number, decimals


class MarketType(str, enum.Enum):
    """What kind of market an instrument trades on. A perpetual is always linear (settled in its quote) here."""

    SPOT = "spot"
    PERPETUAL = "perpetual"

    def __str__(self) -> str:
        return self.value


class Symbol(NamedTuple):
    """Base and quote as the venue's catalogue names them, upper case; the same for spot and perpetual."""

    base: str
    quote: str

    def __str__(self) -> str:
        return f"{self.base}-{self.quote}"


ANY = Symbol("*", "")
"""The sweep's symbol: every instrument of one market."""


@frozen
class Instrument:
    """One tradable pair of one venue, as the venue's own catalogue describes it.

    ``native`` is the venue's name (``BTCUSDT``). Sizes are base quantities; ``min_notional`` is in quote currency.
    Unknown values are None. ``status`` is our word (``trading``, ``halted``, ``pre_open``, ``delisted``),
    ``venue_status`` the venue's.
    """

    exchange: str
    market: MarketType
    symbol: Symbol
    native: str
    tick_size: Number
    step_size: Number
    min_qty: Number | None = None
    min_notional: Number | None = None
    status: str = "trading"
    venue_status: str = ""
    contract_size: Number | None = None
    """Base quantity of one contract, where the venue counts in contracts; every size we show is a base quantity."""
    alias_of: str = ""
    """The native name of another listing whose book and trades these are, where the venue's streams speak of both by
    that name; empty for an instrument of its own."""
    other_names: tuple[str, ...] = ()
    """What the venue calls it elsewhere, where not all of its interfaces use the native name (REST beside streams)."""

    @property
    def price_precision(self) -> int:
        """Decimals a price needs, from the tick's significant digits."""
        return decimals(self.tick_size)


class Catalogue:
    """The instruments of one venue, found by symbol, by native name, or by any spelling a client may use.

    ``loaded`` tells whether a market has ever been read: before that an unknown symbol is not yet an error.
    """

    def __init__(self, exchange: str) -> None:
        self.exchange = exchange
        self._by_symbol: dict[MarketType, dict[Symbol, Instrument]] = {}
        self._by_native: dict[MarketType, dict[str, Instrument]] = {}
        self._by_other: dict[MarketType, dict[str, Instrument]] = {}
        self._by_joined: dict[MarketType, dict[str, list[Instrument]]] = {}
        self.version = 0
        """Grows with every change; REST derives its ETag from it."""

    def replace(self, market: MarketType, instruments: Iterable[Instrument]) -> list[tuple[Instrument, Instrument]]:
        """Put what the venue lists now in the place of what was known of this market.

        Of several listings of one symbol (venues rename settled contracts and go on listing them) the one that trades
        has it, whatever their order; of several that trade the one with the shortest native name, of these the first in
        the alphabet. The others are found by their native names only. Returns (the one that has the symbol, another)
        for each other that trades as well. A native name of several symbols is that of the one that trades, of nobody
        if there are several.
        """
        listed = list(instruments)
        # In the venue's order.
        by_symbol = {each.symbol: each for each in listed}
        by_native = {each.native: each for each in listed}
        by_joined: dict[str, list[Instrument]] = {}
        same_symbol: list[tuple[Instrument, Instrument]] = []
        if not len(by_symbol) == len(by_native) == len(listed):
            same_symbol = _settle(listed, by_symbol, by_native)
        for instrument in by_symbol.values():
            by_joined.setdefault(instrument.symbol.base + instrument.symbol.quote, []).append(instrument)
        self._by_other[market] = {name: each for each in by_native.values() for name in each.other_names}
        self._by_symbol[market], self._by_native[market], self._by_joined[market] = by_symbol, by_native, by_joined
        self.version += 1
        return same_symbol

    def loaded(self, market: MarketType) -> bool:
        return market in self._by_symbol

    def __iter__(self) -> Iterator[Instrument]:
        for instruments in self._by_symbol.values():
            yield from instruments.values()

    def __len__(self) -> int:
        return sum(len(instruments) for instruments in self._by_symbol.values())

    def get(self, market: MarketType, symbol: Symbol) -> Instrument | None:
        return self._by_symbol.get(market, {}).get(symbol)

    def native(self, market: MarketType, native: str) -> Instrument | None:
        """The instrument with this name of the venue's, whether its symbol is its own or another's; by one of its other
        names where it is nobody's native name."""
        return self._by_native.get(market, {}).get(native) or self._by_other.get(market, {}).get(native)

    def find(self, market: MarketType, text: str) -> Symbol:
        """The symbol a client means by ``BTC-USDT``, ``btc/usdt`` or ``BTCUSDT``.

        Raises ``Refused``: ``unknown_symbol`` (404), or ``ambiguous_symbol`` (400) with the candidates. Where the
        market is not loaded yet a separated spelling is taken at its word;
        a joined one cannot be and is ``not_yet_known`` (409).
        """
        symbol = split_symbol(text)
        if symbol is not None:
            return self.check(market, symbol)
        if not self.loaded(market):
            raise Refused(
                "not_yet_known",
                f"the catalogue of {self.exchange} {market} is not loaded yet: spell {text[:40]!r} as BASE-QUOTE",
                409,
            )
        return self._only(market, text, [each.symbol for each in self.joined(market, text)])

    def _only(self, market: MarketType, text: str, matches: Sequence[Symbol]) -> Symbol:
        """The one symbol that a joined spelling means."""
        if len(matches) > 1:
            names = ", ".join(map(str, matches))
            raise Refused("ambiguous_symbol", f"{text[:40]!r} on {self.exchange} {market} can be any of: {names}", 400)
        if not matches:
            raise _unknown(self.exchange, market, text)
        return matches[0]

    def joined(self, market: MarketType, text: str) -> list[Instrument]:
        """The instruments whose base and quote make this text when they are joined, in upper case."""
        return self._by_joined.get(market, {}).get(text.upper(), [])

    def check(self, market: MarketType, symbol: Symbol) -> Symbol:
        """The symbol itself if the market has it or is not loaded yet; raises ``Refused`` ``unknown_symbol`` (404)."""
        if self.loaded(market) and self.get(market, symbol) is None:
            raise _unknown(self.exchange, market, str(symbol))
        return symbol


def _settle(
    listed: Iterable[Instrument], by_symbol: dict[Symbol, Instrument], by_native: dict[str, Instrument]
) -> list[tuple[Instrument, Instrument]]:
    """Who has a symbol or a native name that several have, as ``Catalogue.replace`` says; what that returns."""
    symbols: dict[Symbol, Instrument] = {}
    names: dict[str, Instrument] = {}
    same_symbol: list[tuple[Instrument, Instrument]] = []
    for each in sorted(listed, key=_precedence):
        shown = symbols.setdefault(each.symbol, each)
        if shown.native != each.native and each.status == "trading":
            same_symbol.append((shown, each))
        named = names.setdefault(each.native, each)
        if named.symbol != each.symbol and (named.status != "trading" or each.status == "trading"):
            by_native.pop(each.native, None)
    by_symbol.update(symbols)
    by_native.update((native, names[native]) for native in by_native)
    return same_symbol


_STATUSES = ("trading", "pre_open", "halted", "delisted")


def _precedence(instrument: Instrument) -> tuple[int, int, str]:
    """Which of several listings of one symbol, or of one name, comes first."""
    status = instrument.status
    place = _STATUSES.index(status) if status in _STATUSES else len(_STATUSES)
    return place, len(instrument.native), instrument.native


def _unknown(exchange: str, market: MarketType, text: str) -> Refused:
    return Refused("unknown_symbol", f"{exchange} {market} has no symbol {text[:40]!r}", 404)


_MAX_SYMBOL = 40


def _is_word(text: str) -> bool:
    """Printable, and without any space: the only one that is printable is U+0020."""
    return text.isprintable() and " " not in text


def split_symbol(text: str) -> Symbol | None:
    """``btc/usdt`` and ``BTC-USDT`` as a Symbol (split at the last separator); None for a joined spelling. Raises
    ``Refused`` ``invalid_symbol``."""
    if not text or len(text) > 2 * _MAX_SYMBOL or not _is_word(text):
        raise Refused("invalid_symbol", f"not a symbol: {text[:40]!r}", 400)
    separator = "-" if "-" in text else "/" if "/" in text else ""
    if not separator:
        return None
    base, _, quote = text.rpartition(separator)
    return make_symbol(base, quote)


def make_symbol(base: object, quote: object) -> Symbol:
    """A Symbol from a client's base and quote, in upper case. Raises ``Refused`` ``invalid_symbol``."""
    for part in (base, quote):
        if not isinstance(part, str) or not part or len(part) > _MAX_SYMBOL or not _is_word(part):
            raise Refused("invalid_symbol", f"not a symbol part: {repr(part)[:40]}", 400)
    return Symbol(str(base).upper(), str(quote).upper())
