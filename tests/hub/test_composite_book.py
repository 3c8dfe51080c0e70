"""Merged books: what a client holds is what an independent merge of the constituents gives."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cryptodash.core.events import BookView
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import admit
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.composite_book import MergedBook, MergedQuantity, is_complete

DEPTH = 4
VENUES = ("a", "b", "c")

_price = st.sampled_from(["9", "9.0", "9.50", "9.5", "10", "10.00", "10.25", "11", "11.5", "12"])
_size = st.sampled_from(["0.001", "1", "1.0", "2.50", "123456789012345678901.000000000000000001"])


def levels(rows, *, reverse):
    """One venue's side: each price once, best first."""
    by_value = {Decimal(price): (admit(price), admit(size)) for price, size in rows}
    return tuple(level for _, level in sorted(by_value.items(), reverse=reverse))


_bids = st.lists(st.tuples(_price, _size), max_size=8).map(lambda rows: levels(rows, reverse=True))
_asks = st.lists(st.tuples(_price, _size), max_size=8).map(lambda rows: levels(rows, reverse=False))


def book_of(venue, bids, asks):
    topic = Topic(venue, MarketType.SPOT, Symbol("BTC", "USDT"), Channel.ORDER_BOOK, depth=DEPTH)
    return BookView(topic, 100, 1, 2, bids, asks)


def merged_by_hand(sides, depth, *, reverse):
    """{price: {venue: size}} of all, as numbers, best first."""
    found = {}
    for venue, side in sides.items():
        for price, size in side:
            found.setdefault(Decimal(price), {})[venue] = size
    return dict(sorted(found.items(), reverse=reverse)[:depth])


def shown(side):
    return {Decimal(price): size for price, size in side}


class Merging(RuleBasedStateMachine):
    """Any order of changes, leavings and returns."""

    def __init__(self):
        super().__init__()
        self.merged = MergedBook()
        self.books = {}

    @rule(venue=st.sampled_from(VENUES), bids=_bids, asks=_asks)
    def changes(self, venue, bids, asks):
        self.books[venue] = book_of(venue, bids, asks)
        self.merged.take(self.books)

    @rule(venue=st.sampled_from(VENUES))
    def leaves(self, venue):
        self.books.pop(venue, None)
        self.merged.take(self.books)

    @invariant()
    def it_is_the_merge_of_all(self):
        bids, asks = self.merged.top(DEPTH)
        for side, reverse in ((bids, True), (asks, False)):
            parts = {venue: (book.bids if reverse else book.asks) for venue, book in self.books.items()}
            by_hand = merged_by_hand(parts, DEPTH, reverse=reverse)
            assert list(shown(side)) == list(by_hand)
            for price, size in shown(side).items():
                assert size.json.partition(',"venues":')[2] == (
                    "{" + ",".join(f'"{venue}":{by_hand[price][venue]}' for venue in sorted(by_hand[price])) + "}"
                )
                scaled = sum(int(Decimal(each).scaleb(18)) for each in by_hand[price].values())
                assert int(Decimal(size).scaleb(18)) == scaled, "exactly"


TestMerging = Merging.TestCase
TestMerging.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


def test_a_sum_has_every_digit():
    merged = MergedQuantity([("a", admit("0.1000")), ("b", admit("1234567890123456789012.000000000000000001"))])
    assert merged == MergedQuantity([("a", admit("0.1000")), ("b", admit("1234567890123456789012.000000000000000001"))])
    assert str(merged) == "1234567890123456789012.100000000000000001"
    assert merged.json.startswith("1234567890123456789012.100000000000000001,")


def test_the_same_sum_of_other_venues_is_another_level():
    one = MergedQuantity([("a", admit("1")), ("b", admit("2"))])
    other = MergedQuantity([("a", admit("2")), ("b", admit("1"))])
    assert one != other and str(one) == str(other)


def test_one_venue_s_quantity_is_its_own_text():
    assert MergedQuantity([("a", admit("1.500"))]).json == '1.500,"venues":{"a":1.500}'


@given(st.lists(st.tuples(_bids, _asks), max_size=3))
def test_it_is_complete_where_every_venue_shows_the_depth(sides):
    books = [book_of("a", bids, asks) for bids, asks in sides]
    assert is_complete(books, DEPTH) == (
        bool(books) and all(len(each.bids) >= DEPTH and len(each.asks) >= DEPTH for each in books)
    )
