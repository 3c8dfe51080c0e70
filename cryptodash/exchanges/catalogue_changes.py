"""Tells people what the readings of a venue's catalogues bring: counters, and a line for what is news."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from twisted.logger import Logger

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.tally import Tally
from cryptodash.exchanges.catalogue_diff import CatalogueDiff

MOST_NAMED = 20
"""Instruments named in one line, and words logged in the life of a process."""
MOST_WORDS = 10_000
"""Instruments with an unknown word that are counted in the life of a process."""

_log = Logger(namespace="cryptodash.exchanges.catalogue_changes")


class CatalogueChanges:
    """What is told of one venue's catalogues."""

    def __init__(self, exchange: str, tally: Tally) -> None:
        self._exchange = exchange
        self._changes = tally.counter(
            "cryptodash_catalogue_changes_total",
            "Instruments added, removed, renamed or changed between two readings of a catalogue",
            "exchange",
            "market_type",
            "change",
        )
        self._unknown = tally.counter(
            "cryptodash_catalogue_unknown_words_total",
            "Instruments of which the catalogue says a word that stands in no table of ours, once each",
            "exchange",
            "word",
        )
        self._known_words: set[tuple[MarketType, str, str]] = set()
        self._logged_words: set[str] = set()
        self._not_listed: dict[MarketType, frozenset[str]] = {}

    def read(self, market: MarketType, instruments: Iterable[Instrument], others: Sequence[tuple[str, str]]) -> None:
        """A catalogue was read: these instruments, and what else it holds, each by its name and why it is not listed.
        Each unknown word of an instrument counts once; each word is logged once."""
        for each in instruments:
            for word in each.unknown_words:
                self._unknown_word(market, each, word)
        names = frozenset(name for name, _ in others)
        if names != self._not_listed.get(market, frozenset()):
            self._not_listed[market] = names
            reasons = "; ".join(f"{count} {why}" for why, count in Counter(why for _, why in others).most_common(8))
            _log.info(
                "{exchange} {market}: {count} more in the catalogue are not listed: {reasons}",
                exchange=self._exchange,
                market=market.value,
                count=len(others),
                reasons=reasons,
            )

    def differ(self, market: MarketType, diff: CatalogueDiff) -> None:
        """A later reading of a market is different from the one before."""
        found = {
            "added": [each.native for each in diff.added],
            "removed": [each.native for each in diff.removed],
            "renamed": [f"{old.native} to {new.native}" for old, new in diff.renamed],
            "changed": [_change(old, new) for old, new in diff.changed],
        }
        for change, names in found.items():
            if names:
                self._changes.add(self._exchange, market.value, change, by=len(names))
                _log.info(
                    "{exchange} {market}: {change}: {names}",
                    exchange=self._exchange,
                    market=market.value,
                    change=change,
                    names=_some(names),
                )

    def _unknown_word(self, market: MarketType, instrument: Instrument, word: str) -> None:
        key = (market, instrument.native, word)
        if key in self._known_words or len(self._known_words) >= MOST_WORDS:
            return
        self._known_words.add(key)
        # A label is for a few words: what a venue makes up without end is one.
        is_new = word not in self._logged_words
        if is_new and len(self._logged_words) >= MOST_NAMED:
            word = "other"
        self._unknown.add(self._exchange, word)
        if is_new and word != "other":
            self._logged_words.add(word)
            _log.warn(
                "{exchange} {market}: the catalogue says {word!r} of {native}, which is in no table: "
                "taken as status {status}, underlying {underlying!r}",
                exchange=self._exchange,
                market=market.value,
                word=word,
                native=instrument.native,
                status=instrument.status,
                underlying=instrument.underlying_type,
            )


def _change(old: Instrument, new: Instrument) -> str:
    if old.venue_status != new.venue_status:
        return f"{new.native} ({old.venue_status} to {new.venue_status})"
    return new.native


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
