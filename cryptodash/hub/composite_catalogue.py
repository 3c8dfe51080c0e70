"""The instruments of the composite market: whatever at least one venue lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from attrs import evolve

from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol, split_symbol
from cryptodash.core.interfaces import IUpstream
from cryptodash.core.numbers import key
from cryptodash.core.topics import COMPOSITE


class CompositeCatalogue(Catalogue):
    """Nothing is kept: every question goes to the venues' catalogues, which may be read again at any time.

    A market is ``loaded`` once all venues that have it have been read; until then a symbol that none lists so far is
    taken at its word. Whoever reads one raises ``version``.
    """

    def __init__(self, venues: Mapping[str, IUpstream]) -> None:
        super().__init__(COMPOSITE)
        self._venues = venues

    def _of(self, market: MarketType) -> list[Catalogue]:
        return [each.catalogue for each in self._venues.values() if market in each.markets]

    def loaded(self, market: MarketType) -> bool:
        return all(each.loaded(market) for each in self._of(market))

    def get(self, market: MarketType, symbol: Symbol) -> Instrument | None:
        listed = [found for each in self._of(market) if (found := each.get(market, symbol)) is not None]
        return _merged(listed) if listed else None

    def native(self, market: MarketType, native: str) -> Instrument | None:
        """None: native names are a venue's own."""
        return None

    def joined(self, market: MarketType, text: str) -> list[Instrument]:
        found: dict[Symbol, list[Instrument]] = {}
        for catalogue in self._of(market):
            for each in catalogue.joined(market, text):
                found.setdefault(each.symbol, []).append(each)
        return [_merged(listed) for listed in found.values()]

    def find(self, market: MarketType, text: str) -> Symbol:
        """A joined spelling is understood as soon as one venue has it, for another may never be read."""
        if not self.loaded(market) and split_symbol(text) is None:
            known = [each.symbol for each in self.joined(market, text)]
            if known:
                return self._only(known, market, text)
        return super().find(market, text)

    def check(self, market: MarketType, symbol: Symbol) -> Symbol:
        """As long as a market is not loaded, what no venue lists so far is taken at its word."""
        meant = self.spelled(market, symbol)
        return self._only(meant, market, str(symbol)) if meant or self.loaded(market) else symbol.upper

    def spelled(self, market: MarketType, symbol: Symbol) -> Sequence[Symbol]:
        meant = {each: None for catalogue in self._of(market) for each in catalogue.spelled(market, symbol)}
        return [symbol] if symbol in meant else list(meant)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.merged())

    def merged(self) -> MergedInstruments:
        """What it lists now, each merged when it is asked for: all at once would take long."""
        listed: dict[tuple[MarketType, Symbol], list[Instrument]] = {}
        for venue in self._venues.values():
            for each in venue.catalogue:
                listed.setdefault((each.market, each.symbol), []).append(each)
        return MergedInstruments(list(listed.values()))

    def __len__(self) -> int:
        return len({(each.market, each.symbol) for venue in self._venues.values() for each in venue.catalogue})


class MergedInstruments(Sequence[Instrument]):
    """One instrument for each of these lists. None is kept."""

    def __init__(self, listed: list[list[Instrument]]) -> None:
        self._listed = listed

    def __len__(self) -> int:
        return len(self._listed)

    @overload
    def __getitem__(self, at: int) -> Instrument: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Instrument]: ...

    def __getitem__(self, at: int | slice) -> Instrument | Sequence[Instrument]:
        if isinstance(at, slice):
            return [_merged(each) for each in self._listed[at]]
        return _merged(self._listed[at])


def _merged(listed: list[Instrument]) -> Instrument:
    """One instrument of several venues: the finest tick and step, trading if it trades anywhere."""
    first = listed[0]
    statuses = [each.status for each in listed]
    return evolve(
        first,
        exchange=COMPOSITE,
        native=str(first.symbol),
        tick_size=min((each.tick_size for each in listed), key=key),
        step_size=min((each.step_size for each in listed), key=key),
        min_qty=None,
        min_notional=None,
        contract_size=None,
        status="trading" if "trading" in statuses else statuses[0],
        venue_status="",
        alias_of="",
        other_names=(),
    )
