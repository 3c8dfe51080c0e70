"""Symbols, market types, instruments and the catalogue that maps every spelling onto them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve, frozen

from cryptodash.core.errors import Refused
from cryptodash.core.numbers import Number, decimals
from cryptodash.core.symbols import ANY, Symbol, make_symbol, spelled_symbol, split_as_spelled, split_symbol

__all__ = [
    "ANY",
    "Catalogue",
    "Instrument",
    "MarketType",
    "Symbol",
    "make_symbol",
    "spelled_symbol",
    "split_as_spelled",
    "split_symbol",
]

_MOST_RENAMED = 1_000


class MarketType(str, enum.Enum):
    """What kind of market an instrument trades on. A perpetual is always linear (settled in its quote) here."""

    SPOT = "spot"
    PERPETUAL = "perpetual"

    def __str__(self) -> str:
        return self.value


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
    underlying_type: str = "crypto"
    """What its price is of: ``crypto``, ``equity``, ``commodity``, ``fx``, ``index``, or ``pre_market`` for what is
    traded before it is listed elsewhere; empty where the venue says a word that we do not know."""
    venue_id: str = ""
    """By what the venue knows it under whatever name; empty where it has no such thing."""
    unknown_words: tuple[str, ...] = ()
    """What the venue says of it that stands in no table of ours, each with its member: ``status=Paused``."""

    @property
    def keeps_hours(self) -> bool:
        """Whether its market may be thin for hours because that of its underlying is closed, or has not begun."""
        return self.underlying_type != "crypto"

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
        self._by_upper: dict[MarketType, dict[Symbol, list[Symbol]]] = {}
        self._renamed: dict[MarketType, dict[Symbol, Symbol]] = {}
        self._not_listed: dict[MarketType, tuple[tuple[str, str], ...]] = {}
        self.version = 0
        """Grows with every change; REST derives its ETag from it."""

    def replace(
        self, market: MarketType, instruments: Iterable[Instrument], not_listed: Iterable[tuple[str, str]] = ()
    ) -> list[tuple[Instrument, Instrument]]:
        """Put what the venue lists now in the place of what was known of this market. ``not_listed``: what else its
        catalogue holds, each by the venue's name and why it is none of ours.

        Symbols come as the venue spells them. Here they are in upper case, but where two differ in nothing but that:
        then each is as the venue spells it.

        Of several listings of one symbol (venues rename settled contracts and go on listing them) the one that trades
        has it, whatever their order; of several that trade the one with the shortest native name, of these the first in
        the alphabet. The others are found by their native names only. Returns (the one that has the symbol, another)
        for each other that trades as well. A native name of several symbols is that of the one that trades, of nobody
        if there are several.
        """
        listed = _in_upper_case(list(instruments))
        self._not_listed[market] = tuple(not_listed)
        # In the venue's order.
        by_symbol = {each.symbol: each for each in listed}
        by_native = {each.native: each for each in listed}
        by_joined: dict[str, list[Instrument]] = {}
        same_symbol: list[tuple[Instrument, Instrument]] = []
        if not len(by_symbol) == len(by_native) == len(listed):
            same_symbol = _settle(listed, by_symbol, by_native)
        for instrument in by_symbol.values():
            by_joined.setdefault("".join(instrument.symbol.upper), []).append(instrument)
        mixed: dict[Symbol, list[Symbol]] = {}
        for symbol in [each for each in by_symbol if each != each.upper]:
            also = [symbol.upper] if symbol.upper in by_symbol else []
            mixed.setdefault(symbol.upper, also).append(symbol)
        self._by_upper[market] = mixed
        renamed = self._renamed.get(market)
        if renamed:
            self._renamed[market] = {old: new for old, new in renamed.items() if old not in by_symbol}
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

    def listed(self, market: MarketType) -> Mapping[str, Instrument]:
        """The market's instruments by native name."""
        return self._by_native.get(market, {})

    def not_listed(self) -> tuple[tuple[MarketType, str, str], ...]:
        """What else the venue's catalogue holds: market, the venue's name, and why it is not listed here."""
        return tuple((market, *each) for market, others in self._not_listed.items() for each in others)

    def rename(self, market: MarketType, old: Symbol, new: Symbol) -> None:
        """What was ``old`` is called ``new`` now, until something is listed as ``old`` again."""
        renamed = self._renamed.setdefault(market, {})
        renamed.pop(old, None)
        while len(renamed) >= _MOST_RENAMED:
            del renamed[next(iter(renamed))]
        renamed[old] = new
        for earlier in [each for each, then in renamed.items() if then == old]:
            renamed[earlier] = new

    def renamed(self, market: MarketType, symbol: Symbol) -> Symbol | None:
        """What an instrument is called that was called so; None where none was."""
        return self._renamed.get(market, {}).get(symbol)

    def find(self, market: MarketType, text: str) -> Symbol:
        """The symbol a client means by ``BTC-USDT``, ``btc/usdt`` or ``BTCUSDT``.

        Raises ``Refused``: ``unknown_symbol`` (404), or ``ambiguous_symbol`` (400) with the candidates. Where the
        market is not loaded yet a separated spelling is taken at its word;
        a joined one cannot be and is ``not_yet_known`` (409).
        """
        symbol = split_as_spelled(text)
        if symbol is not None:
            return self.check(market, symbol)
        if not self.loaded(market):
            raise Refused(
                "not_yet_known",
                f"the catalogue of {self.exchange} {market} is not loaded yet: spell {text[:40]!r} as BASE-QUOTE",
                409,
            )
        matches = [each.symbol for each in self.joined(market, text)]
        return self._only([each for each in matches if "".join(each) == text] or matches, market, text)

    def joined(self, market: MarketType, text: str) -> list[Instrument]:
        """The instruments whose base and quote make this text when they are joined, in upper case."""
        return self._by_joined.get(market, {}).get(text.upper(), [])

    def check(self, market: MarketType, symbol: Symbol) -> Symbol:
        """The symbol that a client spells so, whatever case it uses; in upper case while the market is not loaded.
        Raises ``Refused``: ``unknown_symbol`` (404), or ``ambiguous_symbol`` (400) where it is spelled as none of
        several that differ in nothing but their case."""
        if not self.loaded(market):
            return symbol.upper
        return self._only(self.spelled(market, symbol), market, str(symbol))

    def spelled(self, market: MarketType, symbol: Symbol) -> Sequence[Symbol]:
        """The symbols of the market that a client can mean who spells one so: itself, or those that differ from it in
        nothing but their case."""
        known = self._by_symbol.get(market, {})
        if symbol in known:
            return [symbol]
        upper = symbol.upper
        return self._by_upper.get(market, {}).get(upper) or ([upper] if upper in known else [])

    def _only(self, matches: Sequence[Symbol], market: MarketType, text: str) -> Symbol:
        if len(matches) > 1:
            names = ", ".join(map(str, matches))
            raise Refused("ambiguous_symbol", f"{text[:40]!r} on {self.exchange} {market} can be any of: {names}", 400)
        if not matches:
            raise self._unknown(market, text)
        return matches[0]

    def _unknown(self, market: MarketType, text: str) -> Refused:
        old = next((each for each in self._renamed.get(market, {}) if text.upper() in _spellings(each)), None)
        now = "" if old is None else f": it is called {self._renamed[market][old]} now"
        return Refused("unknown_symbol", f"{self.exchange} {market} has no symbol {text[:40]!r}{now}", 404)


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


def _spellings(symbol: Symbol) -> tuple[str, ...]:
    return tuple(separator.join(symbol.upper) for separator in ("-", "/", ""))


def _in_upper_case(listed: list[Instrument]) -> list[Instrument]:
    """With their symbols in upper case, but where two of them would have the same."""
    spelled: dict[Symbol, Symbol | None] = {}
    for each in listed:
        if spelled.setdefault(each.symbol.upper, each.symbol) != each.symbol:
            spelled[each.symbol.upper] = None
    return [
        each if each.symbol == each.symbol.upper or spelled[each.symbol.upper] is None
        else evolve(each, symbol=each.symbol.upper)
        for each in listed
    ]  # fmt: skip
