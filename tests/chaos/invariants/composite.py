"""What is derived of several venues: each part of it was so at its venue, is not long replaced, and the best of it is
the best of its parts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from cryptodash.simulator.decimal_text import trim
from tests.chaos.history import Place, Tape
from tests.chaos.invariants.values import MOMENT, Excuses, Past, Showing, ended, spans
from tests.chaos.subscriptions import Subscription, Told, Violation

Tapes = Mapping[Place, Tape]
Sizes = dict[str, str]
"""Of one venue, by price."""
_QUOTE = ("bid", "ask", "bid_size", "ask_size")
_SIDES = ("bids", "asks")


def check(subscription: Subscription, tapes: Tapes, excuses: Excuses) -> list[Violation]:
    make = _Quotes if subscription.kind == "bbo" else _Books
    return list(make(subscription, tapes, excuses).run())


class _Check:
    kinds: tuple[str, ...]

    def __init__(self, subscription: Subscription, tapes: Tapes, excuses: Excuses) -> None:
        self._subscription, self._tapes, self._excuses = subscription, tapes, excuses
        _, self._market, self._symbol = subscription.place
        self._blamed: dict[str, None] = {}

    def run(self) -> Iterator[Violation]:
        end = ended(self._subscription, self._excuses)
        for told, showing, until in spans(self._subscription, self.kinds):
            wrong = self._take(told)
            if wrong:
                yield self._subscription.blame("deltas", told.at, wrong)
            until = min(until, end)
            if showing.good and told.kind in self.kinds:
                yield from self._wrong(told, told.payload)
            if until - told.at >= MOMENT:
                yield from self._overdue(showing, until)

    def _blame(self, at: float, what: str) -> Violation:
        return self._subscription.blame("live", at, what)

    def _place(self, exchange: str) -> Place:
        return exchange, self._market, self._symbol

    def _overdue(self, showing: Showing, until: float) -> Iterator[Violation]:
        """Each part that is on show as live was so not long ago."""
        for exchange in self._parts() if showing.state == "live" else ():
            since = until - self._excuses.patience(self._subscription, until, self._place(exchange))
            if self._was(exchange, since, until):
                self._blamed.pop(exchange, None)
            elif exchange not in self._blamed:
                self._blamed[exchange] = None
                yield self._blame(until, f"the part of {exchange} was not so since {since:.3f}: {self._said(exchange)}")

    def _take(self, told: Told) -> str:
        """Note what is on show from now on; what does not fit, else nothing."""
        raise NotImplementedError

    def _parts(self) -> list[str]:
        raise NotImplementedError

    def _said(self, exchange: str) -> object:
        raise NotImplementedError

    def _was(self, exchange: str, since: float, until: float) -> bool:
        raise NotImplementedError

    def _wrong(self, told: Told, payload: Mapping[str, Any]) -> Iterator[Violation]:
        raise NotImplementedError


def _excluded_twice(payload: Mapping[str, Any], parts: list[str]) -> set[str]:
    return {each["exchange"] for each in payload.get("excluded", ())} & set(parts)


class _Quotes(_Check):
    """``bbo``"""

    kinds = ("bbo",)

    def __init__(self, subscription: Subscription, tapes: Tapes, excuses: Excuses) -> None:
        super().__init__(subscription, tapes, excuses)
        self._venues: Mapping[str, Mapping[str, str]] = {}
        self._pasts: dict[str, Past] = {}

    def _take(self, told: Told) -> str:
        self._venues = told.payload["venues"] if told.kind == "bbo" else {} if told.kind == "again" else self._venues
        return ""

    def _parts(self) -> list[str]:
        return list(self._venues)

    def _said(self, exchange: str) -> tuple[str, ...]:
        return tuple(trim(str(self._venues[exchange][name])) for name in _QUOTE)

    def _was(self, exchange: str, since: float, until: float) -> bool:
        past = self._pasts.get(exchange)
        if past is None:
            quotes = self._tapes[self._place(exchange)].quotes
            past = self._pasts[exchange] = Past([(at, tuple(map(trim, quote))) for at, quote in quotes])
        return past.was(self._said(exchange), since, until)

    def _wrong(self, told: Told, payload: Mapping[str, Any]) -> Iterator[Violation]:
        parts = self._parts()
        if _excluded_twice(payload, parts):
            yield self._blame(told.at, f"counted and excluded: {sorted(_excluded_twice(payload, parts))}")
        if not parts:
            return
        for name, of, best in (("bid", "bid_exchange", max), ("ask", "ask_exchange", min)):
            true = best(Decimal(each[name]) for each in self._venues.values())
            said, at = Decimal(payload[name]), self._venues.get(payload[of])
            if said != true or at is None or Decimal(at[name]) != true:
                yield self._blame(told.at, f"{name} {said} of {payload[of]}, the best of the parts is {true}")


class _Books(_Check):
    """``order_book``"""

    kinds = ("order_book_snapshot", "order_book_delta")

    def __init__(self, subscription: Subscription, tapes: Tapes, excuses: Excuses) -> None:
        super().__init__(subscription, tapes, excuses)
        self._levels: dict[str, dict[str, Mapping[str, Any]]] = {side: {} for side in _SIDES}
        self._sequence: int | None = None

    def _take(self, told: Told) -> str:
        payload = told.payload
        if told.kind == "again":
            self._levels, self._sequence = {side: {} for side in _SIDES}, None
        elif told.kind == "order_book_snapshot":
            self._levels = {side: {trim(each["price"]): each for each in payload[side]} for side in _SIDES}
            self._sequence = int(payload["sequence"])
        elif told.kind == "order_book_delta":
            return self._apply(payload)
        return ""

    def _apply(self, payload: Mapping[str, Any]) -> str:
        before, self._sequence = self._sequence, int(payload["sequence"])
        for side, levels in self._levels.items():
            for price in payload["deletes"][side]:
                if levels.pop(trim(price), None) is None:
                    return f"deletes {price}, which is not there"
            levels |= {trim(each["price"]): each for each in payload[f"{side}_upserts"]}
        return "" if before is not None and self._sequence == before + 1 else f"sequence {self._sequence} after {before}"

    def _parts(self) -> list[str]:
        return list(
            dict.fromkeys(
                venue for levels in self._levels.values() for each in levels.values() for venue in each["venues"]
            )
        )

    def _said(self, exchange: str) -> tuple[Sizes, ...]:
        return tuple(
            {
                trim(str(each["price"])): trim(str(each["venues"][exchange]))
                for each in self._levels[side].values()
                if exchange in each["venues"]
            }
            for side in _SIDES
        )

    def _was(self, exchange: str, since: float, until: float) -> bool:
        tape, said = self._tapes[self._place(exchange)], self._said(exchange)
        first = max(0, bisect_right(tape.steps, since) - 1)
        return any(
            all(self._fits(shown, levels) for shown, levels in zip(said, tape.books[index], strict=True))
            for index in range(bisect_right(tape.steps, until + 1e-6) - 1, first - 1, -1)
        )

    @staticmethod
    def _fits(shown: Sizes, levels: tuple[tuple[str, str], ...]) -> bool:
        """Whether these are the best levels of the venue's book. Beyond those of the tape nothing is known."""
        if len(shown) > len(levels):
            return False
        return all(shown.get(trim(price)) == trim(size) for price, size in levels[: len(shown)])

    def _wrong(self, told: Told, payload: Mapping[str, Any]) -> Iterator[Violation]:
        parts = self._parts()
        if _excluded_twice(payload, parts):
            yield self._blame(told.at, f"counted and excluded: {sorted(_excluded_twice(payload, parts))}")
        for levels in self._levels.values():
            for each in levels.values():
                if Decimal(each["quantity"]) != sum(map(Decimal, each["venues"].values())):
                    yield self._blame(told.at, f"level {each['price']} is not the sum of its venues")
                    return
