"""Audits of live books in the engine: when they are made, what is compared, and what a divergence leads to."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause, State
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.subscriptions.audit_record import AGAIN, LONGEST, SPACING
from cryptodash.exchanges.subscriptions.book_audits import AFTER_FAILURE, LEAD, PATIENCE, SETTLED
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import Habits, MadeUpVenue, make_catalogue

BOOK = "spot:BTC-USDT:order_book:5"
STREAM = "book5:BTCUSDT"
TRUE = {"bids": {"99": "1", "98": "1"}, "asks": {"101": "1"}}
WRONG = {"bids": {"99": "1", "98": "4"}, "asks": {"101": "1"}}

BY_ID = BookRules(SnapshotSource.REST, Chaining.RANGE, audit=AuditBy.UPDATE_ID)
BY_SEQUENCE = BookRules(SnapshotSource.STREAM, Chaining.COUNTER, audit=AuditBy.SEQUENCE)
BY_LEVELS = BookRules(SnapshotSource.STREAM, Chaining.COUNTER, audit=AuditBy.UNCHANGED)


BUDGETED = 20.0
"""Seconds between two audits of the made-up venue: 60 requests in 60 s, of which a twentieth."""


def body(last: int | None, sides: dict[str, dict[str, str]] = TRUE, sequence: int | None = None) -> bytes:
    return wire.book("rest", last, last, sides["bids"], sides["asks"], snapshot=True, sequence=sequence)


class Audited(Bench):
    """A bench with one live book, at id 12, that is audited in the way of ``rules``."""

    def __init__(self, rules: BookRules, *names: str, **options: Any) -> None:
        venue = MadeUpVenue(habits=Habits(books=rules))
        super().__init__(venue, make_catalogue(*(names or ("BTC-USDT",))), **options)
        self.rules = rules
        self.update = 12
        self.want(BOOK)
        self.live()

    def live(self) -> None:
        """The book comes."""
        if self.rules.snapshots is SnapshotSource.REST:
            for update in (self.update - 1, self.update):
                self.frame(wire.book(STREAM, update, update, {"98": "1"}, {}))
            for _ in range(12):  # a book's snapshots are five seconds apart
                if not any(each.purpose is Purpose.SNAPSHOT for each in self.fetches):
                    self.advance(0.5)
            self.answer(self.due(Purpose.SNAPSHOT), body(self.update))
            self.change({"50": "1"})
        else:
            self.frame(
                wire.book(
                    STREAM, self.update, self.update, TRUE["bids"], TRUE["asks"], snapshot=True, sequence=self.update
                )
            )
        assert self.state(BOOK) is State.LIVE

    def change(self, bids: dict[str, str], asks: dict[str, str] | None = None) -> None:
        self.update += 1
        self.frame(wire.book(STREAM, self.update, self.update, bids, asks or {}, sequence=self.update))

    def due(self, purpose: Purpose) -> RestRequest:
        (request,) = [each for each in self.fetches if each.purpose is purpose]
        return request

    def audits(self) -> list[RestRequest]:
        return [each for each in self.fetches if each.purpose is Purpose.AUDIT]

    def until_asked(self, seconds: float = 120.0) -> RestRequest:
        """The next request of an audit; the book is kept alive meanwhile by frames that change nothing to see."""
        begun = self.clock.monotonic()
        while not self.audits():
            assert self.clock.monotonic() - begun < seconds, "no audit was asked for"
            self.advance(0.5)
            self.change({"50": "1"})
        return self.due(Purpose.AUDIT)

    def settle(self, seconds: float = SETTLED + 0.5) -> None:
        for _ in range(round(2 * seconds)):
            self.advance(0.5)
            self.change({"50": "1"})

    def result(self, word: str) -> int:
        return self.count("cryptodash_book_audits_total", word)

    @property
    def report(self) -> Any:
        (found,) = [each for some in self.engine.streams() for each in some if each.name == STREAM]
        return found


def plus(sides: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """With the level that the frames keep alive."""
    return {"bids": {**sides["bids"], "50": "1"}, "asks": sides["asks"]}


def test_a_live_book_is_compared_by_its_id_and_nothing_is_said_where_it_is_the_same() -> None:
    bench = Audited(BY_ID)
    asked = bench.clock.monotonic()
    request = bench.until_asked()
    assert bench.clock.monotonic() - asked >= LEAD
    assert (request.purpose, request.limit, request.pool) == (Purpose.AUDIT, 100, "books")
    assert bench.answer(request, body(bench.update, plus(TRUE))) == []
    assert (bench.result("equal"), bench.report.audits, bench.report.divergences) == (1, 1, 0)
    assert bench.state(BOOK) is State.LIVE


def test_changes_that_come_after_the_snapshot_was_made_make_no_difference() -> None:
    bench = Audited(BY_ID)
    request = bench.until_asked()
    at = bench.update
    bench.change({"99": "0", "97": "3"})
    bench.change({"98": "2"})
    bench.answer(request, body(at, plus(TRUE)))
    assert bench.result("equal") == 1


def test_a_wrong_size_is_a_gap_that_is_counted_and_the_book_is_rebuilt() -> None:
    bench = Audited(BY_ID)
    bench.change({"98": "7"})  # whose ids chain
    request = bench.until_asked()
    bench.answer(request, body(bench.update, plus(TRUE)))
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.GAP)
    assert (bench.result("diverged"), bench.count("cryptodash_book_gaps_total", "audit")) == (1, 1)
    bench.live()
    assert any(each.rebuilt for each in bench.published(BookChanged)[-2:])
    assert (bench.report.audits, bench.report.divergences, bench.report.disputed) == (1, 1, False)


def test_a_snapshot_ahead_of_the_stream_is_compared_when_the_stream_is_there() -> None:
    bench = Audited(BY_ID)
    request = bench.until_asked()
    bench.answer(request, body(bench.update + 2, plus({"bids": {"99": "5", "98": "1"}, "asks": {"101": "1"}})))
    assert not bench.result("equal")
    bench.change({"98": "1"})
    bench.change({"99": "5"})
    bench.advance(0.5)
    assert bench.result("equal") == 1


def test_a_snapshot_that_the_stream_never_reaches_is_given_up() -> None:
    bench = Audited(BY_ID)
    bench.answer(bench.until_asked(), body(bench.update + 1_000))
    bench.settle(PATIENCE + 1)
    assert bench.result("unmatched") == 1
    assert bench.state(BOOK) is State.LIVE


def test_divergences_in_a_row_mark_the_stream_and_come_less_and_less_often() -> None:
    bench = Audited(BY_ID)
    times = []
    for number in range(4):
        request = bench.until_asked(SPACING * 2**number + 60)
        times.append(bench.clock.monotonic())
        bench.answer(request, body(bench.update, plus(WRONG)))
        bench.live()
        bench.change({"98": "1"})
        assert (bench.report.divergences, bench.report.disputed) == (number + 1, number > 0)
    assert bench.status(BOOK).state.is_good
    first, second, third = (after - before for before, after in pairwise(times))
    assert first < AGAIN + LEAD + BUDGETED
    assert 4 * SPACING <= second < third < LONGEST
    bench.answer(bench.until_asked(SPACING * 16 + 60), body(bench.update, plus(TRUE)))
    assert bench.report.disputed is False


def test_an_equal_number_of_another_stream_needs_a_second_look_between_frames() -> None:
    bench = Audited(BY_SEQUENCE)
    bench.change({"98": "7"})
    request = bench.until_asked()
    before = bench.update
    bench.update += 5  # the sequence has holes
    bench.frame(wire.book(STREAM, before + 1, before + 1, {"50": "1"}, {}, sequence=bench.update))
    bench.answer(request, body(None, plus(TRUE), bench.update - 2))
    assert (bench.result("suspected"), bench.result("diverged")) == (1, 0)
    assert bench.state(BOOK) is State.LIVE


@pytest.mark.parametrize(("size", "word"), [("1", "equal"), ("7", "diverged")])
def test_a_suspicion_is_confirmed_by_the_same_level_or_gone(size: str, word: str) -> None:
    bench = Audited(BY_LEVELS)
    bench.change({"98": "7"})
    bench.answer(bench.until_asked(), body(None, plus(TRUE)))
    bench.settle()
    assert bench.result("suspected") == 1
    asked = bench.clock.monotonic()
    bench.change({"98": size})
    request = bench.until_asked()
    assert bench.clock.monotonic() - asked < AGAIN + LEAD + BUDGETED
    bench.answer(request, body(None, plus(TRUE)))
    bench.settle(SETTLED)
    assert bench.result(word) == 1
    assert bench.state(BOOK) is (State.LIVE if word == "equal" else State.RESYNCING)


def test_a_level_that_changes_meanwhile_is_not_compared() -> None:
    bench = Audited(BY_LEVELS)
    request = bench.until_asked()
    bench.change({"98": "7"})
    bench.answer(request, body(None, plus(WRONG)))
    bench.change({"98": "3"})
    bench.settle()
    assert (bench.result("equal"), bench.result("suspected")) == (1, 0)


def test_a_book_that_is_lost_meanwhile_is_not_compared_and_its_answer_ends_the_audit() -> None:
    bench = Audited(BY_ID)
    request = bench.until_asked()
    bench.close(bench.only)
    assert bench.audits() == [request]
    bench.answer(request, body(bench.update, WRONG))
    assert (bench.result("abandoned"), bench.result("diverged")) == (1, 0)


def test_a_book_that_nobody_holds_is_not_audited() -> None:
    bench = Audited(BY_ID)
    bench.held(BOOK)
    bench.settle(60)
    assert bench.audits() == []


def test_after_a_request_that_failed_there_is_a_pause() -> None:
    bench = Audited(BY_ID)
    bench.fail(bench.until_asked(), UpstreamError("capacity", "the budget had no room"))
    failed = bench.clock.monotonic()
    bench.until_asked()
    assert bench.clock.monotonic() - failed >= AFTER_FAILURE
    assert bench.result("failed") == 1


def test_while_a_book_waits_for_a_snapshot_no_audit_is_asked_for() -> None:
    bench = Audited(BY_ID, "BTC-USDT", "ETH-USDT")
    bench.want("spot:ETH-USDT:order_book:5")
    bench.advance(1)
    for update in (1, 2):
        bench.frame(wire.book("book5:ETHUSDT", update, update, {"8": "1"}, {}))
    assert len([each for each in bench.fetches if each.purpose is Purpose.SNAPSHOT]) == 1  # and nobody answers
    bench.settle(30)
    assert bench.audits() == []


def test_a_book_that_never_gets_its_snapshot_keeps_no_other_from_its_audits() -> None:
    def audits(*, has_refused: bool) -> int:
        bench = Audited(BY_ID, "BTC-USDT", "ETH-USDT")
        if has_refused:
            bench.want("spot:ETH-USDT:order_book:5")
        count = 0
        for update in range(100, 1300):
            bench.advance(0.5)
            bench.change({"50": "1"})
            if has_refused:
                bench.frame(wire.book("book5:ETHUSDT", update, update, {"98": "1"}, {}))
            for request in list(bench.fetches):
                if request.purpose is Purpose.SNAPSHOT:
                    bench.fail(request, UpstreamError("rejected", "no such symbol"))
                elif request.purpose is Purpose.AUDIT:
                    bench.answer(request, body(bench.update, plus(TRUE)))
                    count += 1
        return count

    assert audits(has_refused=True) >= audits(has_refused=False) - 4 >= 10


def test_a_refused_audit_is_of_one_book_and_pauses_no_other() -> None:
    bench = Audited(BY_ID, "BTC-USDT", "ETH-USDT")
    bench.want("spot:ETH-USDT:order_book:5")
    bench.advance(1)
    for update in (1, 2):
        bench.frame(wire.book("book5:ETHUSDT", update, update, {"98": "1"}, {}))
    bench.answer(bench.due(Purpose.SNAPSHOT), body(2))
    asked: dict[str, list[float]] = {"BTCUSDT": [], "ETHUSDT": []}
    for _ in range(600):
        bench.advance(0.5)
        bench.change({"50": "1"})
        for request in bench.audits():
            asked[request.native].append(bench.clock.monotonic())
            if request.native == "ETHUSDT":
                bench.fail(request, UpstreamError("rejected", "no such symbol"))
            else:
                bench.answer(request, body(bench.update, plus(TRUE)))
    assert all(min(after - before for before, after in pairwise(times)) >= SPACING for times in asked.values())
    assert all(len(times) >= 6 for times in asked.values()), asked


def test_audits_use_no_more_than_their_share_of_the_budget() -> None:
    """60 in 60 s, of which a twentieth is three a minute, for five books."""
    names = [f"C{number}-USDT" for number in range(5)]
    bench = Audited(BY_ID, "BTC-USDT", *names)
    for name in names:
        bench.want(f"spot:{name}:order_book:5")
        bench.advance(1)
        stream = f"book5:{name.replace('-', '')}"
        for update in (1, 2):
            bench.frame(wire.book(stream, update, update, {"98": "1"}, {}))
        bench.answer(bench.due(Purpose.SNAPSHOT), body(2))
    asked = []
    begun = bench.clock.monotonic()
    while bench.clock.monotonic() - begun < 300:
        bench.advance(0.5)
        bench.change({"50": "1"})
        for request in bench.audits():
            asked.append(request.native)
            bench.answer(request, body(bench.update if request.native == "BTCUSDT" else 2, plus(TRUE)))
    assert 10 <= len(asked) <= 16  # the first may be due already
    assert set(asked) == {"BTCUSDT", *(name.replace("-", "") for name in names)}


@pytest.mark.parametrize("rules", [BookRules(SnapshotSource.REST, Chaining.RANGE), BY_ID])
def test_a_venue_that_allows_none_and_a_share_of_nothing_have_no_audits(rules: BookRules) -> None:
    bench = Audited(rules)
    if rules is BY_ID:
        bench.engine._audits._share = 0.0
        bench.fetches.clear()
    bench.settle(90)
    assert bench.audits() == []
